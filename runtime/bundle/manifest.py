"""manifest.json: the contents of a bundle, with a digest of each file and of itself, so altered ones are refused."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ...errors import BundleError, ChecksumError, StorageError
from ...files import check_format, sha256_of

FORMAT_VERSION = 2
MANIFEST = "manifest.json"
EMBEDDER = "embedder.onnx"
ENCODER = "encoder.onnx"
DECODER = "decoder.onnx"
TOKENIZER = "tokenizer.json"
FEATURES = "features.json"
LICENSES = "LICENSES"
PROBES = "embedder.probes.npz"
"""Texts and vectors of a bundle of the kind `none`; see `probes`."""
TABLE = "embedder.table.npy"
"""Vectors of the tokens of a static embedder, shape (n, width), float32, float16 or int8."""
PARTS = "embedder.parts.npz"
"""`blank`, and where the rule says so `rows`, `factors`, and `weight_I` and `bias_I` of layer I; see `StaticTable`."""
RULE = "embedder.json"
"""What is done with `TABLE` and `PARTS`."""
INTERPRETATION = "interpretation.jsonl.gz"
TOKEN_MODEL = "tokens.npz"
FAST_QUERIES = "fast_queries.npz"
REQUIRED_FILES = (EMBEDDER, ENCODER, DECODER, TOKENIZER, FEATURES, LICENSES)
"""A bundle lists these; an embedder above 16 MB adds its weights, `embedder.onnx.data`. Another kind brings files
of its own in the place of `embedder.onnx`, whose names begin with `embedder.` too, so that an index is tied to them."""
NO_EMBEDDER = "none"
"""The `embedder_kind` of a bundle without an embedder: it has `PROBES`, and neither `embedder.onnx` nor a tokenizer."""
INTERPRETATION_FILES = (INTERPRETATION, TOKEN_MODEL)
OPTIONAL_FILES = (*INTERPRETATION_FILES, FAST_QUERIES)
"""Files that `sae features label` and `sae fast-queries` add; searching and steering do not need them."""
ORIGIN = "origin.json"
"""Of a bundle that was fetched: the repository and its commit."""

CURE = "export it again with: sae-export --ckpt model.pt"
MAX_BYTES = 2**24
"""Of manifest.json."""
MAX_WIDTH, MAX_LATENTS, MAX_TOKENS = 2**16, 2**24, 2**20
"""Largest figures of a bundle: memory is taken by them before its files are looked at."""
_SELF = "manifest_sha256"
_SINCE_2 = {"query_prefix": "", "document_prefix": "", "embedder_kind": "onnx"}
"""Keys that format 1 did not have, with the values that it implied."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Manifest:
    """The contents of manifest.json; field names are its keys."""

    steersearch_version: str
    """Version of steersearch that exported the bundle."""
    d_in: int
    """Width of the embeddings."""
    n_latents: int
    k: int
    """Latents that may be active per text."""
    pooling: str
    """How the embedder pools token vectors into one, for example ``mean``."""
    max_length: int
    """Tokens per text that the embedder reads; the rest of a longer text is ignored."""
    precision: str
    """Of the embedder: ``fp32``, ``w8``, ``small`` or ``int8``; encoder and decoder are always fp32."""
    batch_invariant: bool
    """False when the embedding of a text depends on the other texts of its batch; then every run has one text."""
    embedder: dict[str, str | None]
    """`id`, `revision` and `sha256` of the weights; null where unknown. Of the kind ``none``, `id` is the model's name
    at the service that made the vectors."""
    files: dict[str, dict[str, str | int]]
    """`sha256` and `bytes` of every other file, by file name."""
    parity: dict[str, float | int]
    """Figures of the comparison with torch at export."""
    opset: int
    """Highest ONNX opset of the graphs."""
    min_onnxruntime: str
    """Oldest onnxruntime that the graphs need."""
    query_prefix: str = ""
    document_prefix: str = ""
    embedder_kind: str = "onnx"
    """How the embedder is opened: a name in `embedder_kinds.EMBEDDERS`; ``none`` without one."""
    format_version: int = FORMAT_VERSION

    @property
    def model_digest(self) -> str:
        """Digest that an index is tied to: sha256 over the graphs, the tokenizer and the document prefix, if any."""
        weights = [f"{name}.data" for name in (ENCODER, DECODER)]
        return self._digest_of(ENCODER, DECODER, *weights, prefix=self.document_prefix)

    @property
    def embedder_digest(self) -> str:
        """Digest that an embedding is tied to, apart from text and prefix: sha256 over embedder and tokenizer."""
        return self._digest_of()

    @property
    def query_digest(self) -> str:
        """Digest that the vector of a query is tied to, apart from its text: sha256 over embedder and query prefix."""
        lines = f"{self.embedder_digest}\nquery_prefix {json.dumps(self.query_prefix)}\n"
        return hashlib.sha256(lines.encode()).hexdigest() if self.query_prefix else self.embedder_digest

    def _digest_of(self, *more: str, prefix: str = "") -> str:
        names = sorted(n for n in self.files if n.startswith("embedder.") or n in (TOKENIZER, *more))
        lines = "".join(f"{name} {self.files[name]['sha256']}\n" for name in names)
        lines += f"document_prefix {json.dumps(prefix)}\n" if prefix else ""
        return hashlib.sha256(lines.encode()).hexdigest()

    def to_json(self) -> str:
        """Return the text of manifest.json, its own digest included."""
        values = asdict(self)
        return json.dumps({**values, _SELF: _digest(values)}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, source: str = MANIFEST) -> Manifest:
        """Read the text of a manifest, from `source`, in this format or in format 1, which had no prefixes.

        Raises:
            BundleError: Not JSON, a key is unknown or missing, or a value has the wrong type or range.
            FormatVersionError: Written by a newer steersearch.
            ChecksumError: The manifest was altered.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{source} is not JSON ({error}): {CURE}") from error
        if not isinstance(values, dict):
            raise BundleError(f"{source} holds a {type(values).__name__}, expected an object: {CURE}")
        version = values.get("format_version")
        if type(version) is not int or version < 1:
            raise BundleError(f"{source} has format_version {version!r}, expected a whole number from 1 on: {CURE}")
        # Checked first, since a newer format may have other keys.
        check_format(source, version, FORMAT_VERSION)
        digest = values.pop(_SELF, None)
        expected = {field.name for field in fields(cls)} - (set(_SINCE_2) if version == 1 else set())
        if unknown := sorted(values.keys() - expected):
            raise BundleError(f"{source} has unknown keys {unknown}: {CURE}")
        if missing := sorted(expected - values.keys()):
            raise BundleError(f"{source} lacks {missing}: {CURE}")
        plain: dict[str, Any] = _SINCE_2 | values
        _check_values(plain, source)
        if digest != _digest(values):
            raise ChecksumError(f"{source} was altered after the export: {CURE}")
        return cls(**plain | {"format_version": FORMAT_VERSION})


def required_files(kind: str) -> tuple[str, ...]:
    """Return the files that a bundle with an embedder of this kind must list."""
    if kind == NO_EMBEDDER:
        return (PROBES, *(name for name in REQUIRED_FILES if name not in (EMBEDDER, TOKENIZER)))
    if kind == "static":
        return (TABLE, PARTS, RULE, *(name for name in REQUIRED_FILES if name != EMBEDDER))
    return tuple(name for name in REQUIRED_FILES if kind == "onnx" or name != EMBEDDER)


def read_manifest(folder: str | Path, verify: bool = True, later: Callable[[str], bool] | None = None) -> Manifest:
    """Read a bundle's manifest and check the sha256 of every file; without `verify`, only the sizes.

    Args:
        folder: The bundle's.
        verify: Whether checksums are compared.
        later: Returns whether a file's checksum will be compared when it is opened, and not here.

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
        if not stat.S_ISREG(path.stat().st_mode) or path.stat().st_size > MAX_BYTES:
            raise BundleError(f"{path} is no file of at most {MAX_BYTES >> 20} MB: {CURE}")
        manifest = Manifest.from_json(path.read_bytes().decode("utf-8"), source=str(path))
        for name, expected in manifest.files.items():
            _check_file(folder / name, expected, verify and not (later and later(name)))
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise BundleError(f"{folder} is not a complete bundle, {name} is missing: {CURE}") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not UTF-8 text ({error}): {CURE}") from error
    except OSError as error:
        raise StorageError(f"cannot read the bundle {folder}: {error}") from error
    return manifest


