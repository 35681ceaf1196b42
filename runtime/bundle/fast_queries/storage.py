"""The file of a query table in a bundle. It is optional, and no index is tied to it."""

from __future__ import annotations

import io
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ....arrays import FloatArray
from ....errors import BundleError, ConfigError
from ....files import sha256_of
from ..manifest import FAST_QUERIES, MANIFEST, TOKENIZER, Manifest
from ..reading import MALFORMED, OpenedFiles, check_version, read_arrays
from ..tokenizer import open_tokenizer
from ..write import staged_folder
from .nibbles import pack, width_of
from .table import QueryTable, Table

FORMAT_VERSION = 1
_NO_DIGEST = "0" * 64
_CURE = "make it again with: sae fast-queries --bundle BUNDLE --data DOCUMENTS"


def quantised(rows: FloatArray, **others: Any) -> Table:
    """Return a table with float rows, shape (tokens + 1, d_in), in 4 bits a number."""
    packed, scale = pack(rows)
    return Table(packed, scale, d_in=rows.shape[1], **others)


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
    path = folder / FAST_QUERIES
    try:
        with files.unchanged(FAST_QUERIES, TOKENIZER):
            table, embedder = _read(path, manifest.d_in)
            tokenizer = open_tokenizer(folder / TOKENIZER, manifest.max_length)
    except MALFORMED as error:
        raise BundleError(f"{path} cannot be read ({type(error).__name__}: {error}): {_CURE}") from error
    if embedder != manifest.query_digest:
        raise BundleError(f"{path} was fitted to another embedder or prompt than those of the bundle: {_CURE}")
    tokenizer.no_padding()
    return QueryTable(table, tokenizer, manifest.max_length)


def read_general(path: Path, d_in: int) -> Table:
    """Read a table that is in no bundle: one that comes with the package, or from a checkpoint.

    Raises:
        BundleError: It cannot be read.
    """
    try:
        return _read(path, d_in)[0]
    except MALFORMED as error:
        raise BundleError(
            f"{path} cannot be read ({type(error).__name__}: {error}): install the package again"
        ) from error


def general_bytes(table: Table) -> bytes:
    """Return the file of a table that is in no bundle; `with_table` gives it a bundle's digest."""
    return table_bytes(table, _NO_DIGEST)


def _read(path: Path, d_in: int) -> tuple[Table, str]:
    """Read a file: the table, and the digest of the embedder that it belongs to; an error of `MALFORMED`."""
    width, groups = width_of(d_in)
    kinds: dict[str, tuple[str, tuple[int | None, ...]]] = {
        **{"format_version": ("i", ()), "packed": ("u", (None, width)), "scale": ("f", (None, groups))},
        **{"seen": ("i", (None,)), "confidence": ("f", (5,)), "threshold": ("f", ())},
        **{"longest": ("i", ()), "embedder": ("u", (32,))},
    }
    found = read_arrays(path, kinds)
    check_version(path, int(found["format_version"]), FORMAT_VERSION)
    if found["packed"].dtype != np.uint8 or found["embedder"].dtype != np.uint8:
        raise ValueError("its arrays are of other types")
    if not len(found["packed"]) == len(found["scale"]) == len(found["seen"]) + 1:
        raise ValueError("its arrays do not fit each other")
    if not all(np.isfinite(found[name]).all() for name in ("scale", "confidence", "threshold")):
        raise ValueError("it holds NaN or infinite numbers")
    table = Table(
        found["packed"],
        found["scale"].astype(np.float32),
        found["seen"].astype(np.int64),
        found["confidence"].astype(np.float32),
        float(found["threshold"]),
        int(found["longest"]),
        d_in,
    )
    return table, found["embedder"].tobytes().hex()


def table_bytes(table: Table, digest: str) -> bytes:
    """Return the file of a table that belongs to the embedder with this `Manifest.query_digest`."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        format_version=np.int64(FORMAT_VERSION),
        packed=table.packed,
        scale=table.scale.astype(np.float16),
        seen=table.seen.astype(np.int32),
        confidence=table.confidence.astype(np.float32),
        threshold=np.float64(table.threshold),
        longest=np.int64(table.longest),
        embedder=np.frombuffer(bytes.fromhex(digest), np.uint8),
    )
    return buffer.getvalue()


def with_table(folder: Path, manifest: Manifest, table: Table) -> Manifest:
    """Write a table into a folder that will be a bundle, and return its manifest with it."""
    content = table_bytes(table, manifest.query_digest)
    (folder / FAST_QUERIES).write_bytes(content)
    entry: dict[str, str | int] = {"sha256": sha256_of(folder / FAST_QUERIES), "bytes": len(content)}
    return replace(manifest, files=manifest.files | {FAST_QUERIES: entry})


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
    with staged_folder(bundle_folder, overwrite=True) as folder, files.unchanged(*bundled.files):
        for name in set(bundled.files) - {FAST_QUERIES}:
            _link_or_copy(bundle_folder / name, folder / name)
        manifest = with_table(folder, bundled, table)
        (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        # One that cannot be opened must not take the place of one that can.
        read_table(folder, manifest, OpenedFiles(folder))


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
