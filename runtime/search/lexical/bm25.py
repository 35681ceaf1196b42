"""`Bm25`: full-text search over an inverted index of SQLite's FTS5, updated with the store and kept as a cache."""

from __future__ import annotations

import sqlite3
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ....arrays import FloatArray, IntArray
from ....bounded_cache import BoundedCache
from ....errors import ConfigError
from ...store.cache_files import read_cache, write_cache
from ...store.epochs import UNKNOWN, Origin
from ...store.sqlite import sqlite_errors
from ..query import RankedRows, best_rows
from .folding import VERSION, fold

K1, B = 1.2, 0.75
"""Saturation of the term frequency, and weight of the document length; FTS5's own values."""
MOST_WORDS = 512
"""Most words of a query that are looked up, about twice what an embedder reads."""
COMMON = 500
"""Document frequency up to which a word is never ignored."""
# Marks belong to words: without them, Hindi would be split at every vowel sign.
_TOKENIZER = "porter unicode61 remove_diacritics 2 categories ''L* N* Co Mn Mc''"
_COMPACT_ABOVE = 0.25  # share of removed documents
_CACHED_POSTINGS = 2_000_000  # 16 MB
# Part of the inverted index in memory; SQLite keeps the rest in a temporary file.
_CACHE_KB = 65_536
_TABLES = (
    f"CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='{_TOKENIZER}')",
    "CREATE TABLE documents (rowid INTEGER PRIMARY KEY, length INTEGER NOT NULL, crc INTEGER NOT NULL)",
)
_SCRATCH = (
    f"CREATE VIRTUAL TABLE temp.query_text USING fts5(text, content='', tokenize='{_TOKENIZER}')",
    "CREATE VIRTUAL TABLE temp.query_terms USING fts5vocab(temp, query_text, instance)",
    "CREATE VIRTUAL TABLE temp.counts USING fts5vocab(main, words, row)",
    "CREATE VIRTUAL TABLE temp.places USING fts5vocab(main, words, instance)",
)


