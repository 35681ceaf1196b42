"""manifest.json: what a bundle holds, and whether its files are still the ones that were exported.

The manifest carries a digest of itself, so an altered manifest is refused like any other altered file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ...errors import BundleError, ChecksumError, FormatVersionError, StorageError
from ...files import sha256_of

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
EMBEDDER = "embedder.onnx"
ENCODER = "encoder.onnx"
DECODER = "decoder.onnx"
TOKENIZER = "tokenizer.json"
FEATURES = "features.json"
LICENSES = "LICENSES"
INTERPRETATION = "interpretation.jsonl.gz"
TOKEN_MODEL = "tokens.npz"
REQUIRED_FILES = (EMBEDDER, ENCODER, DECODER, TOKENIZER, FEATURES, LICENSES)
"""Every bundle lists these; an embedder above 16 MB adds its weights, `embedder.onnx.data`."""
OPTIONAL_FILES = (INTERPRETATION, TOKEN_MODEL)
"""What `sae features label` adds: nothing that searching or steering needs."""

_CURE = "export it again with: sae-export --ckpt model.pt"
_SELF = "manifest_sha256"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Manifest:
    """What a bundle says about itself; field names are the keys of manifest.json."""

    steersearch_version: str
    """Version that exported the bundle."""
    d_in: int
    """Width of the embeddings."""
    n_latents: int
    """Number of latents."""
    k: int
    """Latents that may be active per text."""
    pooling: str
    """How the embedder makes one vector of many tokens, for example ``mean``."""
    max_length: int
    """Tokens per text that the embedder reads; the rest of a longer text is not seen."""
    precision: str
    """``fp32``, ``w8``, ``small`` or ``int8``, of the embedder; encoder and decoder are always fp32."""
    batch_invariant: bool
    """False when the embedding of a text depends on the texts beside it: then one text per run."""
    embedder: dict[str, str | None]
    """`id`, `revision` and `sha256` of the weights; what is not known is null."""
    files: dict[str, dict[str, str | int]]
    """`sha256` and `bytes` of every other file of the bundle, by file name."""
    parity: dict[str, float | int]
    """Figures of the comparison with torch that the bundle passed before it was written."""
    opset: int
    """Highest ONNX opset of the graphs."""
    min_onnxruntime: str
    """Oldest onnxruntime that the graphs need."""
    format_version: int = FORMAT_VERSION

    @property
    def model_digest(self) -> str:
        """What an index is tied to: sha256 over the graphs and the tokenizer, but not over labels and licences."""
        return self._digest_of(ENCODER, DECODER)

    @property
    def embedder_digest(self) -> str:
        """What an embedding is tied to: sha256 over the embedder's graph and the tokenizer."""
        return self._digest_of()

    def _digest_of(self, *more: str) -> str:
        names = sorted(n for n in self.files if n.startswith(EMBEDDER) or n in (TOKENIZER, *more))
        lines = "".join(f"{name} {self.files[name]['sha256']}\n" for name in names)
        return hashlib.sha256(lines.encode()).hexdigest()

    def to_json(self) -> str:
        """The text of manifest.json, with the digest of itself."""
        values = asdict(self)
        return json.dumps({**values, _SELF: _digest(values)}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, source: str = MANIFEST) -> Manifest:
        """Read what `to_json` wrote.

        Args:
            text: The text of manifest.json.
            source: Where it came from, for messages.

        Raises:
            BundleError: Not JSON, a key is unknown or missing, or a value has the wrong type or range.
            FormatVersionError: Written by a newer steersearch.
            ChecksumError: The manifest was altered.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{source} is not JSON ({error}): {_CURE}") from error
        if not isinstance(values, dict):
            raise BundleError(f"{source} holds a {type(values).__name__}, expected an object: {_CURE}")
        version = values.get("format_version")
        if type(version) is not int or version < 1:
            raise BundleError(f"{source} has format_version {version!r}, expected a whole number from 1 on: {_CURE}")
        if version > FORMAT_VERSION:  # before anything else is looked at: a newer format may have other keys
            raise FormatVersionError(
                f"{source} has format_version {version}, this steersearch reads up to {FORMAT_VERSION}: "
                "upgrade: pip install -U steersearch"
            )
        digest = values.pop(_SELF, None)
        expected = {field.name for field in fields(cls)}
        if unknown := sorted(values.keys() - expected):
            raise BundleError(f"{source} has unknown keys {unknown}: {_CURE}")
        if missing := sorted(expected - values.keys()):
            raise BundleError(f"{source} lacks {missing}: {_CURE}")
        _check_values(values, source)
        if digest != _digest(values):
            raise ChecksumError(f"{source} was altered after the export: {_CURE}")
        return cls(**values)


def read_manifest(folder: str | Path, verify: bool = True) -> Manifest:
    """Read a bundle's manifest and check the bundle's files against it.

    Args:
        folder: The bundle.
        verify: Compare the sha256 of every file; False compares only their sizes.

    Raises:
        BundleError: No such folder, no manifest, a manifest that cannot be used, or a listed file is missing.
        FormatVersionError: Written by a newer steersearch.
        ChecksumError: A file is not the one that was exported.
        StorageError: A file cannot be read.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not folder.is_dir():
        raise BundleError(
            f"{folder} is not a folder: make a bundle with: sae-export --ckpt model.pt --out {folder.name}"
        )
    try:
        manifest = Manifest.from_json(path.read_bytes().decode("utf-8"), source=str(path))
        for name, expected in manifest.files.items():
            _check_file(folder / name, expected, verify)
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise BundleError(f"{folder} is not a complete bundle, {name} is missing: {_CURE}") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not UTF-8 text ({error}): {_CURE}") from error
    except OSError as error:
        raise StorageError(f"cannot read the bundle {folder}: {error}") from error
    return manifest


