"""The file between training and export: one dict of plain types and tensors, never code."""

from __future__ import annotations

import dataclasses
import os
import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import __version__
from ..arrays import UNIT_TOLERANCE
from ..errors import CheckpointError, ConfigError, StorageError
from ..files import check_format, make_temporary
from ..typed_records import check_record
from .config import SaeConfig

FORMAT_VERSION = 4
"""1 had no corrections of the encoder, 2 no prefixes of the embedder, 3 no vectors of texts."""
MAX_SAMPLES = 4096
"""Most texts whose vectors a checkpoint may hold; training keeps 256."""
PARAMETERS = ("W_enc", "b_enc", "W_dec", "b_dec", "step_size", "b_step")


@dataclass
class CheckpointInfo:
    """The facts of a checkpoint without its weights; all plain types."""

    embedder: dict[str, Any] | None = None
    """`id`, `revision`, `sha256`, `max_length`, `path`, `query_prefix`, `document_prefix`, `kind`, `pooling` and
    `truncate_dim` of the embedder; None when trained from bare embeddings. Older checkpoints lack the last five, or the
    last three."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Training metrics, by name."""
    corpus: dict[str, Any] = field(default_factory=dict)
    """`name` and `n_documents` of the reference corpus."""
    reference_mean: list[float] = field(default_factory=list)
    """Mean embedding of the reference corpus, d_in numbers."""
    features: list[dict[str, Any]] = field(default_factory=list)
    """One entry per latent: `id`, `label`, `density`, `mean`, `p95`, `max`, `keywords`, `examples`."""
    sample_texts: list[str] = field(default_factory=list)
    """Real texts of the corpus, for the export's parity gate."""
    training: dict[str, Any] = field(default_factory=dict)
    """The TrainConfig that was used."""
    embedder_name: str = ""
    """What the user calls the model that made the vectors, where training was given vectors; ``""`` when unknown."""
    sample_vectors: Tensor | None = field(default=None, compare=False)
    """Where training was given vectors: those of `sample_texts`, or of documents without texts, unit rows, shape (m,
    d_in), float32. Export measures the graphs on them."""
    query_table: Tensor | None = field(default=None, compare=False)
    """The file of a table for queries without the transformer, from ``sae train --fast-queries``: bytes, uint8, shape
    (n,). Export reads it; None where there is none."""
    origin: dict[str, str] = field(default_factory=dict)
    """`repo`, `commit` and `revision` of one that was fetched from the hub; else empty, and not in the file."""

    def plain(self) -> dict[str, Any]:
        """Return the facts as plain values, without an empty `origin` or `query_table`: older files have none."""
        optional = ("origin", "query_table")
        # `asdict` would compare tensors; a field that is not there is None or empty.
        empty = {name for name in optional if getattr(self, name) is None or getattr(self, name) == {}}
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in empty}


def atomic_torch_save(payload: dict[str, Any], path: Path) -> None:
    """Write beside `path` and rename, so that a full disk or a kill leaves the older file whole.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = make_temporary(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}") from error
    try:
        with temporary.open("wb") as file:
            torch.save(payload, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise StorageError(f"cannot write {path}: {error}; free space or choose another --out") from error
    finally:
        temporary.unlink(missing_ok=True)


def load_plain(path: Path) -> dict[str, Any]:
    """Read a dict of plain types and tensors; code inside the file is refused, not run.

    Raises:
        CheckpointError: Missing, cut short, altered, or not such a file.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file: make a checkpoint with `sae train --data PATH --out {path.name}`")
    try:
        with warnings.catch_warnings():  # a foreign pickle protocol is warned about before it is refused
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            payload = torch.load(path, map_location="cpu", weights_only=True)
        with zipfile.ZipFile(path) as archive:  # torch does not check the checksums of the tensors it reads
            damaged = archive.testzip()
    # What a damaged file raises depends on which byte is wrong: AssertionError, KeyError, ...
    except Exception as error:
        reason = (str(error).splitlines() or ["unreadable"])[0]
        raise CheckpointError(
            f"{path} cannot be read ({reason}): it is damaged or not a checkpoint; train it again"
        ) from error
    if damaged:
        raise CheckpointError(f"{path} is damaged (checksum of {damaged}): copy it again from where it was made")
    if not isinstance(payload, dict):
        raise CheckpointError(f"{path} holds a {type(payload).__name__}, not a checkpoint of `sae train`")
    return payload


def write_checkpoint(path: Path, *, config: SaeConfig, info: CheckpointInfo, state: dict[str, Tensor]) -> Path:
    """Write a checkpoint and return its path."""
    payload = {
        "format_version": FORMAT_VERSION,
        "steersearch_version": __version__,
        "config": dataclasses.asdict(config),
        "info": info.plain(),
        "state": {name: state[name].detach().cpu().contiguous() for name in PARAMETERS},
    }
    atomic_torch_save(payload, path)
    return path


def read_checkpoint(path: Path) -> tuple[SaeConfig, CheckpointInfo, dict[str, Tensor]]:
    """Read and check a checkpoint: version, config, shapes, finite weights."""
    return check_payload(path, load_plain(path))


