"""What it weighs: the base install, a bundle by precision, a document in an index."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from .corpus import PRECISIONS, Bench
from .timing import bytes_of

BASE = ("numpy", "onnxruntime", "tokenizers", "typer", "filelock")
TORCH = ("torch", "transformers", "sentence-transformers", "hnswlib", "numpy", "tokenizers")


def measure(bench: Bench) -> dict[str, Any]:
    """Target 6."""
    index = bench.index()
    documents = len(bench.texts)
    text = sum(len(text.encode()) for text in bench.texts)
    return {
        "base install MB": {name: _installed(name) for name in BASE} | {"steersearch": _ourselves()},
        "torch pipeline MB": {name: _installed(name) for name in TORCH},
        "bundle MB": {name: round(bytes_of(bench.bundle(name)) / 1e6, 1) for name in PRECISIONS},
        "bytes per document": {
            "text": round(text / documents),
            "dense vector": bench.vectors().shape[1] * 4,
            "database": round(bytes_of(index / "documents.sqlite") / documents),
            "caches": round(bytes_of(index / "cache") / documents),
            "cache files": {
                path.name: round(bytes_of(path) / documents) for path in sorted((index / "cache").iterdir())
            },
        },
    }


def _installed(name: str) -> float:
    """Megabytes of the files of a distribution."""
    files = importlib.metadata.files(name) or []
    paths = {Path(str(file.locate())) for file in files}
    return round(sum(path.stat().st_size for path in paths if path.is_file()) / 1e6, 1)


def _ourselves() -> float:
    import steersearch

    folders = [Path(str(steersearch.__file__)).parent / name for name in ("", "runtime", "cli", "corpus")]
    return round(sum(path.stat().st_size for folder in folders for path in folder.glob("*.py")) / 1e6, 2)
