"""A corpus: documents that are read again on every pass, so that they never have to fit in memory."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path

from ..errors import DataError
from .pairs import read_beir_pairs, read_pairs, read_qrels, read_queries
from .readers import (
    Row,
    read_csv_rows,
    read_folder_rows,
    read_json_rows,
    read_sequence_rows,
    read_text_rows,
    text_files,
)
from .records import encodable, first_file, kind_of

__all__ = ["Corpus", "Document", "read_pairs", "read_qrels", "read_queries"]

logger = logging.getLogger(__name__)

Pair = tuple[str, str]
"""(query text, document id)."""

_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "jsonl": read_json_rows,
    "csv": read_csv_rows,
    "txt": read_text_rows,
}


@dataclass(frozen=True)
class Document:
    """One text that can be found."""

    id: str
    text: str
    """Title and text joined with ``". "`` where there is a title."""
    metadata: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Everything else that the source says about it."""


class Corpus:
    """Documents, and the query-document pairs that come with them; make one with `Corpus.open`.

    Every pass reads the source anew and holds one document at a time. Only the ids are kept, for the length of a pass,
    so that two documents with the same id are noticed.
    """

    def __init__(
        self, name: str, rows: Callable[[], Iterable[Row]], pairs: Callable[[], Iterable[Pair]] | None = None
    ) -> None:
        """Wrap a source.

        Args:
            name: What checkpoints and messages call this corpus.
            rows: Called once per pass.
            pairs: Called once per pass over the pairs; None takes the pairs from the rows' own queries.
        """
        self.name = name
        self._read_rows = rows
        self._read_pairs = pairs
        self._length: int | None = None
        self._warned = False

    @classmethod
    def open(cls, source: "Corpus | str | PathLike[str] | Sequence[str]") -> "Corpus":
        """Find out what kind of corpus a source is; nothing but file names is read yet.

        Args:
            source: A path or a sequence of texts. A path is a .jsonl, .csv or .txt file (one document per line; each
                may end in .gz), a BEIR folder (``corpus.jsonl[.gz]``, ``queries.jsonl[.gz]``, ``qrels/train.tsv``), or
                a folder of .txt and .md files (one document per file). The ids of a sequence are its positions.

        Raises:
            DataError: The path does not exist, or it is of no kind that can be read.
        """
        if isinstance(source, Corpus):
            return source
        if not isinstance(source, str | PathLike):
            return cls("texts", lambda: read_sequence_rows(source))
        path = Path(fspath(source)).expanduser()
        if not path.exists():
            raise DataError(f"{path} does not exist: expected a .jsonl, .csv or .txt file, or a folder")
        if path.is_dir():
            return cls._open_folder(path)
        reader = _READERS.get(kind_of(path))
        if reader is None:
            raise DataError(f"{path} is no corpus: expected .jsonl, .csv or .txt (.gz allowed), or a folder")
        return cls(path.name.split(".")[0], lambda: reader(path))

    @classmethod
    def _open_folder(cls, folder: Path) -> "Corpus":
        name = folder.resolve().name
        documents = first_file(folder, "corpus.jsonl", "corpus.jsonl.gz")
        if documents is None:
            if not text_files(folder):
                raise DataError(f"{folder} holds no corpus: expected corpus.jsonl[.gz], or .txt or .md files")
            return cls(name, lambda: read_folder_rows(folder))
        # No other split is ever opened here: what is reported on must not be trained on.
        has_pairs = (folder / "qrels" / "train.tsv").is_file()
        return cls(name, lambda: read_json_rows(documents), (lambda: read_beir_pairs(folder)) if has_pairs else None)

    @classmethod
    def from_documents(cls, name: str, documents: Sequence[Document], pairs: Sequence[Pair] = ()) -> "Corpus":
        """Make a corpus of documents that are in memory already."""
        return cls(
            name,
            lambda: (Row(document.id, document.text, metadata=document.metadata) for document in documents),
            lambda: pairs,
        )

    def with_pairs(self, pairs: str | PathLike[str] | Sequence[Pair]) -> "Corpus":
        """Return the same documents with other pairs: a file that `read_pairs` takes, or (query text, document id)."""
        loaded = read_pairs(fspath(pairs)) if isinstance(pairs, str | PathLike) else list(pairs)
        return Corpus(self.name, self._read_rows, lambda: loaded)

    def documents(self) -> Iterator[Document]:
        """Read every document that is not blank, in the order of the source.

        Raises:
            DataError: The source cannot be read, two documents have the same id, or all documents are blank.
        """
        return (Document(row.id, row.text, row.metadata) for row in self._rows())

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
        seen: set[str] = set()
        blank = 0
        for row in self._read_rows():
            if not row.text.strip():
                blank += 1
                continue
            if row.id in seen:
                raise DataError(f"{self.name}: two documents have the id {row.id!r}: every id must occur once")
            seen.add(row.id)
            yield Row(row.id, encodable(row.text), encodable(row.query), row.metadata)
        if not seen:
            raise DataError(f"{self.name} is empty ({blank} blank documents): expected at least one with text")
        self._length = len(seen)
        if blank and not self._warned:
            self._warned = True
            logger.warning("%s: %d blank documents are left out, %d are used", self.name, blank, len(seen))
