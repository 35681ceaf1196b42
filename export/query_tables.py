"""Which query table a new bundle gets: one that fits its embedder, from the nearest place that has one."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from ..catalogue import pretrained_models
from ..errors import BundleError, CheckpointError, SteersearchError
from ..runtime.bundle.bundle import Bundle
from ..runtime.bundle.fast_queries.storage import general_bytes, has_table, read_general
from ..runtime.bundle.fast_queries.table import Table
from ..runtime.bundle.manifest import FAST_QUERIES, TOKENIZER, Manifest
from ..training.checkpoint import CheckpointInfo
from ..training.embedder_source import EmbedderSource

logger = logging.getLogger(__name__)


def find_table(info: CheckpointInfo, source: EmbedderSource, manifest: Manifest, old: Path) -> tuple[Table, str] | None:
    """Return a table for a new bundle, and where it is from; None where there is none for its embedder.

    Args:
        info: Of the checkpoint; its own table comes from ``sae train --fast-queries``.
        source: The embedder, with its prompts.
        manifest: Of the new bundle.
        old: The bundle that will be replaced, or nothing; its table goes before all others.
    """
    if (table := _carried(old, manifest)) is not None:
        return table, "the bundle that is replaced"
    if source.kind == "static":
        return None
    if (table := _trained(info, source, manifest.d_in)) is not None:
        return table, "the checkpoint"
    if (table := _general(source, manifest)) is not None:
        return table, "the package, for this embedder"
    return None


def stored(table: Table) -> torch.Tensor:
    """Return a table as a checkpoint holds it: the bytes of its file, uint8."""
    return torch.from_numpy(np.frombuffer(general_bytes(table), np.uint8).copy())


def _carried(old: Path, manifest: Manifest) -> Table | None:
    """Return the table of a bundle that is replaced, if it belongs to the same embedder, in whatever precision."""
    if not (old / FAST_QUERIES).is_file():
        return None
    reason = "it belongs to another embedder or prompt"
    try:
        bundle = Bundle.load(old)
        if has_table(bundle.manifest) and _embedder_of(bundle.manifest) == _embedder_of(manifest):
            return bundle.query_table.table
    except SteersearchError as error:
        reason = str(error)
    logger.warning(
        "the table for fast queries of the bundle that is replaced is not kept, since %s: make one with "
        "`sae fast-queries`",
        reason,
    )
    return None


def _trained(info: CheckpointInfo, source: EmbedderSource, d_in: int) -> Table | None:
    """Return the checkpoint's table, if queries are embedded as they were when it was fitted."""
    if info.query_table is None or info.embedder is None:
        return None
    known = info.embedder
    names = ("sha256", "max_length", "query_prefix", "pooling", "truncate_dim")
    if any(known.get(name) != getattr(source, name) for name in names):
        logger.warning(
            "the checkpoint's table for fast queries is left out, since it was fitted to another embedder or prompt: "
            "make one with `sae fast-queries`"
        )
        return None
    with TemporaryDirectory() as folder:
        path = Path(folder, FAST_QUERIES)
        path.write_bytes(info.query_table.numpy().tobytes())
        try:
            return read_general(path, d_in)
        except BundleError as error:
            raise CheckpointError(f"the table for fast queries in the checkpoint is damaged ({error})") from error


def _general(source: EmbedderSource, manifest: Manifest) -> Table | None:
    """Return a table of the package that was fitted to the same embedder on open text."""
    for model in pretrained_models():
        same = model.embedder_sha256 == source.sha256 and model.max_length == source.max_length
        if model.queries_file and same and not source.query_prefix and model.d_in == manifest.d_in:
            return read_general(model.queries_file, model.d_in)
    return None


def _embedder_of(manifest: Manifest) -> tuple[Any, ...]:
    """Return what decides the vector of a query, but for the precision."""
    tokenizer = manifest.files[TOKENIZER]["sha256"] if TOKENIZER in manifest.files else None
    return manifest.embedder["sha256"], manifest.query_prefix, manifest.d_in, manifest.max_length, tokenizer
