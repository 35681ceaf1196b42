"""Documents of an index that an older version made, which recorded no sources and gave no source a prefix."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from ...files import read_small
from ..store.documents import DocumentStore
from ..store.folder import FOLDERS
from ..store.pieces import is_chunk
from ..store.row_encoding import short
from .sources import Names

logger = logging.getLogger(__name__)

_LONGEST_RECORD = 1 << 28  # bytes; a million files of long names


def recorded_files(folder: Path, source: Path) -> set[str]:
    """Return the files of a source folder that an older version recorded in the index in `folder`; none if it did not.

    A record that cannot be read counts as none, and a warning says so.
    """
    name = hashlib.sha256(str(source.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    path = folder / FOLDERS / f"{name}.json"
    try:
        before = json.loads(read_small(path, _LONGEST_RECORD))
        return {id for id in before if isinstance(id, str)}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, TypeError, RecursionError) as error:
        logger.warning("%s cannot be read (%s): files that are gone stay in the index", path, error)
        return set()


def take_over(store: DocumentStore, names: Names, files: Collection[str]) -> None:
    """Let a folder keep the ids that an older version gave to its files, so that indexing it again updates them.

    It does so if no other source has ids without a prefix, and if no other source made up any of these ids. If there
    are several such folders, the first that is indexed again keeps its ids, and `warn_of_earlier` tells of the others.

    Args:
        store: The documents of the index.
        names: The source, which is not recorded.
        files: The recorded files of the folder.
    """
    if not files or not names.first_is_free or any(names.id_of_first(id) != id for id in files):
        return
    with store.snapshot():
        found = []
        for id in files:
            records = store.get([id, *store.ids_beginning(f"{id}#")])
            found += [
                r.id
                for r in records
                if r and r.metadata.get("source") == id and (r.id == id or is_chunk(r.id, r.metadata))
            ]
        others = set(store.owners_of(found).values()) - {""}  # an interrupted run left those
    if found and not others:
        store.set_owners(dict.fromkeys(found, ""))
        names.record("")


def warn_of_earlier(store: DocumentStore, names: Names, ids: Sequence[str]) -> None:
    """Say once that a source may have earlier documents under ids without its prefix, which stay where they are.

    Nothing tells the lines ``1``, ``2``, ... of one file from those of another, so they are not replaced.

    Args:
        store: The documents of the index.
        names: The source.
        ids: Ids that the source made up, as they are in the index.
    """
    if not names.is_new or not names.prefix:
        return
    earlier = store.without_epoch([id.removeprefix(names.prefix) for id in ids])
    unowned = [id for id in earlier if id not in store.owners_of(earlier)]
    if unowned:
        names.is_new = False
        logger.warning(
            "the index has documents of an older version under ids such as %s, which now begin with %s for %s: if they "
            "are of this source, they are in the index twice; delete those without %s, or index into a new folder",
            short(unowned[0]),
            short(names.prefix),
            names.origin,
            short(names.prefix),
        )
