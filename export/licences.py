"""The LICENSES file of a bundle: its sources and their licences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .. import __version__

UNKNOWN = "unknown: ask the owner of the weights"
_PATTERNS = ("LICENSE*", "LICENCE*", "COPYING*", "NOTICE*")
_TITLE = "What is in this bundle, and under which licence\n"
_RULE = "=" * 78


def licences_text(
    embedder_id: str,
    folder: Path | None,
    corpus: str | None,
    files: Sequence[str] = ("embedder.onnx",),
    *,
    card: str | None = None,
) -> str:
    """Return the text of LICENSES.

    Args:
        embedder_id: Name of the embedder.
        folder: The embedder's files; None when only its name is known.
        corpus: Name of the texts that the autoencoder was trained on.
        files: Those that hold the embedder's weights.
        card: Model card of the autoencoder, where it has one.
    """
    stated = (declared_licence(folder) if folder else None) or UNKNOWN
    parts = [
        _TITLE,
        f"{', '.join(files)}, tokenizer.json\n"
        f"  Weights and vocabulary of {embedder_id}, converted.\n"
        f"  Licence stated by its model card: {stated}\n",
        *_own_parts(corpus, "features.json quotes"),
    ]
    if card:
        parts.append(f"{_RULE}\nModel card of the autoencoder\n{_RULE}\n{card.strip()}\n")
    for path in licence_files(folder) if folder else []:
        body = path.read_text(encoding="utf-8", errors="replace").strip()
        parts.append(f"{_RULE}\n{path.name} of {embedder_id}\n{_RULE}\n{body}\n")
    return "\n".join(parts)


def licences_of_vectors(embedder_name: str, corpus: str | None) -> str:
    """Return the text of LICENSES of a bundle without an embedder; `embedder_name` is ``""`` when it is unknown."""
    made = f"made by {embedder_name}" if embedder_name else "that the user had"
    quoted = "features.json and embedder.probes.npz quote"
    return "\n".join(
        [
            _TITLE,
            f"embedder.probes.npz\n  Some texts and their vectors, {made}. This bundle holds no embedder: the terms\n"
            "  of the service or model that made the vectors apply to them.\n",
            *_own_parts(corpus, quoted),
        ]
    )


def _own_parts(corpus: str | None, quotes: str) -> list[str]:
    return [
        "encoder.onnx, decoder.onnx, features.json\n"
        f"  A sparse autoencoder trained over those embeddings on: {corpus or 'texts that are not named'}.\n"
        f"  Belongs to whoever trained it. {quotes} words and short passages of those texts,\n"
        "  which stay under the licence of the texts.\n",
        f"manifest.json and the layout\n  Written by steersearch {__version__}, Apache-2.0,"
        " https://www.apache.org/licenses/LICENSE-2.0\n",
    ]


def declared_licence(folder: Path) -> str | None:
    """Return the `license` field in the front matter of the folder's README.md, None without one."""
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8-sig", errors="replace") if readme.is_file() else ""
    front = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    # The only YAML that is parsed: `license: mit`, or a list below `license:`.
    pattern = r"^licen[sc]e:[ \t]*(\S.*)?((?:\n[ \t]*-[ \t]+.+)*)"
    field = re.search(pattern, front[1], re.MULTILINE) if front else None
    if field is None:
        return None
    names = [field[1] or "", *re.findall(r"-[ \t]+(.+)", field[2])]
    stated = ", ".join(name.strip().strip("\"'[]") for name in names if name.strip())
    return stated or None


def licence_files(folder: Path) -> list[Path]:
    """Return the licence texts in the folder of the weights, by name."""
    return sorted({path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file()})