def check_payload(path: Path, payload: dict[str, Any]) -> tuple[SaeConfig, CheckpointInfo, dict[str, Tensor]]:
    """Check what a checkpoint holds, and return config, facts and weights; a CheckpointError that names `path`."""
    version = payload.get("format_version")
    if type(version) is not int or version < 1:
        raise CheckpointError(f"{path} has no format_version: it is not a checkpoint of `sae train`")
    check_format(path, version, FORMAT_VERSION, error=CheckpointError)
    try:
        shape, found = payload["config"], payload["state"]
        if version == 1:  # before there were corrections
            shape = {"encoder_depth": 1} | shape
            found = dict.fromkeys(("step_size", "b_step"), torch.zeros(0, shape["n_latents"])) | found
        config = SaeConfig(**shape)
        for name, value in dataclasses.asdict(config).items():
            if type(value) is not int:
                raise TypeError(f"{name} is {value!r}, expected a whole number")
        info = CheckpointInfo(**payload["info"])
        # A measurement that could not be made is NaN.
        check_record(info, skip="metrics")
        check_embedder(info.embedder)
        check_samples(info, config.d_in)
        check_table(info.query_table)
        state = {name: found[name] for name in PARAMETERS}
    # RuntimeError: a size that torch refuses.
    except (KeyError, TypeError, AttributeError, RuntimeError, ConfigError) as error:
        raise CheckpointError(f"{path} is incomplete ({error}): train it again") from error
    d_in, n_latents = config.d_in, config.n_latents
    shapes = {"W_enc": (d_in, n_latents), "b_enc": (n_latents,), "W_dec": (n_latents, d_in), "b_dec": (d_in,)}
    shapes |= dict.fromkeys(("step_size", "b_step"), (config.encoder_depth - 1, n_latents))
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or not tensor.is_floating_point():
            raise CheckpointError(f"{path}: {name} is no dense tensor of floating-point numbers: train it again")
        if tuple(tensor.shape) != shapes[name]:
            raise CheckpointError(f"{path}: {name} has shape {tuple(tensor.shape)}, its config says {shapes[name]}")
        # One number may stand for all, and a tensor without a device has none.
        if tensor.device.type != "cpu" or tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
            raise CheckpointError(f"{path}: {name} holds fewer numbers than its shape says: train it again")
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path}: {name} holds NaN or infinite numbers: train it again")
    return config, info, state


def check_samples(info: CheckpointInfo, d_in: int) -> None:
    """Check the vectors that a checkpoint keeps of some documents; a TypeError."""
    rows, texts = info.sample_vectors, info.sample_texts
    if rows is None:
        return
    if rows.layout != torch.strided or rows.device.type != "cpu" or rows.dtype != torch.float32:
        raise TypeError("sample_vectors is no dense tensor of float32")
    if rows.ndim != 2 or rows.shape[1] != d_in or not 1 <= len(rows) <= MAX_SAMPLES:
        raise TypeError(f"sample_vectors has shape {tuple(rows.shape)}, expected up to {MAX_SAMPLES} rows of {d_in}")
    if texts and len(texts) != len(rows):
        raise TypeError(f"{len(texts)} sample_texts have {len(rows)} sample_vectors")
    if rows.untyped_storage().nbytes() < rows.numel() * rows.element_size():
        raise TypeError("sample_vectors holds fewer numbers than its shape says")
    if not bool(((rows.norm(dim=1) - 1).abs() <= UNIT_TOLERANCE).all()):
        raise TypeError("sample_vectors holds rows that are not of unit length")


def check_table(table: Tensor | None) -> None:
    """Check the query table that a checkpoint keeps, as far as it is bytes; a TypeError."""
    if table is None:
        return
    if not isinstance(table, Tensor) or table.dtype != torch.uint8 or table.ndim != 1 or table.device.type != "cpu":
        raise TypeError("query_table is no row of bytes")
    if table.layout != torch.strided or table.untyped_storage().nbytes() < len(table) or not len(table):
        raise TypeError("query_table holds fewer bytes than its shape says")


def check_embedder(embedder: dict[str, Any] | None) -> None:
    """Check what a checkpoint says of its embedder; a KeyError or TypeError."""
    if embedder is None:
        return
    if not isinstance(embedder, dict):
        raise TypeError(f"embedder is a {type(embedder).__name__}")
    kinds = {"id": str, "revision": str, "sha256": str, "max_length": int, "path": str}
    for name, kind in kinds.items():
        if type(embedder[name]) is not kind:
            raise TypeError(f"{name} of the embedder is {embedder[name]!r}, expected a {kind.__name__}")
    for name in ("query_prefix", "document_prefix", "kind", "pooling"):
        if not isinstance(embedder.get(name, ""), str):
            raise TypeError(f"{name} of the embedder is {embedder[name]!r}, expected a text")
    cut = embedder.get("truncate_dim")
    if cut is not None and (type(cut) is not int or cut < 1):
        raise TypeError(f"truncate_dim of the embedder is {cut!r}, expected a whole number of at least 1, or null")
