"""A corpus: documents that are read once per pass, so that they never have to fit in memory."""

import logging
import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from os import PathLike, fspath
from pathlib import Path

from ..errors import DataError
from ..files import absolute
from ..sequences import as_list
from .files import Folder
from .formats import any_of, document_formats, file_formats, format_of, read_document
from .lines import MAX_TEXT, check_regular
from .pairs import read_beir_pairs, read_pairs
from .readers import first_file
from .repair import encodable, encodable_name, storable
from .rows import Row, read_json_rows, read_objects
from .sections import Section

logger = logging.getLogger(__name__)
problem_logger = logging.getLogger("steersearch.corpus.problems")
"""A logger of its own, which a program that lists `problems` itself can turn off."""

Pair = tuple[str, str]
"""(query text, document id)."""

ROWS_PER_BLOCK = 512
FILES_PER_BLOCK = 32
"""Documents that are embedded together. Files are fewer because they are longer."""


@dataclass(frozen=True)
class Document:
    """One text that a search can find."""

    id: str
    text: str
    """The text; a title is joined in front of it with ``". "``."""
    metadata: Mapping[str, object] = field(default_factory=dict, hash=False)
    """All other fields of the source."""
    sections: tuple[Section, ...] = field(default=(), hash=False, repr=False)
    """Its pages and headings."""
    made_up: bool = field(default=False, compare=False, repr=False)
    """Whether the id is a position or a path and not the source's own."""


