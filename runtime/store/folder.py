"""The folder of an index: it appears whole or not at all, and is only read where writing would harm it."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ...errors import IndexFolderError, StorageError
from ...files import make_temporary_folder
from .documents import DocumentStore
from .leftovers import remove_unfinished
from .sqlite import is_shared, is_writable

logger = logging.getLogger(__name__)

FOLDERS = "folders"
"""Folder of an index in which older versions recorded the files that it holds of each source folder."""
DATABASE = "documents.sqlite"
CACHE = "cache"


def check_free(folder: Path) -> None:
    """Check that an index can be made at a path: nothing or an empty folder is there.

    Raises:
        IndexFolderError: Something is there.
        StorageError: The path cannot be looked at.
    """
    if "\0" in str(folder):
        raise StorageError(f"cannot make {str(folder)!r}: no path holds U+0000")
    try:
        if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
            link = "is a link that leads nowhere: remove it"
            cure = "is not empty: use SteerableIndex.open" if folder.exists() else link
            raise IndexFolderError(f"{folder} exists and {cure}")
    except OSError as error:
        raise StorageError(f"cannot make {folder}: {error}") from error


def make_folder(folder: Path, *, d_in: int, meta: Mapping[str, str]) -> None:
    """Make the folder of an empty index, with its database; arguments as in `DocumentStore.create`.

    Raises:
        IndexFolderError: Another process made an index there meanwhile.
        StorageError: It cannot be written; nothing is left behind.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder)
        temporary = make_temporary_folder(folder)
    except OSError as error:
        raise StorageError(f"cannot make {folder}: {error}") from error
    try:
        DocumentStore.create(temporary / DATABASE, d_in=d_in, meta=meta).close()
        os.replace(temporary, folder)
    except OSError as error:
        if folder.is_dir() and any(folder.iterdir()):
            raise IndexFolderError(
                f"{folder} was made by another process meanwhile: use SteerableIndex.open"
            ) from error
        raise StorageError(f"cannot make {folder}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_only_read(folder: Path) -> bool:
    """Return whether an index must not be written, which the log says: by this user, or because of a second name."""
    if not is_writable(folder / DATABASE):
        why = "cannot be written by this user"
    elif is_shared(folder / DATABASE):
        why = "shares its database with another folder (hard links)"
    else:
        return False
    logger.warning("%s %s: it is opened for reading only", folder, why)
    return True
