"""Files that are one document each: plain text, Markdown, HTML and PDF."""

from __future__ import annotations

import codecs
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..errors import DataError, MissingExtraError
from .readers import Row, kind_of
from .sections import Section, markdown_sections

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_file(path: Path, id: str) -> Row:
    """Read one file as one document; its metadata says which file it is.

    The text is what the file holds, without blanks at its end, so that positions in it are positions in a text file.

    Raises:
        DataError: It cannot be read, is damaged, encrypted, binary or in an unknown encoding.
        MissingExtraError: The library for this kind is not installed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    text, sections, metadata = FILE_KINDS[kind_of(path)](path, data)
    return Row(id, text.rstrip(), metadata={"source": id, **metadata}, sections=sections)


def decode(path: Path, data: bytes) -> str:
    """The text of a file that is UTF-8, or UTF-16 or UTF-32 with a byte order mark.

    Raises:
        DataError: It is something else; the message says where.
    """
    encoding = encoding_mark(data) or "utf-8"
    if encoding == "utf-8" and b"\0" in data:
        raise DataError(f"{path} is binary: expected text")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise DataError(f"{path} is damaged: its byte order mark says {encoding}, which it is not") from error
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise DataError(f"{path}, line {line}: byte 0x{byte:02x} is not UTF-8: save the file as UTF-8") from error


def encoding_mark(data: bytes) -> str | None:
    """The encoding that a byte order mark names."""
    return next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)


Read = tuple[str, tuple[Section, ...], dict[str, object]]
"""Text, sections and metadata of a file."""


def _text(path: Path, data: bytes) -> Read:
    return decode(path, data), (), {}


def _markdown(path: Path, data: bytes) -> Read:
    text = decode(path, data)
    return text, markdown_sections(text), {}


def _html(path: Path, data: bytes) -> Read:
    from .html import read_html

    if not encoding_mark(data) and b"\0" in data:
        raise DataError(f"{path} is binary: expected HTML")
    return read_html(path, data)


def _pdf(path: Path, data: bytes) -> Read:
    from .pdf import read_pdf

    return read_pdf(path, data)


FILE_KINDS: dict[str, Callable[[Path, bytes], Read]] = {
    "txt": _text,
    "md": _markdown,
    "markdown": _markdown,
    "html": _html,
    "htm": _html,
    "xhtml": _html,
    "pdf": _pdf,
}
"""Suffix -> reader."""


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
