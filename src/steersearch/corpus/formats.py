"""The table of file formats. `Corpus.open`, folders, messages and the help of the command line read it.

A new format is one module with its reader and one entry in `FORMATS`. A program may also add an entry with `register`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, DataError
from ..extras import require
from .html import read_html
from .lines import read_bytes
from .parquet import read_parquet_rows
from .pdf import read_pdf
from .readers import suffix_of
from .rows import Row, read_csv_rows, read_json_rows, read_text_rows
from .sections import Content, read_markdown, read_text


@dataclass(frozen=True)
class Format:
    """One kind of file. It has a reader of rows, a reader of documents, or both."""

    suffixes: tuple[str, ...]
    """Endings of its file names in lower case, without the dot. Messages show the first one."""
    description: str
    """Its content, on one line."""
    read_rows: Callable[[Path, str | None], Iterable[Row]] | None = None
    """Reads many documents from one file, given its path and the column or field that holds the text."""
    read_document: Callable[[Path, bytes], Content] | None = None
    """Reads a file as one document, given its path and its bytes. Only these formats are looked for in folders."""
    gzip: bool = False
    """Whether `read_rows` also takes files that end in ``.gz``."""
    extra: str = ""
    """The extra of steersearch that the reader needs; empty when it needs none."""
    modules: tuple[str, ...] = ()
    """Import names that this extra brings."""

    @property
    def name(self) -> str:
        """Return the first suffix with its dot."""
        return f".{self.suffixes[0]}"

    def require(self) -> None:
        """Raise a `MissingExtraError` when a library for this format is not installed."""
        if self.extra:
            require(self.extra, *self.modules)


FORMATS = [
    Format(("jsonl",), "one JSON object per line", read_rows=read_json_rows, gzip=True),
    Format(("csv",), "a table with a header", read_rows=read_csv_rows, gzip=True),
    Format(("parquet",), "a table", read_rows=read_parquet_rows, extra="parquet", modules=("pyarrow",)),
    Format(
        ("txt",),
        "plain text: alone one document per line, in a folder one document per file",
        read_rows=lambda path, _: read_text_rows(path),
        read_document=read_text,
        gzip=True,
    ),
    Format(("md", "markdown"), "Markdown", read_document=read_markdown),
    Format(("html", "htm", "xhtml"), "a web page", read_document=read_html, extra="files", modules=("selectolax",)),
    Format(("pdf",), "pages of text", read_document=read_pdf, extra="files", modules=("pypdf",)),
]


def register(new: Format) -> None:
    """Add a format to the table.

    Raises:
        ConfigError: It has no reader, or a suffix that another format has already.
    """
    if not new.read_rows and not new.read_document:
        raise ConfigError(f"the format {new.name} has no reader: give read_rows, read_document or both")
    known = {suffix for format in FORMATS for suffix in format.suffixes}
    if taken := sorted(known.intersection(new.suffixes)):
        raise ConfigError(f"another format has the suffix {', '.join(taken)} already: choose another one")
    FORMATS.append(new)


def format_of(path: Path) -> Format | None:
    """Return the format of a file by its name, without regard to ``.gz``; None when there is none."""
    suffix = suffix_of(path)
    return next((format for format in FORMATS if suffix in format.suffixes), None)


def reads_rows(path: Path) -> bool:
    """Whether a file can be opened as one with many documents, by its name."""
    format = format_of(path)
    packed = path.suffix.lower() == ".gz"
    return format is not None and format.read_rows is not None and (format.gzip or not packed)


def read_document(path: Path, id: str) -> Row:
    """Read one file as one document; its metadata names the file.

    Blanks at the end are dropped and none at the start, so that positions in the text are positions in a text file.

    Raises:
        DataError: The file cannot be read, is of another format, damaged, encrypted, binary or in an unknown encoding.
        MissingExtraError: The library for its format is not installed.
    """
    format = format_of(path)
    if format is None or format.read_document is None:
        raise DataError(f"{path} is no document: expected {any_of(document_formats())}")
    format.require()
    text, sections, metadata = format.read_document(path, read_bytes(path))
    return Row(id, text.rstrip(), metadata={"source": id, **metadata}, sections=sections, made_up=True)


def document_formats() -> list[str]:
    """List the formats that a folder may hold: ``.txt``, ``.md`` and so on."""
    return [format.name for format in FORMATS if format.read_document]


def row_formats() -> list[str]:
    """List the formats with many documents in a file, with ``(.gz)`` where that may follow."""
    return [f"{format.name}{'(.gz)' if format.gzip else ''}" for format in FORMATS if format.read_rows]


def single_formats() -> list[str]:
    """List the formats that hold one document, in a folder or alone."""
    return [format.name for format in FORMATS if not format.read_rows]


def file_formats() -> str:
    """Say which files can be opened, for messages."""
    packed = [format.name for format in FORMATS if format.gzip]
    return f"{any_of([format.name for format in FORMATS])} (.gz allowed for {any_of(packed, 'and')})"


def any_of(names: Sequence[str], word: str = "or") -> str:
    """Join names as in ``.txt, .md or .pdf``."""
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
