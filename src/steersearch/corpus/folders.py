"""Folders of files that are one document each."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..errors import DataError, MissingExtraError
from .files import FILE_KINDS, read_file
from .records import kind_of
from .rows import Row

logger = logging.getLogger(__name__)


class Folder:
    """The files of a folder and its sub-folders, in the same order on every machine; an id is a path in the folder.

    What is hidden (a name that begins with a dot) is left out, and links to folders are not followed, so that no loop
    can catch it. A file that cannot be read is left out and remembered in `problems`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: dict[str, str] = {}
        """Id -> why it could not be read."""

    def ids(self) -> list[str]:
        """The ids of all files of a kind that can be read, sorted."""
        found = []
        for folder, inner, names in os.walk(self.path, onerror=self._unreadable):
            inner[:] = [name for name in inner if not name.startswith(".")]
            here = Path(folder)
            for name in names:
                path = here / name
                if not name.startswith(".") and kind_of(path) in FILE_KINDS and (path.is_file() or path.is_symlink()):
                    found.append(path.relative_to(self.path).as_posix())
        return sorted(found)

    def rows(self, ids: Sequence[str], wanted: Callable[[int], bool]) -> Iterator[tuple[int, Row]]:
        """Read the files whose position among `ids` is wanted; yields (position, row)."""
        for position, id in enumerate(ids):
            if not wanted(position):
                continue
            path = self.path / id
            try:
                if not path.exists():  # also a link to itself
                    raise DataError(f"{path} is a link that leads nowhere: remove it")
                yield position, read_file(path, id)
            except (DataError, MissingExtraError) as error:
                if not self.problems:
                    logger.warning("%s: files that cannot be read are left out, first %s", self.path, error)
                self.problems[id] = str(error)

    def _unreadable(self, error: OSError) -> None:
        name = Path(error.filename).relative_to(self.path).as_posix() if error.filename else "."
        self.problems[name] = f"{error.filename} cannot be read: {error.strerror or error}"
