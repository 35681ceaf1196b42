"""What killed processes leave behind, removed at the next writing; the files of a live writer stay."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from ...errors import IndexFolderError, StorageError
from ...files import temporary_folders
from .write_lock import WriterLock

_UNFINISHED = ("documents.sqlite", ".documents.sqlite.", "write.lock", "writer.json", "commits")
"""What the names of the files in a folder begin with that is being made into an index."""


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files in a folder; of killed writers, if nobody is writing to it."""
    # SQLite's own files beside a temporary database have a further suffix.
    return [path for path in folder.glob(".*.tmp*") if not path.is_dir()]


def remove_leftovers(writing: Callable[[], AbstractContextManager[None]], folders: Iterable[Path]) -> None:
    """Remove temporary files of killed writers, unless somebody is writing, whose files they may be.

    Args:
        writing: Acquires the right to write to the folders, as `DocumentStore.writing`.
        folders: Folders in which only its holder makes temporary files; they need not exist.
    """
    found = [path for folder in folders for path in leftovers(folder)]
    if not found:
        return
    # Whatever cannot be removed harms nobody.
    with suppress(IndexFolderError, StorageError), writing():
        for path in found:
            with suppress(OSError):
                path.unlink()


def remove_unfinished(folder: Path) -> None:
    """Remove the hidden folders that killed processes left beside `folder` when they made an index there."""
    for hidden in temporary_folders(folder):
        # Whoever fills the folder holds its lock. Whatever cannot be removed harms nobody.
        with suppress(IndexFolderError, OSError):
            # A bundle of this name has hidden folders too.
            if all(path.name.startswith(_UNFINISHED) for path in hidden.iterdir()):
                with WriterLock(hidden).held():
                    shutil.rmtree(hidden, ignore_errors=True)