def check_size(folder: Path, manifest: Manifest) -> None:
    """Check that a bundle holds as many weights as its figures say, so that they cannot take more memory than that.

    Raises:
        BundleError: The decoder is too small for them.
    """
    held = sum(int(manifest.files[n]["bytes"]) for n in (DECODER, f"{DECODER}.data") if n in manifest.files)
    needed = 4 * manifest.n_latents * manifest.d_in
    if held < needed:
        raise BundleError(
            f"{folder / MANIFEST} says {manifest.n_latents} latents of {manifest.d_in} numbers, which are {needed:,} "
            f"bytes, but its decoder has {held:,}: {CURE}"
        )


def _check_file(path: Path, expected: Mapping[str, str | int], verify: bool) -> None:
    size = path.stat().st_size
    # Reading a pipe or a device would wait for ever.
    if not stat.S_ISREG(path.stat().st_mode):
        raise BundleError(f"{path} is not a file: {CURE}")
    if size != expected["bytes"]:
        raise ChecksumError(f"{path} has {size} bytes, the manifest says {expected['bytes']}: {CURE}")
    if verify and sha256_of(path) != expected["sha256"]:
        raise ChecksumError(f"{path} was altered after the export (sha256 differs from the manifest): {CURE}")


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _check_values(values: Mapping[str, Any], source: str) -> None:
    def check(good: bool, key: str, expected: str) -> None:
        if not good:
            raise BundleError(f"{source}: {key} is {values[key]!r}, expected {expected}: {CURE}")

    for key, most in (("d_in", MAX_WIDTH), ("n_latents", MAX_LATENTS), ("k", MAX_WIDTH), ("max_length", MAX_TOKENS)):
        check(type(values[key]) is int and 1 <= values[key] <= most, key, f"a whole number from 1 to {most:,}")
    check(type(values["opset"]) is int and values["opset"] >= 1, "opset", "a whole number from 1 on")
    check(values["k"] <= values["n_latents"], "k", f"at most n_latents ({values['n_latents']})")
    for key in ("steersearch_version", "pooling", "precision", "min_onnxruntime", *_SINCE_2):
        check(isinstance(values[key], str), key, "a text")
    check(type(values["batch_invariant"]) is bool, "batch_invariant", "true or false")
    for key in ("embedder", "files", "parity"):
        check(isinstance(values[key], dict), key, "an object")
    embedder, files = values["embedder"], values["files"]
    check(set(embedder) == {"id", "revision", "sha256"}, "embedder", "id, revision and sha256")
    check(all(v is None or isinstance(v, str) for v in embedder.values()), "embedder", "texts or null")
    finite = all(type(v) in (int, float) and abs(v) < float("inf") for v in values["parity"].values())
    check(finite, "parity", "finite numbers")
    for name, entry in files.items():
        # A bundle is untrusted input: it must not name files outside its own folder.
        if not _is_plain_name(name):
            raise BundleError(f"{source}: {name!r} is not a plain file name: {CURE}")
        good = isinstance(entry, dict) and set(entry) == {"sha256", "bytes"}
        good = good and isinstance(entry["sha256"], str) and bool(_SHA256.fullmatch(entry["sha256"]))
        if not (good and type(entry["bytes"]) is int and entry["bytes"] >= 0):
            raise BundleError(f"{source}: files[{name!r}] is {entry!r}, expected sha256 and bytes: {CURE}")
    if missing := sorted(set(required_files(values["embedder_kind"])) - set(files)):
        raise BundleError(f"{source} does not list {missing}: {CURE}")


def _is_plain_name(name: str) -> bool:
    """Return whether a name denotes the same file, inside the folder, on every system."""
    # Windows drops trailing blanks and dots, so "..", "a." and "a " would be other files.
    trimmed = name.rstrip(" .")
    return bool(trimmed) and trimmed == name and not any(c in '/\\:*?"<>|' or ord(c) < 32 for c in name)
