"""Files that are one document each: plain text, Markdown, HTML and PDF."""

import codecs
from collections.abc import Callable
from pathlib import Path

from ..errors import DataError
from .records import kind_of
from .rows import Row
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