def _check_file(path: Path, expected: Mapping[str, str | int], verify: bool) -> None:
    size = path.stat().st_size
    if size != expected["bytes"]:
        raise ChecksumError(f"{path} has {size} bytes, the manifest says {expected['bytes']}: {_CURE}")
    if verify and sha256_of(path) != expected["sha256"]:
        raise ChecksumError(f"{path} was altered after the export (sha256 differs from the manifest): {_CURE}")


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _check_values(values: Mapping[str, Any], source: str) -> None:
    """Raise BundleError at the first value that cannot be what `Manifest` declares."""

    def check(good: bool, key: str, expected: str) -> None:
        if not good:
            raise BundleError(f"{source}: {key} is {values[key]!r}, expected {expected}: {_CURE}")

    for key in ("d_in", "n_latents", "k", "max_length", "opset"):
        check(type(values[key]) is int and values[key] >= 1, key, "a whole number from 1 on")
    check(values["k"] <= values["n_latents"], "k", f"at most n_latents ({values['n_latents']})")
    for key in ("steersearch_version", "pooling", "precision", "min_onnxruntime"):
        check(isinstance(values[key], str), key, "a text")
    check(type(values["batch_invariant"]) is bool, "batch_invariant", "true or false")
    for key in ("embedder", "files", "parity"):
        check(isinstance(values[key], dict), key, "an object")
    embedder, files = values["embedder"], values["files"]
    check(set(embedder) == {"id", "revision", "sha256"}, "embedder", "id, revision and sha256")
    check(all(v is None or isinstance(v, str) for v in embedder.values()), "embedder", "texts or null")
    check(all(type(v) in (int, float) for v in values["parity"].values()), "parity", "numbers")
    for name, entry in files.items():
        if not _is_plain_name(name):  # a bundle may come from anywhere: it must not point outside its own folder
            raise BundleError(f"{source}: {name!r} is not a plain file name: {_CURE}")
        good = isinstance(entry, dict) and set(entry) == {"sha256", "bytes"}
        good = good and isinstance(entry["sha256"], str) and bool(_SHA256.fullmatch(entry["sha256"]))
        if not (good and type(entry["bytes"]) is int and entry["bytes"] >= 0):
            raise BundleError(f"{source}: files[{name!r}] is {entry!r}, expected sha256 and bytes: {_CURE}")
    if missing := sorted(set(REQUIRED_FILES) - set(files)):
        raise BundleError(f"{source} does not list {missing}: {_CURE}")


def _is_plain_name(name: str) -> bool:
    """A file name that means the same file, inside the folder, on every system."""
    trimmed = name.rstrip(" .")  # Windows drops these, which would make "..", "a." and "a " other files
    return bool(trimmed) and trimmed == name and not any(c in '/\\:*?"<>|' or ord(c) < 32 for c in name)
