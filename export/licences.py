"""The LICENSES file of a bundle: whose work is in it and what its owners said."""

from __future__ import annotations

import re
from pathlib import Path

from .. import __version__

UNKNOWN = "unknown: ask the owner of the weights"
_PATTERNS = ("LICENSE*", "LICENCE*", "COPYING*", "NOTICE*")
_RULE = "=" * 78


def licences_text(embedder_id: str, folder: Path | None, corpus: str | None) -> str:
    """Text of LICENSES.

    Args:
        embedder_id: Name of the embedder.
        folder: The embedder's files; None when only its name is known.
        corpus: Name of the texts that the autoencoder was trained on.
    """
    stated = (declared_licence(folder) if folder else None) or UNKNOWN
    parts = [
        "What is in this bundle, and under which licence\n",
        "embedder.onnx, tokenizer.json\n"
        f"  Weights and vocabulary of {embedder_id}, converted.\n"
        f"  Licence stated by its model card: {stated}\n",
        "encoder.onnx, decoder.onnx, features.json\n"
        f"  A sparse autoencoder trained over those embeddings on: {corpus or 'texts that are not named'}.\n"
        "  Belongs to whoever trained it. features.json quotes words and short passages of those texts,\n"
        "  which stay under the licence of the texts.\n",
        f"manifest.json and the layout\n  Written by steersearch {__version__}, Apache-2.0,"
        " https://www.apache.org/licenses/LICENSE-2.0\n",
    ]
    for path in licence_files(folder) if folder else []:
        body = path.read_text(encoding="utf-8", errors="replace").strip()
        parts.append(f"{_RULE}\n{path.name} of {embedder_id}\n{_RULE}\n{body}\n")
    return "\n".join(parts)


def declared_licence(folder: Path) -> str | None:
    """The `license` field of the front matter of the folder's README.md, None when there is none."""
    readme = folder / "README.md"
    if not readme.is_file():
        return None
    text = readme.read_text(encoding="utf-8-sig", errors="replace")
    front = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    if front is None:
        return None
    # YAML, but only this one field of it: `license: mit` or a list below `license:`.
    field = re.search(r"^licen[sc]e:[ \t]*(\S.*)?((?:\n[ \t]*-[ \t]+.+)*)", front[1], re.MULTILINE)
    if field is None:
        return None
    names = [field[1] or "", *re.findall(r"-[ \t]+(.+)", field[2])]
    stated = ", ".join(name.strip().strip("\"'[]") for name in names if name.strip())
    return stated or None


def licence_files(folder: Path) -> list[Path]:
    """Licence texts that lie beside the weights, by name."""
    return sorted({path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file()})