class Corpus:
    """Documents, and the query-document pairs that come with them; make one with `Corpus.open`.

    Every pass reads the whole source and holds one document at a time, and the ids, to find two with the same id.
    """

    def __init__(
        self,
        name: str,
        rows: Callable[[], Iterable[Row]],
        pairs: Callable[[], Iterable[Pair]] | None = None,
        folder: Folder | None = None,
        origin: str = "",
    ) -> None:
        """Wrap a source.

        Args:
            name: Name of this corpus in checkpoints and messages.
            rows: Reads the rows; called once per pass.
            pairs: Reads the pairs; called once per pass over them. None takes the pairs from the queries of the rows.
            folder: Files that are read instead of `rows`.
            origin: See the attribute; ``""`` for a source in memory.
        """
        self.name = name
        self.folder = folder
        """The folder when each of its files is one document, else None."""
        self.origin = origin
        """The absolute path of the source with all links resolved; ``""`` for one in memory."""
        self.block = ROWS_PER_BLOCK if folder is None else FILES_PER_BLOCK
        """Documents that are embedded together."""
        self.positions = 0
        """Number of documents in the last whole pass, with blank and unreadable ones."""
        self._read_rows = rows
        self._read_pairs = pairs
        self._length: int | None = None
        self._warned = False
        self._problems: dict[str, str] = {}

    @classmethod
    def open(
        cls, source: "Corpus | str | PathLike[str] | Sequence[object]", *, text_column: str | None = None
    ) -> "Corpus":
        """Find the format of a source. Only file names are read yet.

        Args:
            source: A path, or a sequence of texts or of LangChain documents. A path is a file with one of the formats
                in `formats.FORMATS`, a folder of files with one document each (.txt, .md, .html, .pdf), or a BEIR
                folder (``corpus.jsonl[.gz]``, ``queries.jsonl[.gz]``, ``qrels/train.tsv``).
            text_column: The column or field that holds the text; ``text`` by default.

        Raises:
            DataError: The path does not exist, or its format cannot be read.
            MissingExtraError: The library for its format is not installed.
        """
        if isinstance(source, Corpus):
            return source
        if not isinstance(source, str | PathLike):
            # A corpus is read several times, and a generator only once.
            items = as_list(source, "documents")
            return cls("texts", lambda: read_objects(items))
        path = absolute(source)
        if not path.exists():
            raise DataError(f"{path} does not exist: expected {file_formats()}, or a folder")
        if path.is_dir():
            return cls._open_folder(path, text_column)
        check_regular(path, path.stat().st_mode)
        return cls(path.name.split(".")[0], _rows_of(path, text_column), origin=_absolute(path))

    @classmethod
    def _open_folder(cls, path: Path, text_column: str | None) -> "Corpus":
        name = path.resolve().name
        documents = first_file(path, "corpus.jsonl", "corpus.jsonl.gz")
        if documents is None:
            folder = Folder(path)
            if not folder.ids():
                expected = any_of(document_formats())
                left_out = f"; {others}" if (others := folder.left_out()) else ""
                raise DataError(f"{path} holds no corpus: expected corpus.jsonl[.gz], or {expected} files{left_out}")
            return cls(name, tuple, folder=folder, origin=_absolute(path))
        # No other split is opened here, so that nothing is trained on test queries.
        has_pairs = (path / "qrels" / "train.tsv").is_file()
        rows = partial(read_json_rows, documents, text_column)
        return cls(name, rows, (lambda: read_beir_pairs(path)) if has_pairs else None, origin=_absolute(path))

    @classmethod
    def from_documents(cls, name: str, documents: Sequence[Document], pairs: Sequence[Pair] = ()) -> "Corpus":
        """Make a corpus of documents in memory."""
        listed, loaded = as_list(documents, "documents"), as_list(pairs, "pairs")
        return cls(
            name,
            lambda: (Row(d.id, d.text, "", d.metadata, d.sections, d.made_up) for d in listed),
            lambda: loaded,
        )

    def without(self, positions: Container[int]) -> "Corpus":
        """Return the documents but those at some positions of the source, see `positioned`, and their pairs."""

        def rows() -> Iterator[Row]:
            return (row for at, row in self._numbered(None) if at not in positions)

        def pairs() -> Iterator[Pair]:
            kept = {row.id for row in rows()}
            return (pair for pair in self.pairs() if pair[1] in kept)

        return Corpus(self.name, rows, None if self._read_pairs is None else pairs, origin=self.origin)

    def with_pairs(self, pairs: str | PathLike[str] | Sequence[Pair]) -> "Corpus":
        """Return the same documents with other pairs: a file for `read_pairs`, or (query text, document id) each."""
        loaded = read_pairs(fspath(pairs)) if isinstance(pairs, str | PathLike) else as_list(pairs, "pairs")
        return Corpus(self.name, self._read_rows, lambda: loaded, self.folder, self.origin)

    @property
    def problems(self) -> dict[str, str]:
        """Return the files of a folder, and the documents, that the last pass could not read: id -> reason."""
        return self._problems if self.folder is None else {**self.folder.problems, **self._problems}

    def documents(self) -> Iterator[Document]:
        """Yield every document that is not blank, in the order of the source; `problems` names the unreadable files.

        Raises:
            DataError: The source cannot be read, two documents have the same id, or all documents are blank.
        """
        return (document for _, document in self.blocks())

    def blocks(self, mine: Callable[[int], bool] | None = None) -> Iterator[tuple[int, Document]]:
        """Yield (number of its block, document). A block is `block` documents of the source.

        Files of blocks that are not `mine` are not opened. Errors are those of `documents`, but with `mine` all
        documents may be blank.
        """
        return ((at // self.block, document) for at, document in self._positioned(mine))

    def positioned(self) -> Iterator[tuple[int, Document]]:
        """Yield (position in the source, from 0, with blank documents counted; document), as `documents`."""
        return self._positioned(None)

    def texts(self) -> Iterator[str]:
        """Yield the text of every document, with the errors of `documents`."""
        return (row.text for row in self._rows())

    def pairs(self) -> Iterator[Pair]:
        """Yield every (query text, document id); none when the source has no queries.

        Raises:
            DataError: A pair names a document that is not there, or the source cannot be read.
        """
        if self._read_pairs is None:
            yield from ((row.query, row.id) for row in self._rows() if row.query.strip())
            return
        known = {row.id for row in self._rows()}
        unknown = [id_ for _, id_ in self._read_pairs() if encodable_name(id_) not in known]
        if unknown:
            raise DataError(
                f"{self.name}: {len(unknown)} pair(s) name a document that is missing or blank, first {unknown[0]!r}: "
                f"the corpus has {len(known)} documents"
            )
        yield from ((encodable(query), encodable_name(id_)) for query, id_ in self._read_pairs())

    def __iter__(self) -> Iterator[Document]:
        return self.documents()

    def __len__(self) -> int:
        """Count the documents that are not blank. The first call reads the whole source."""
        if self._length is None:
            for _ in self._rows():
                pass
        assert self._length is not None  # a full pass sets it
        return self._length

    def _positioned(self, mine: Callable[[int], bool] | None) -> Iterator[tuple[int, Document]]:
        return ((at, Document(r.id, r.text, r.metadata, r.sections, r.made_up)) for at, r in self._numbered(mine))

    def _rows(self) -> Iterator[Row]:
        return (row for _, row in self._numbered(None))

    def _numbered(self, mine: Callable[[int], bool] | None) -> Iterator[tuple[int, Row]]:
        """Yield (position in the source, row) of the rows that are not blank."""
        seen: set[str] = set()
        blank = 0
        made_up = False
        self._problems = {}
        for position, row in self._source(mine):
            id = encodable_name(row.id)
            if row.problem or len(row.text) > MAX_TEXT:
                problem = row.problem or _too_long(row)
                if not self._problems:
                    problem_logger.warning(
                        "%s: documents that cannot be read are left out, first %s", self.name, problem
                    )
                self._problems[id] = problem
                continue
            if not row.text.strip():
                blank += 1
                continue
            made_up |= row.made_up
            if id in seen:
                hint = ", and a document without one takes its number" if made_up else ""
                raise DataError(f"{self.name}: two documents have the id {id!r}: every id must occur once{hint}")
            seen.add(id)
            text, query, metadata = encodable(row.text), encodable(row.query), storable(row.metadata)
            yield position, Row(id, text, query, metadata, row.sections, row.made_up)
        if mine is not None:
            return
        if not seen:
            why = f"; {next(iter(self.problems.values()))}" if self.problems else ""
            raise DataError(f"{self.name} is empty ({blank} blank documents{why}): expected at least one with text")
        self._length = len(seen)
        if blank and not self._warned:
            self._warned = True
            logger.warning("%s: %d blank documents are left out, %d are used", self.name, blank, len(seen))

    def _source(self, mine: Callable[[int], bool] | None) -> Iterator[tuple[int, Row]]:
        def wanted(position: int) -> bool:
            return mine is None or mine(position // self.block)

        if self.folder is not None:
            self.folder.problems.clear()
            ids = self.folder.ids()
            self.positions = len(ids)
            yield from self.folder.rows(ids, wanted)
            return
        position = -1
        for position, row in enumerate(self._read_rows()):
            if wanted(position):
                yield position, row
        self.positions = position + 1


def _too_long(row: Row) -> str:
    return f"{row.id} has {len(row.text):,} characters, more than {MAX_TEXT:,}: cut it into several documents"


def _absolute(path: Path) -> str:
    """Return the absolute path of a source, the same for all its names."""
    return encodable_name(os.path.realpath(path))


def _rows_of(path: Path, text_column: str | None) -> Callable[[], Iterable[Row]]:
    format = format_of(path)
    if format is None or (path.name.lower().endswith(".gz") and not format.gzip):
        raise DataError(f"{path} is no corpus: expected {file_formats()}, or a folder")
    format.require()
    if format.read_rows:
        return partial(format.read_rows, path, text_column)
    return lambda: [read_document(path, path.name)]
