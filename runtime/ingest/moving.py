"""`move`: the documents of an index in a new one of another bundle, without embedding them again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...errors import ConfigError, IndexFolderError, SteersearchError, StorageError
from ...files import absolute, make_temporary_folder
from ..bundle.bundle import Bundle
from ..bundle.manifest import read_manifest
from ..store.documents import DocumentStore
from ..store.folder import DATABASE, check_free
from .adoption import MODEL_DIGEST, SAME_SPACE, facts_of
from .sources import SOURCE

BATCH = 512
PROBED = 8
"""Texts that are embedded and compared where the two bundles are not known to have one embedder."""


def move(
    old: str | Path, new: str | Path, bundle: Bundle, *, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write a new index with the documents of an old one, each encoded again; return the number of rows.

    The old one is only read. The new folder appears when all is in it, or not at all.

    Raises:
        ConfigError: The bundle has another embedder than the one that made the vectors.
        IndexFolderError: There is no index at `old`, or something at `new`.
        StorageError: The new folder cannot be written.
    """
    source, target = absolute(old), absolute(new)
    if not (source / DATABASE).is_file():
        raise IndexFolderError(f"{source} is not an index: name the folder of one")
    check_free(target)
    with DocumentStore.open(source / DATABASE, readonly=True) as store, store.snapshot():
        check_embedder(store, bundle)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = make_temporary_folder(target)
        except OSError as error:
            raise StorageError(f"cannot make {target}: {error.strerror or error}") from error
        try:
            rows = _fill(store, temporary / DATABASE, bundle, facts_of(bundle, target), progress)
            os.replace(temporary, target)
        except OSError as error:
            if isinstance(error, SteersearchError):
                raise
            raise StorageError(f"cannot make {target}: {error.strerror or error}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return rows


def check_embedder(store: DocumentStore, bundle: Bundle) -> None:
    """Check that a bundle's embedder made the vectors of a store: by its digest, else on a few of the texts.

    Raises:
        ConfigError: The vectors have another width, are of another embedder, or nobody can tell.
    """
    folder = store.path.parent
    cure = "use a bundle of the embedder that made them, or index the documents again"
    if store.d_in != bundle.d_in:
        raise ConfigError(f"{folder} holds vectors of {store.d_in} numbers, {bundle.path} takes {bundle.d_in}: {cure}")
    if _same_embedder(store, bundle) or not len(store):
        return
    if not bundle.embeds:
        raise ConfigError(
            f"{bundle.path} has no embedder, so nobody can see whether it belongs to the vectors of {folder}: give its "
            "embedder (--embedder-url), or put the old bundle back where it was"
        )
    rows = store.rowids()
    rows = rows[:: max(1, -(-len(rows) // PROBED))]
    again = bundle.embed_documents([record.text for record in store.by_rowid(rows)])
    cosines = np.einsum("ij,ij->i", again, store.vectors_of(rows))
    if (cosine := float(np.median(cosines))) < SAME_SPACE:
        raise ConfigError(
            f"{folder} holds vectors of another embedder than {bundle.path}: embedded again, {len(rows)} of its texts "
            f"have a median cosine of {cosine:.2f} to them, expected at least {SAME_SPACE}; {cure}"
        )


def _same_embedder(store: DocumentStore, bundle: Bundle) -> bool:
    """Return whether the bundle of a store is where it was and has the embedder and prefix of another one."""
    meta = store.meta
    if meta.get(MODEL_DIGEST) == bundle.manifest.model_digest:
        return True
    try:
        before = read_manifest(store.path.parent / meta["bundle"], verify=False)
    except (KeyError, SteersearchError):
        return False
    if before.model_digest != meta.get(MODEL_DIGEST):
        return False
    one, other = ((m.embedder_digest, m.embedder_kind, m.document_prefix) for m in (before, bundle.manifest))
    # Without an embedder the digest says nothing.
    return one == other and before.embedder_kind != "none"


def _fill(
    store: DocumentStore,
    path: Path,
    bundle: Bundle,
    facts: dict[str, str],
    progress: Callable[[int, int], None] | None,
) -> int:
    meta = {key: value for key, value in store.meta.items() if key.startswith(SOURCE) or key == "backend"}
    rows = store.rowids()
    with DocumentStore.create(path, d_in=store.d_in, meta={"backend": "auto", **meta, **facts}) as filled:
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            records, vectors = store.by_rowid(part), store.vectors_of(part)
            ids = [record.id for record in records]
            columns = ids, [record.text for record in records], [record.metadata for record in records]
            filled.put(*columns, vectors, *bundle.encode(vectors), made_up=store.owners_of(ids))
            if progress:
                progress(min(start + BATCH, len(rows)), len(rows))
    return len(rows)
