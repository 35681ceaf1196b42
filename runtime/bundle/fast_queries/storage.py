"""The file of a query table in a bundle. It is optional, and no index is tied to it."""

from __future__ import annotations

import io
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from ....errors import BundleError, ConfigError
from ....files import sha256_of
from ..manifest import FAST_QUERIES, MANIFEST, TOKENIZER, Manifest
from ..reading import MALFORMED, OpenedFiles, check_version, read_arrays
from ..tokenizer import open_tokenizer
from ..write import staged_folder
from .table import QueryTable, Table

FORMAT_VERSION = 1
_CURE = "make it again with: sae fast-queries --bundle BUNDLE --data DOCUMENTS"


def quantised(rows: np.ndarray, **others: object) -> Table:
    """Return a table with float rows, shape (tokens + 1, d_in), in 8 bits a number."""
    scale = (np.maximum(np.abs(rows).max(1), 1e-12) / 127).astype(np.float32)
    return Table(rows=np.round(rows / scale[:, None]).astype(np.int8), scale=scale, **others)  # type: ignore[arg-type]


def has_table(manifest: Manifest) -> bool:
    """Return whether a bundle has a query table."""
    return FAST_QUERIES in manifest.files


def check_table(folder: Path, manifest: Manifest) -> None:
    """Check that a bundle has a query table; a ConfigError with the cure else."""
    if not has_table(manifest):
        raise ConfigError(
            f"{folder} has no table for fast queries: make one with `sae fast-queries --bundle {folder} --data "
            "DOCUMENTS`, or leave queries at transformer"
        )


def read_table(folder: Path, manifest: Manifest, files: OpenedFiles) -> QueryTable:
    """Open the query table of a bundle.

    Raises:
        ConfigError: The bundle has none.
        BundleError: It cannot be read or does not fit the bundle.
        FormatVersionError: It was written by a newer steersearch.
    """
    check_table(folder, manifest)
    path, width = folder / FAST_QUERIES, manifest.d_in
    kinds: dict[str, tuple[str, tuple[int | None, ...]]] = {
        **{"format_version": ("i", ()), "rows": ("i", (None, width)), "scale": ("f", (None,))},
        **{
            "seen": ("i", (None,)),
            "confidence": ("f", (5,)),
            "threshold": ("f", ()),
            "longest": ("i", ()),
            "embedder": ("u", (32,)),
        },
    }
    try:
        with files.unchanged(FAST_QUERIES, TOKENIZER):
            found = read_arrays(path, kinds)
            check_version(path, int(found["format_version"]), FORMAT_VERSION)
            tokenizer = open_tokenizer(folder / TOKENIZER, manifest.max_length)
        if found["rows"].dtype != np.int8 or not len(found["rows"]) == len(found["scale"]) == len(found["seen"]) + 1:
            raise ValueError("its arrays do not fit each other")
        numbers = (found["scale"], found["confidence"], found["threshold"])
        if not all(np.isfinite(array).all() for array in numbers):
            raise ValueError("it holds NaN or infinite numbers")
    except MALFORMED as error:
        raise BundleError(f"{path} cannot be read ({type(error).__name__}: {error}): {_CURE}") from error
    if found["embedder"].tobytes().hex() != manifest.embedder_digest:
        raise BundleError(f"{path} was fitted to another embedder than that of the bundle: {_CURE}")
    tokenizer.no_padding()
    table = Table(
        found["rows"],
        found["scale"].astype(np.float32),
        found["seen"].astype(np.int64),
        found["confidence"].astype(np.float32),
        float(found["threshold"]),
        int(found["longest"]),
    )
    return QueryTable(table, tokenizer, manifest.max_length)


def write_table(bundle_folder: Path, bundled: Manifest, files: OpenedFiles, table: Table) -> None:
    """Write a query table into a bundle's folder, in place of an earlier one; the folder is replaced as a whole.

    Args:
        bundle_folder: The bundle's folder.
        bundled: Its manifest.
        files: Its files as they were when it was opened.
        table: The new table.

    Raises:
        ChecksumError: Another bundle is in the folder now, which is unchanged.
        StorageError: The disk is full or the folder cannot be replaced; it is unchanged then.
    """
    buffer = io.BytesIO()
    np.savez(
        buffer,
        format_version=np.int64(FORMAT_VERSION),
        rows=table.rows,
        scale=table.scale,
        seen=table.seen.astype(np.int32),
        confidence=table.confidence,
        threshold=np.float64(table.threshold),
        longest=np.int64(table.longest),
        embedder=np.frombuffer(bytes.fromhex(bundled.embedder_digest), np.uint8),
    )
    with staged_folder(bundle_folder, overwrite=True) as folder, files.unchanged(*bundled.files):
        for name in set(bundled.files) - {FAST_QUERIES}:
            _link_or_copy(bundle_folder / name, folder / name)
        (folder / FAST_QUERIES).write_bytes(buffer.getvalue())
        entry: dict[str, str | int] = {"sha256": sha256_of(folder / FAST_QUERIES), "bytes": buffer.tell()}
        manifest = replace(bundled, files=bundled.files | {FAST_QUERIES: entry})
        (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        # One that cannot be opened must not take the place of one that can.
        read_table(folder, manifest, OpenedFiles(folder))


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
