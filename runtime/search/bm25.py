"""Searching by words: BM25 over an inverted file of SQLite's FTS5, kept in step with the store and as a cache."""

from __future__ import annotations

import sqlite3
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import FloatArray, IntArray
from ...errors import ConfigError
from ..store.cache_files import read_cache, write_cache
from ..store.sqlite import sqlite_errors
from .latent import best_rows

K1, B = 1.2, 0.75
"""How soon further occurrences of a word stop counting, and how much a long text is punished: FTS5's own values."""
MOST_WORDS = 512
"""Words of a query that are looked up: about twice what an embedder reads."""
COMMON = 500
"""Documents that have a word which may be passed over."""
_TOKENIZER = "porter unicode61 remove_diacritics 2"
_COMPACT_ABOVE = 0.25  # share of removed documents at which the inverted file is made anew
_KEPT = 2_000_000  # postings that stay in memory, 16 MB
_CACHE_KB = 65_536  # of the inverted file in memory; what is larger lies in a temporary file of SQLite's
_TABLES = (
    f"CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='{_TOKENIZER}')",
    "CREATE TABLE documents (rowid INTEGER PRIMARY KEY, length INTEGER NOT NULL, crc INTEGER NOT NULL)",
)
_SCRATCH = (
    f"CREATE VIRTUAL TABLE temp.asked USING fts5(text, content='', tokenize='{_TOKENIZER}')",
    "CREATE VIRTUAL TABLE temp.asked_words USING fts5vocab(temp, asked, instance)",
    "CREATE VIRTUAL TABLE temp.counts USING fts5vocab(main, words, row)",
    "CREATE VIRTUAL TABLE temp.places USING fts5vocab(main, words, instance)",
)