class Bm25:
    """Full-text search by BM25 over English word stems, all scripts folded to lower case without diacritics.

    Words are separated by spaces and punctuation; a run of Chinese, Japanese, Korean or Thai is taken as its pairs of
    neighbouring letters, see `fold`. FTS5 tokenises texts and stores the positions of words. The scores are computed
    here from the current documents, so that they do not depend on earlier removals and every query word can have a
    weight. Words are bound as values only: nothing in a query is parsed as FTS5 syntax.

    ``sum_w weight(w) ln(1 + (N - n(w) + .5) / (n(w) + .5)) f (K1 + 1) / (f + K1 (1 - B + B length / mean length))``.
    Words in more than half of the documents, and in more than `COMMON`, are ignored if the query has others: they carry
    little information and take most of the time.

    Raises:
        ConfigError: The SQLite library of this Python has no FTS5.

    References:
        Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond"; the logarithm is
        Lucene's, which is never negative.
    """

    def __init__(self) -> None:
        self.saved_generation: int | None = None
        """The generation of the cache that this index was read from or written to."""
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # a temporary one
        self._rows, self._lengths = np.empty(0, np.int64), np.empty(0, np.int64)
        self._removed = 0  # documents still in the inverted index
        self._postings: BoundedCache[str, tuple[IntArray, FloatArray]] = BoundedCache(
            _CACHED_POSTINGS, lambda parts: len(parts[0])
        )
        self._frequencies: dict[str, int] = {}
        for pragma in (f"cache_size = -{_CACHE_KB}", "journal_mode = OFF", "synchronous = OFF"):
            self._run(f"PRAGMA {pragma}")
        for statement in _TABLES + _SCRATCH:
            self._run(statement)

    def __del__(self) -> None:  # removes the temporary file
        self._database.close()

    @property
    def rowids(self) -> IntArray:
        """The row ids in the index, ascending."""
        return self._rows

    @property
    def needs_rebuild(self) -> bool:
        """Whether so many documents were removed that the index should be rebuilt."""
        return self._removed > _COMPACT_ABOVE * (self._removed + len(self._rows))

    def add(self, blocks: Iterable[tuple[IntArray, Sequence[str]]]) -> None:
        """Add documents in blocks of (row ids, texts); row ids are ascending and greater than all before."""
        rows, lengths = [self._rows], [self._lengths]
        self._run("BEGIN")
        for some, texts in blocks:
            numbered = list(zip(some.tolist(), texts, strict=True))
            folded = [(row, fold(text)) for row, text in numbered]
            with sqlite_errors(Path("words.sqlite")):
                self._database.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", folded)
                sizes = self._run("SELECT sz FROM words_docsize WHERE id >= ? ORDER BY id", numbered[0][0])
                counts = [_varint(size) for (size,) in sizes]
                marks = [(row, n, zlib.crc32(text.encode())) for (row, text), n in zip(numbered, counts, strict=True)]
                self._database.executemany("INSERT INTO documents VALUES (?, ?, ?)", marks)
            rows.append(some)
            lengths.append(np.array(counts, np.int64))
        self._run("COMMIT")
        self._rows, self._lengths = np.concatenate(rows), np.concatenate(lengths)
        self._clear_caches()

    def remove(self, rows: IntArray) -> None:
        """Remove documents; unknown row ids are ignored."""
        removed = np.isin(self._rows, rows)
        if removed.any():
            with sqlite_errors(Path("words.sqlite")):
                parameters = [(row,) for row in self._rows[removed].tolist()]
                self._database.executemany("DELETE FROM documents WHERE rowid = ?", parameters)
            self._removed += int(np.count_nonzero(removed))
            self._rows, self._lengths = self._rows[~removed], self._lengths[~removed]
            self._clear_caches()

    def has(self, rows: IntArray, texts: Sequence[str]) -> bool:
        """Return whether the texts of these documents, row ids ascending, equal the given ones."""
        sql = "SELECT crc FROM documents WHERE rowid >= ? ORDER BY rowid"
        checks = [(zlib.crc32(text.encode()),) for text in texts]
        return not len(rows) or self._run(sql, int(rows[0])) == checks

    def words_of(self, text: str) -> list[str]:
        """Return the first `MOST_WORDS` word stems of a query, one per occurrence."""
        self._run("INSERT INTO query_text (rowid, text) VALUES (1, ?)", fold(text, query=True))
        found = self._run("SELECT term FROM query_terms ORDER BY offset LIMIT ?", MOST_WORDS)
        self._run("INSERT INTO query_text (query_text) VALUES ('delete-all')")
        return [term for (term,) in found]

    def search(self, weights: Mapping[str, float], k: int, allowed: IntArray | None) -> RankedRows:
        """Return row ids and scores, best first, ties by row id; only documents with a word of positive weight.

        `weights` maps word stems (see `words_of`) to weights, 1 for a word that occurs once in the query.
        """
        used = {word: weight for word, weight in weights.items() if weight and not self._common(word)}
        if not any(weight > 0 for weight in used.values()):
            used = {word: weight for word, weight in weights.items() if weight}
        scores, eligible = np.zeros(len(self._rows)), np.zeros(len(self._rows), np.bool_)
        for word in sorted(used):  # a fixed order of summation
            positions, parts = self._postings_of(word)
            scores[positions] += used[word] * parts
            if used[word] > 0:
                eligible[positions] = True
        if allowed is not None:
            eligible &= np.isin(self._rows, allowed)
        return best_rows(self._rows[eligible], scores[eligible].astype(np.float32), k)

    def save(self, folder: Path, generation: int, origin: Origin = UNKNOWN) -> None:
        """Write the inverted index as ``words.sqlite`` and ``words.json``; errors as in `write_cache`."""

        def write(path: Path) -> None:
            with sqlite_errors(path), closing(sqlite3.connect(path, isolation_level=None)) as copy:
                copy.execute("PRAGMA journal_mode = OFF")  # a kill would leave a journal behind
                self._database.backup(copy)

        facts = {"generation": generation, "removed": self._removed, **origin.facts, **_parameters()}
        write_cache(folder, "words.json", {"words.sqlite": write}, facts)
        self.saved_generation = generation

    @classmethod
    def load(cls, folder: Path, fits: Callable[[dict[str, Any]], bool] | None = None) -> Bm25 | None:
        """Read the output of `save`; None if it is missing, damaged, of another SQLite version, or does not fit."""

        def read(facts: dict[str, Any]) -> Bm25:
            view = cls()
            try:
                where = f"{(folder / 'words.sqlite').absolute().as_uri()}?mode=ro"
                with closing(sqlite3.connect(where, uri=True)) as file:
                    file.backup(view._database)
                # Whoever can write checksums can write a trigger, and adding a document would run it.
                if view._database.execute("SELECT 1 FROM sqlite_master WHERE type IN ('trigger', 'view')").fetchall():
                    raise ValueError("it holds a trigger or a view")
                found = view._database.execute("SELECT rowid, length FROM documents ORDER BY rowid").fetchall()
            except sqlite3.Error as error:
                raise ValueError(str(error)) from error
            view._rows, view._lengths = np.array(found, np.int64).reshape(-1, 2).T
            view._removed, view.saved_generation = int(facts["removed"]), facts["generation"]
            if not 0 <= view._removed < 2**63:
                raise ValueError("its number of removed documents is out of range")
            return view

        return read_cache(folder, "words.json", ("words.sqlite",), _parameters(), read, fits=fits)

    def _common(self, word: str) -> bool:
        bar = max(COMMON, len(self._rows) / 2)
        if word not in self._frequencies:
            counted = self._run("SELECT doc FROM counts WHERE term = ?", word)
            self._frequencies[word] = counted[0][0] if counted else 0  # includes removed documents
            if self._removed and self._frequencies[word] > bar:
                self._frequencies[word] = len(self._postings_of(word)[0])
        return self._frequencies[word] > bar

    def _postings_of(self, word: str) -> tuple[IntArray, FloatArray]:
        return self._postings.get_or_make(word, lambda: self._read_postings(word))

    def _read_postings(self, word: str) -> tuple[IntArray, FloatArray]:
        """Return the positions of the documents with a word, and its contribution to the score of each."""
        found = self._run("SELECT doc, count(*) FROM places WHERE term = ? GROUP BY doc", word)
        rows, counts = np.array(found, np.int64).reshape(-1, 2).T
        positions = np.searchsorted(self._rows, rows)
        present = positions < len(self._rows)
        present[present] = self._rows[positions[present]] == rows[present]
        positions, counts = positions[present], counts[present]
        n, total = len(positions), len(self._rows)
        idf = np.log(1 + (total - n + 0.5) / (n + 0.5))
        length = self._lengths[positions] / max(self._lengths.mean(), 1.0) if n else np.empty(0)
        parts = (idf * counts * (K1 + 1) / (counts + K1 * (1 - B + B * length))).astype(np.float32)
        return positions.astype(np.int32), parts

    def _clear_caches(self) -> None:
        self._postings.clear()
        self._frequencies.clear()

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
    folding = f"{VERSION}, Unicode {unicodedata.unidata_version}"
    return {"tokenizer": _TOKENIZER, "sqlite": sqlite3.sqlite_version, "folding": folding}


def _varint(blob: bytes) -> int:
    """Decode a length as FTS5 stores it: seven bits a byte, the highest first."""
    number = 0
    for byte in blob:
        number = number << 7 | byte & 0x7F
    return number
