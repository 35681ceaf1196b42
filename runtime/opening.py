"""Opening of an index: its folder, database and bundle are found, checked against each other, and tidied."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from ..errors import ConfigError, IndexFolderError, IndexLockedError, SteersearchError, StorageError
from ..files import absolute
from .bundle.bundle import Bundle
from .bundle.fast_queries.table import Queries
from .bundle.onnx_session import MemoryProfile
from .ingest.adoption import MODEL_DIGEST, adopt, facts_of
from .search.backends import Backend, check_backend, stored_backend
from .search.views import Views
from .store.documents import DocumentStore
from .store.folder import CACHE, DATABASE, FOLDERS, is_only_read
from .store.leftovers import remove_leftovers, remove_unfinished

logger = logging.getLogger("steersearch.runtime.index")

Parts = tuple[Path, DocumentStore, Bundle | None, Backend]
"""The folder, the open database, the bundle that steers, and the backend that searches."""


def open_parts(
    path: str | Path,
    bundle: str | Path | Bundle | None,
    *,
    backend: Backend,
    readonly: bool,
    profile: MemoryProfile,
    threads: int | None,
    embedder: Any = None,
    queries: Queries = "transformer",
) -> Parts:
    """Open what an index is made of. Arguments and errors as in `SteerableIndex.open`."""
    check_backend(backend)
    folder = absolute(path)
    store = open_store(folder, readonly=readonly)
    if not store.readonly:
        remove_unfinished(folder)
        remove_leftovers(store.writing, (folder, folder / CACHE, folder / FOLDERS))
    try:
        opened = _open_bundle(folder, store, bundle, profile, threads, embedder, queries)
        return folder, store, opened, stored_backend(backend, store.meta)
    except KeyError as error:
        store.close()
        raise IndexFolderError(f"{folder} lacks {error} in its database: index the documents again") from error
    except SteersearchError:
        store.close()
        raise


def open_store(path: str | Path, *, readonly: bool = False) -> DocumentStore:
    """Open the documents of an index alone, for what needs no bundle; errors as in `SteerableIndex.open`."""
    folder = absolute(path)
    # Not `Path.is_file`, which raises an OSError for a name that is too long.
    if not os.path.isfile(folder / DATABASE):
        cure = f"make one with `sae index --bundle BUNDLE --data FILE --out {folder}`"
        raise IndexFolderError(f"{folder} is not an index: {cure}")
    return DocumentStore.open(folder / DATABASE, readonly=readonly or is_only_read(folder))


def close_parts(folder: Path, store: DocumentStore, views: Views) -> None:
    """Write outdated caches if possible, then close the files of an index."""
    try:
        save = not store.readonly
        if save and not store.in_place:
            save = False
            logger.warning("left the caches of %s as they were: the index was moved, replaced or deleted", folder)
        views.close(save=save)
    except (IndexLockedError, StorageError) as error:
        logger.warning("left the caches of %s as they were: %s", folder, error)
    finally:
        store.close()


def open_bundle(bundle: str | Path | Bundle | None, embedder: Any = None) -> Bundle | None:
    """Open the bundle of a new index.

    Raises:
        ConfigError: An embedder is given, and there is no bundle or it is open already.
        BundleError: The bundle cannot be used.
    """
    if isinstance(bundle, str | Path):
        return Bundle.load(bundle, embedder=embedder)
    _check_embedder(bundle, embedder)
    return bundle


def _check_embedder(bundle: Bundle | None, embedder: Any) -> None:
    if embedder is not None:
        cure = "name its folder in bundle=" if bundle is None else "give it to Bundle.load"
        raise ConfigError(f"embedder= belongs to a bundle that is opened here: {cure}")


def _open_bundle(
    folder: Path,
    store: DocumentStore,
    bundle: str | Path | Bundle | None,
    profile: MemoryProfile,
    threads: int | None,
    embedder: Any,
    queries: Queries,
) -> Bundle | None:
    """Open the bundle of an index, and encode the documents of one that had none."""
    meta = store.meta
    if isinstance(bundle, Bundle) or (bundle is None and MODEL_DIGEST not in meta):
        _check_embedder(bundle, embedder)
    if isinstance(bundle, Bundle):
        opened = bundle
    elif bundle is None and MODEL_DIGEST not in meta:
        return None
    else:
        where = absolute(bundle) if bundle is not None else folder / meta["bundle"]
        if bundle is None and not where.exists():
            raise IndexFolderError(
                f"{folder} was made with the bundle {where}, which is gone: say where it is with bundle="
            )
        opened = Bundle.load(where, profile=profile, threads=threads, embedder=embedder, queries=queries)
    if MODEL_DIGEST not in meta:
        adopt(store, opened, facts_of(opened, folder))
    elif opened.manifest.model_digest != meta[MODEL_DIGEST] or opened.d_in != store.d_in:
        raise IndexFolderError(
            f"{folder} was made with another model (d_in {store.d_in}) than {opened.path} "
            f"(d_in {opened.d_in}): open it with its own bundle, or index the documents again"
        )
    return opened
