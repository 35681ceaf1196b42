"""A corpus: documents that are read again on every pass, so that they never have to fit in memory."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from os import PathLike, fspath
from pathlib import Path

from ..errors import DataError
from .files import FILE_KINDS, Folder, read_file
from .loaded import read_objects
from .pairs import read_beir_pairs, read_pairs, read_qrels, read_queries
from .readers import Row, encodable, first_file, kind_of, read_csv_rows, read_json_rows, read_text_rows
from .sections import Section

__all__ = ["Corpus", "Document", "read_pairs", "read_qrels", "read_queries"]

logger = logging.getLogger(__name__)

Pair = tuple[str, str]
"""(query text, document id)."""

ROWS_PER_BLOCK = 512
FILES_PER_BLOCK = 32
_KINDS = ".jsonl, .csv, .parquet, .txt, .md, .html or .pdf (.gz allowed for the first two and .txt)"


@dataclass(frozen=True)
class Document:
    """One text that can be found."""

    id: str
    text: str
    """Title and text joined with ``". "`` where there is a title."""
    metadata: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Everything else that the source says about it."""
    sections: tuple[Section, ...] = field(default=(), hash=False, repr=False)
    """Where its pages and headings begin."""


class Corpus:
    """Documents, and the query-document pairs that come with them; make one with `Corpus.open`.

    Every pass reads the source anew and holds one document at a time. Only the ids are kept, for the length of a pass,
    so that two documents with the same id are noticed.
    """

    def __init__(
        self,
        name: str,
        rows: Callable[[], Iterable[Row]],
        pairs: Callable[[], Iterable[Pair]] | None = None,
        folder: Folder | None = None,
    ) -> None:
        """Wrap a source.

        Args:
            name: What checkpoints and messages call this corpus.
            rows: Called once per pass.
            pairs: Called once per pass over the pairs; None takes the pairs from the rows' own queries.
            folder: The files that are read instead of `rows`.
        """
        self.name = name
        self.folder = folder
        """The folder, when every file of it is one document."""
        self.block = ROWS_PER_BLOCK if folder is None else FILES_PER_BLOCK
        """Documents that are embedded together."""
        self.positions = 0
        """How many documents the last whole pass met, blank and unreadable ones too."""
        self._read_rows = rows
        self._read_pairs = pairs
        self._length: int | None = None
        self._warned = False

    @classmethod
    def open(
        cls, source: "Corpus | str | PathLike[str] | Sequence[object]", *, text_column: str | None = None
    ) -> "Corpus":
        """Find out what kind of corpus a source is; nothing but file names is read yet.

        Args:
            source: A path, or a sequence of texts or of LangChain documents. A path is a .jsonl, .csv (both may end in
                .gz), .parquet (extra ``parquet``) or .txt(.gz) file (one document per line or row), a .md, .html or
                .pdf file (one document), a BEIR folder (``corpus.jsonl[.gz]``, ``queries.jsonl[.gz]``,
                ``qrels/train.tsv``), or a folder of .txt, .md, .html and .pdf files (one document per file; the last
                two kinds need the extra ``files``).
            text_column: The column or field that holds the text; ``text`` by default.

        Raises:
            DataError: The path does not exist, or it is of no kind that can be read.
            MissingExtraError: The library for this kind is not installed.
        """
        if isinstance(source, Corpus):
            return source
        if not isinstance(source, str | PathLike):
            return cls("texts", lambda: read_objects(source))
        path = Path(fspath(source)).expanduser()
        if not path.exists():
            raise DataError(f"{path} does not exist: expected {_KINDS}, or a folder")
        if path.is_dir():
            return cls._open_folder(path, text_column)
        return cls(path.name.split(".")[0], _rows_of(path, text_column))

    @classmethod
    def _open_folder(cls, path: Path, text_column: str | None) -> "Corpus":
        name = path.resolve().name
        documents = first_file(path, "corpus.jsonl", "corpus.jsonl.gz")
        if documents is None:
            folder = Folder(path)
            if not folder.ids():
                raise DataError(
                    f"{path} holds no corpus: expected corpus.jsonl[.gz], or .txt, .md, .html or .pdf files"
                )
            return cls(name, tuple, folder=folder)
        # No other split is ever opened here: what is reported on must not be trained on.
        has_pairs = (path / "qrels" / "train.tsv").is_file()
        rows = partial(read_json_rows, documents, text_column)
        return cls(name, rows, (lambda: read_beir_pairs(path)) if has_pairs else None)

    @classmethod
    def from_documents(cls, name: str, documents: Sequence[Document], pairs: Sequence[Pair] = ()) -> "Corpus":
        """Make a corpus of documents that are in memory already."""
        return cls(
            name,
            lambda: (Row(d.id, d.text, metadata=d.metadata, sections=d.sections) for d in documents),
            lambda: pairs,
        )

    def with_pairs(self, pairs: str | PathLike[str] | Sequence[Pair]) -> "Corpus":
        """Return the same documents with other pairs: a file that `read_pairs` takes, or (query text, document id)."""
        loaded = read_pairs(fspath(pairs)) if isinstance(pairs, str | PathLike) else list(pairs)
        return Corpus(self.name, self._read_rows, lambda: loaded, self.folder)

    @property
    def problems(self) -> dict[str, str]:
        """The files of a folder that the last pass could not read: id -> why."""
        return {} if self.folder is None else self.folder.problems

    def documents(self) -> Iterator[Document]:
        """Read every document that is not blank, in the order of the source.

        A file of a folder that cannot be read is left out and named in `problems`.

        Raises:
            DataError: The source cannot be read, two documents have the same id, or all documents are blank.
        """
        return (document for _, document in self.blocks())

    def blocks(self, mine: Callable[[int], bool] | None = None) -> Iterator[tuple[int, Document]]:
        """Read the documents with the number of the block that each is in; a block is `block` documents of the source.

        Args:
            mine: Tells which blocks are wanted; of a folder the others are not even opened.

        Raises:
            DataError: As `documents`; but some of the blocks may well be blank.
        """
        rows = self._numbered(mine)
        return ((at // self.block, Document(r.id, r.text, r.metadata, r.sections)) for at, r in rows)

    def texts(self) -> Iterator[str]:
        """Read the text of every document: `documents` without the ids, and with the same errors."""
        return (row.text for row in self._rows())

    def pairs(self) -> Iterator[Pair]:
        """Read every (query text, document id); none when the source has no queries.

        Raises:
            DataError: A pair names a document that is not there, or the source cannot be read.
        """
        if self._read_pairs is None:
            yield from ((row.query, row.id) for row in self._rows() if row.query.strip())
            return
        known = {row.id for row in self._rows()}
        unknown = [id_ for _, id_ in self._read_pairs() if id_ not in known]
        if unknown:
            raise DataError(
                f"{self.name}: {len(unknown)} pair(s) name a document that is missing or blank, first {unknown[0]!r}: "
                f"the corpus has {len(known)} documents"
            )
        yield from ((encodable(query), id_) for query, id_ in self._read_pairs())

    def __iter__(self) -> Iterator[Document]:
        """Same as `documents`."""
        return self.documents()

    def __len__(self) -> int:
        """Count the documents that are not blank: one pass the first time, remembered afterwards."""
        if self._length is None:
            for _ in self._rows():
                pass
        assert self._length is not None  # a full pass sets it
        return self._length

    def _rows(self) -> Iterator[Row]:
        return (row for _, row in self._numbered())

    def _numbered(self, mine: Callable[[int], bool] | None = None) -> Iterator[tuple[int, Row]]:
        """The rows that are not blank, with their position in the source."""
        seen: set[str] = set()
        blank = 0
        for position, row in self._source(mine):
            if not row.text.strip():
                blank += 1
                continue
            if row.id in seen:
                raise DataError(f"{self.name}: two documents have the id {row.id!r}: every id must occur once")
            seen.add(row.id)
            yield position, row._replace(text=encodable(row.text), query=encodable(row.query))
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


def _rows_of(path: Path, text_column: str | None) -> Callable[[], Iterable[Row]]:
    """What reads the rows of a file.

    Raises:
        DataError: It is of no kind that can be read.
        MissingExtraError: The library for this kind is not installed.
    """
    kind = kind_of(path)
    packed = path.name.lower().endswith(".gz")
    if kind == "jsonl":
        return partial(read_json_rows, path, text_column)
    if kind == "csv":
        return partial(read_csv_rows, path, text_column)
    if kind == "txt":
        return partial(read_text_rows, path)
    if kind == "parquet" and not packed:
        from .parquet import read_parquet_rows

        return partial(read_parquet_rows, path, text_column)
    if kind in FILE_KINDS and not packed:
        return lambda: [read_file(path, path.name)]
    raise DataError(f"{path} is no corpus: expected {_KINDS}, or a folder")
