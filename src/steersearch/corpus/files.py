"""A folder whose files are one document each."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..errors import DataError, MissingExtraError
from .formats import format_of, read_document, reads_rows
from .lines import check_inside
from .repair import encodable_name
from .rows import Row

logger = logging.getLogger(__name__)
left_out_logger = logging.getLogger("steersearch.corpus.left_out")
"""Not the one of `problems`, which a program that lists them turns off."""


class Folder:
    """The files of a folder and its sub-folders, in the same order on every machine; an id is a path in the folder.

    Hidden files and folders (their names begin with a dot) are left out. Links to folders are not followed, so that
    there are no loops. A file that cannot be read, or is a link that leads out of the folder, is left out and named in
    `problems`. Files that hold many documents or are packed are left out with one warning, see `left_out`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: dict[str, str] = {}
        """Id -> reason why it could not be read."""
        self._warned = False

    def ids(self) -> list[str]:
        """List the ids of all files with a format that can be read, sorted."""
        return sorted(self.files())

    def files(self) -> dict[str, Path]:
        r"""Return id -> path of all files with a format that can be read.

        An id is the path in the folder with ``/``. Bytes of a name that are not UTF-8 are written out (``\\udce9``).
        """
        found: dict[str, Path] = {}
        for path in self._walk():
            if _is_document(path):
                id = self._id(path)
                while id in found:
                    # A file may be called as another one is written out.
                    id += "'"
                found[id] = path
        return found

    def left_out(self) -> str:
        """Name the first file with a known format that is not one document, and its cure; ``""`` if there is none."""
        others = [path for path in self._walk() if format_of(path) and path.is_file() and not _is_document(path)]
        if not others:
            return ""
        count = "1 file is" if len(others) == 1 else f"{len(others):,} files are"
        cure = "index it by itself" if reads_rows(others[0]) else "unpack it"
        return f"{count} not one document and left out, first {self._id(others[0])}: {cure}"

    def rows(self, ids: Sequence[str], wanted: Callable[[int], bool]) -> Iterator[tuple[int, Row]]:
        """Yield (position, row) of the files whose position among `ids` is wanted; open no others."""
        files = self.files()
        # Only in the process that reads the first file, should several share the work.
        if not self._warned and wanted(0) and (left_out := self.left_out()):
            left_out_logger.warning("%s: %s", self.path, left_out)
            self._warned = True
        for position, id in enumerate(ids):
            if not wanted(position):
                continue
            path = files.get(id, self.path / id)
            try:
                # A link may also lead to itself.
                if not path.exists():
                    raise DataError(f"{path} is a link that leads nowhere: remove it")
                if path.is_symlink():
                    check_inside(path, self.path)
                yield position, read_document(path, id)
            except (DataError, MissingExtraError) as error:
                # The error of a missing library does not know for which file it was needed.
                why = f"{path} cannot be read: {error}" if isinstance(error, MissingExtraError) else str(error)
                problem = encodable_name(why)
                if not self.problems:
                    logger.warning("%s: files that cannot be read are left out, first %s", self.path, problem)
                self.problems[id] = problem

    def _walk(self) -> Iterator[Path]:
        """Yield all files that are not hidden, in the same order on every machine."""
        for folder, inner, names in os.walk(self.path, onerror=self._unreadable):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            yield from (Path(folder) / name for name in sorted(names) if not name.startswith("."))

    def _id(self, path: Path) -> str:
        return encodable_name(path.relative_to(self.path).as_posix())

    def _unreadable(self, error: OSError) -> None:
        name = self._id(Path(error.filename)) if error.filename else "."
        self.problems[name] = f"{encodable_name(str(error.filename))} cannot be read: {error.strerror or error}"


def _is_document(path: Path) -> bool:
    format = format_of(path)
    if format is None or format.read_document is None or path.suffix.lower() == ".gz":
        return False
    return path.is_file() or path.is_symlink()
