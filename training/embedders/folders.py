"""Which kind of embedder a folder holds, and the files that say so."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..sentence_model import read_json

Kind = Literal["transformer", "static", "onnx"]
"""A sentence-transformers model with a transformer; a table of token vectors; somebody's ONNX graph."""
GRAPHS = ("model.onnx", "onnx/model.onnx")
"""Where a graph may be in its folder."""
TOKENIZER = "tokenizer.json"


def kind_of(folder: Path) -> Kind | None:
    """Return the kind of the embedder in a folder, None where there is no embedder.

    Weights of torch count before a graph beside them, which most often was made of them.
    """
    if is_model2vec(folder):
        return "static"
    has_modules = (folder / "modules.json").is_file()
    if has_modules and is_static(folder):
        return "static"
    if has_modules and any(True for _ in weights_of_torch(folder)):
        return "transformer"
    if graph_of(folder) is not None and (folder / TOKENIZER).is_file():
        return "onnx"
    return "transformer" if has_modules else None


def is_model2vec(folder: Path) -> bool:
    """Return whether a folder holds what `StaticModel.save_pretrained` of model2vec writes."""
    if not ((folder / "config.json").is_file() and (folder / "model.safetensors").is_file()):
        return False
    config = read_json(folder / "config.json")
    return isinstance(config, dict) and config.get("model_type") == "model2vec"


def is_static(folder: Path) -> bool:
    """Return whether the first module of a sentence-transformers model is a StaticEmbedding."""
    modules = read_json(folder / "modules.json")
    first = modules[0] if isinstance(modules, list) and modules else None
    return isinstance(first, dict) and str(first.get("type")).endswith(".StaticEmbedding")


def graph_of(folder: Path) -> Path | None:
    """Return the ONNX graph in a folder, None without one."""
    return next((folder / name for name in GRAPHS if (folder / name).is_file()), None)


def graph_weights(graph: Path) -> list[Path]:
    """Return the files beside a graph that it may read weights from: those whose names begin with its own."""
    beside = (graph.with_name(f"{graph.name}{end}") for end in (".data", "_data"))
    return [path for path in beside if path.is_file()]


def weights_of_torch(folder: Path) -> list[Path]:
    """List the files that the modules are loaded from: in each folder safetensors if there are, else torch's own."""
    found: dict[Path, list[Path]] = {}
    for pattern in ("*.safetensors", "pytorch_model*.bin"):
        by_folder: dict[Path, list[Path]] = {}
        for path in folder.rglob(pattern):
            # Neither a folder nor a pipe, which would be read for ever.
            if path.is_file() and path.relative_to(folder).parts[0] not in ("onnx", "openvino"):
                by_folder.setdefault(path.parent, []).append(path)
        found = by_folder | found
    return sorted(path for paths in found.values() for path in paths)


def truncation_of(tokenizer: Path) -> int | None:
    """Return at how many tokens a tokenizer.json cuts texts, None where it does not or is not there."""
    content = read_json(tokenizer)
    truncation = content.get("truncation") if isinstance(content, dict) else None
    length = truncation.get("max_length") if isinstance(truncation, dict) else None
    return length if type(length) is int and length > 0 else None