class WordsView:
    """Searches by BM25 over English word stems, all scripts folded to lower case without diacritics.

    Words are what stands between spaces and punctuation: a run of Chinese or Thai is one word, hardly ever met again.

    FTS5 splits texts into words and holds where they stand; the scores are computed here, from the documents that are
    there now, so that they do not depend on what was removed before, and every word of a query can have a weight.
    Words are only ever bound as values, to documents and to queries alike: nothing of a query is read as syntax.

    ``sum_w weight(w) ln(1 + (N - n(w) + .5) / (n(w) + .5)) f (K1 + 1) / (f + K1 (1 - B + B length / mean length))``;
    words that stand in more than half of the documents, and in more than `COMMON`, are passed over when the query has
    others: they tell next to nothing and cost most of the time.

    Raises:
        ConfigError: The SQLite of this Python has no FTS5.

    References:
        Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond"; the logarithm is
        Lucene's, which is never negative.
    """

    def __init__(self) -> None:
        self.saved_generation: int | None = None
        """The generation of the cache that this view was read from or written as."""
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # a temporary one
        self._rows, self._lengths = np.empty(0, np.int64), np.empty(0, np.int64)
        self._removed = 0  # documents that are still in the inverted file
        self._known: OrderedDict[str, tuple[IntArray, FloatArray]] = OrderedDict()
        self._counted: dict[str, int] = {}
        for pragma in (f"cache_size = -{_CACHE_KB}", "journal_mode = OFF", "synchronous = OFF"):
            self._run(f"PRAGMA {pragma}")
        for statement in _TABLES + _SCRATCH:
            self._run(statement)

    def __del__(self) -> None:  # a view that is replaced is closed, and its temporary file goes away
        self._database.close()

    @property
    def rowids(self) -> IntArray:
        """The row ids in the view, ascending."""
        return self._rows

    @property
    def worn(self) -> bool:
        """Whether so many documents were removed that the view should be made anew."""
        return self._removed > _COMPACT_ABOVE * (self._removed + len(self._rows))

    def add(self, blocks: Iterable[tuple[IntArray, Sequence[str]]]) -> None:
        """Add documents whose row ids, ascending, are greater than all before: blocks of (row ids, texts)."""
        rows, lengths = [self._rows], [self._lengths]
        self._run("BEGIN")
        for some, texts in blocks:
            numbered = list(zip(some.tolist(), texts, strict=True))
            with sqlite_errors(Path("words.sqlite")):
                self._database.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", numbered)
                sizes = self._run("SELECT sz FROM words_docsize WHERE id >= ? ORDER BY id", numbered[0][0])
                counts = [_varint(size) for (size,) in sizes]
                marks = [(row, n, _crc(text)) for (row, text), n in zip(numbered, counts, strict=True)]
                self._database.executemany("INSERT INTO documents VALUES (?, ?, ?)", marks)
            rows.append(some)
            lengths.append(np.array(counts, np.int64))
        self._run("COMMIT")
        self._rows, self._lengths = np.concatenate(rows), np.concatenate(lengths)
        self._forget()

    def remove(self, rows: IntArray) -> None:
        """Remove documents; row ids that are not there are passed over."""
        gone = np.isin(self._rows, rows)
        if gone.any():
            with sqlite_errors(Path("words.sqlite")):
                removed = [(row,) for row in self._rows[gone].tolist()]
                self._database.executemany("DELETE FROM documents WHERE rowid = ?", removed)
            self._removed += int(np.count_nonzero(gone))
            self._rows, self._lengths = self._rows[~gone], self._lengths[~gone]
            self._forget()

    def has(self, rows: IntArray, texts: Sequence[str]) -> bool:
        """Whether the texts of these documents, row ids ascending, are the given ones."""
        sql = "SELECT crc FROM documents WHERE rowid >= ? ORDER BY rowid"
        return not len(rows) or [crc for (crc,) in self._run(sql, int(rows[0]))] == [_crc(text) for text in texts]

    def words_of(self, text: str) -> list[str]:
        """The first `MOST_WORDS` word stems of a text, as they stand in the inverted file, one per occurrence."""
        clean = text.encode("utf-8", "replace").decode()  # a lone surrogate is no letter
        self._run("INSERT INTO asked (rowid, text) VALUES (1, ?)", clean)
        found = self._run("SELECT term FROM asked_words ORDER BY offset LIMIT ?", MOST_WORDS)
        self._run("INSERT INTO asked (asked) VALUES ('delete-all')")
        return [term for (term,) in found]

    def search(self, weights: Mapping[str, float], k: int, allowed: IntArray | None) -> tuple[IntArray, FloatArray]:
        """Row ids and scores, best first, equal scores by row id; only documents with a word of positive weight.

        Args:
            weights: Word stem (see `words_of`) -> weight, 1 for a word that stands once in the query.
            k: Results wanted; fewer documents may have a word of the query.
            allowed: Row ids to choose from; None for all.
        """
        telling = {word: weight for word, weight in weights.items() if weight and not self._common(word)}
        if not any(weight > 0 for weight in telling.values()):
            telling = {word: weight for word, weight in weights.items() if weight}
        found, able = np.zeros(len(self._rows)), np.zeros(len(self._rows), np.bool_)
        for word in sorted(telling):  # always added up in the same order
            places, parts = self._parts(word)
            found[places] += telling[word] * parts
            if telling[word] > 0:
                able[places] = True
        if allowed is not None:
            able &= np.isin(self._rows, allowed)
        return best_rows(self._rows[able], found[able].astype(np.float32), k)

    def save(self, folder: Path, generation: int) -> None:
        """Write the inverted file as ``words.sqlite`` and ``words.json``.

        Raises:
            StorageError: The disk is full or cannot be written.
        """

        def write(path: Path) -> None:
            with sqlite_errors(path), closing(sqlite3.connect(path, isolation_level=None)) as copy:
                copy.execute("PRAGMA journal_mode = OFF")  # else a kill leaves a journal that nobody sweeps
                self._database.backup(copy)

        facts = {"generation": generation, "removed": self._removed, **_parameters()}
        write_cache(folder, "words.json", {"words.sqlite": write}, facts)
        self.saved_generation = generation

    @classmethod
    def load(cls, folder: Path) -> WordsView | None:
        """Read what `save` wrote; None when it is missing, damaged, or of another SQLite."""

        def read(facts: dict[str, Any]) -> WordsView:
            view = cls()
            try:
                where = f"{(folder / 'words.sqlite').absolute().as_uri()}?mode=ro"
                with closing(sqlite3.connect(where, uri=True)) as file:
                    file.backup(view._database)
                found = view._database.execute("SELECT rowid, length FROM documents ORDER BY rowid").fetchall()
            except sqlite3.Error as error:
                raise ValueError(str(error)) from error
            view._rows, view._lengths = np.array(found, np.int64).reshape(-1, 2).T
            view._removed, view.saved_generation = int(facts["removed"]), facts["generation"]
            return view

        return read_cache(folder, "words.json", ("words.sqlite",), _parameters(), read)

    def _common(self, word: str) -> bool:
        """Whether a word stands in so many documents that it tells nothing."""
        bar = max(COMMON, len(self._rows) / 2)
        if word not in self._counted:
            counted = self._run("SELECT doc FROM counts WHERE term = ?", word)
            self._counted[word] = counted[0][0] if counted else 0  # with those that were removed
            if self._removed and self._counted[word] > bar:
                self._counted[word] = len(self._parts(word)[0])
        return self._counted[word] > bar

    def _parts(self, word: str) -> tuple[IntArray, FloatArray]:
        """Which documents have a word, and what it adds to the score of each."""
        if word in self._known:
            self._known.move_to_end(word)
            return self._known[word]
        found = self._run("SELECT doc, count(*) FROM places WHERE term = ? GROUP BY doc", word)
        rows, counts = np.array(found, np.int64).reshape(-1, 2).T
        places = np.searchsorted(self._rows, rows)
        there = places < len(self._rows)
        there[there] = self._rows[places[there]] == rows[there]
        places, counts = places[there], counts[there]
        n, total = len(places), len(self._rows)
        idf = np.log(1 + (total - n + 0.5) / (n + 0.5))
        length = self._lengths[places] / max(self._lengths.mean(), 1.0) if n else np.empty(0)
        parts = (idf * counts * (K1 + 1) / (counts + K1 * (1 - B + B * length))).astype(np.float32)
        self._known[word] = places.astype(np.int32), parts
        while sum(len(kept) for kept, _ in self._known.values()) > _KEPT and len(self._known) > 1:
            self._known.popitem(last=False)
        return self._known[word]

    def _forget(self) -> None:
        self._known.clear()
        self._counted.clear()

    def _run(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        try:
            with sqlite_errors(Path("words.sqlite")):
                return self._database.execute(sql, parameters).fetchall()
        except Exception as error:
            if "no such module" in str(error):
                raise ConfigError(
                    f"the SQLite {sqlite3.sqlite_version} of this Python has no FTS5, which the views words and hybrid "
                    "need: use another Python, or the view dense, reconstruction or latent"
                ) from error
            raise


def _parameters() -> dict[str, object]:
    return {"tokenizer": _TOKENIZER, "sqlite": sqlite3.sqlite_version}


def _crc(text: str) -> int:
    return zlib.crc32(text.encode())


def _varint(blob: bytes) -> int:
    """A number as FTS5 writes the length of a document: seven bits a byte, the highest first."""
    number = 0
    for byte in blob:
        number = number << 7 | byte & 0x7F
    return number
