"""A folder whose files are one document each."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..errors import DataError, MissingExtraError
from .formats import format_of, read_document
from .rows import Row

logger = logging.getLogger(__name__)


class Folder:
    """The files of a folder and its sub-folders, in the same order on every machine; an id is a path in the folder.

    Hidden files and folders (their names begin with a dot) are left out. Links to folders are not followed, so that
    there are no loops. A file that cannot be read is left out and named in `problems`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: dict[str, str] = {}
        """Id -> reason why it could not be read."""

    def ids(self) -> list[str]:
        """List the ids of all files with a format that can be read, sorted."""
        found = []
        for folder, inner, names in os.walk(self.path, onerror=self._unreadable):
            inner[:] = [name for name in inner if not name.startswith(".")]
            here = Path(folder)
            for name in names:
                path = here / name
                if not name.startswith(".") and _is_document(path):
                    found.append(path.relative_to(self.path).as_posix())
        return sorted(found)

    def rows(self, ids: Sequence[str], wanted: Callable[[int], bool]) -> Iterator[tuple[int, Row]]:
        """Yield (position, row) of the files whose position among `ids` is wanted; open no others."""
        for position, id in enumerate(ids):
            if not wanted(position):
                continue
            path = self.path / id
            try:
                # A link may also lead to itself.
                if not path.exists():
                    raise DataError(f"{path} is a link that leads nowhere: remove it")
                yield position, read_document(path, id)
            except (DataError, MissingExtraError) as error:
                if not self.problems:
                    logger.warning("%s: files that cannot be read are left out, first %s", self.path, error)
                self.problems[id] = str(error)

    def _unreadable(self, error: OSError) -> None:
        name = Path(error.filename).relative_to(self.path).as_posix() if error.filename else "."
        self.problems[name] = f"{error.filename} cannot be read: {error.strerror or error}"


def _is_document(path: Path) -> bool:
    format = format_of(path)
    return format is not None and format.read_document is not None and (path.is_file() or path.is_symlink())
