"""`Vectors`: what training and an index take in place of an embedder, and `open_vectors`, which makes them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray, IntArray
from ..corpus import Corpus
from ..embedding_cache import default_cache_dir
from ..errors import DataError
from ..files import absolute
from ..sequences import unmasked
from .files import FileOfVectors, read_vectors
from .matching import Match, match
from .rows import Lengths, UnitRowsFile, blocks, check_matrix

logger = logging.getLogger(__name__)

NOTICED = 1e-2
"""How much lengths may differ from 1 before a warning says so: half precision and rounding stay below."""
NAMED = 5
"""Rows that a message lists."""


@dataclass(frozen=True)
class Vectors:
    """Vectors of one embedder, and the documents that they belong to, in the same order."""

    rows: FloatArray
    """Unit rows, shape (n, d), float32; perhaps memory-mapped."""
    documents: Corpus | None = None
    """The n documents; None where there are vectors alone."""
    name: str = "vectors"
    """Where they come from, for messages."""
    left_out: int = 0
    """Documents of the source that have no vector and are not among `documents`."""


def open_vectors(
    source: str | PathLike[str] | NDArray[Any],
    documents: Corpus | str | PathLike[str] | Sequence[object] | None = None,
    *,
    column: str | None = None,
    text_column: str | None = None,
    skip_bad: bool = False,
    folder: str | Path | None = None,
) -> Vectors:
    """Read vectors, check them, make them unit length, and match them to their documents.

    Rows of float32 and unit length in the order of the documents are used where they lie. All others are written once
    more, to a file without a name that goes with the process.

    Args:
        source: An .npy file or an array, shape (n, d), of any float type; a .jsonl or .parquet file with a column of
            vectors, of which missing texts are taken.
        documents: Whatever `Corpus.open` takes. Matched by id where both sides have ids of their own, else by order.
        column: Column of the vectors; by default one called ``embedding`` or ``vector``, or the only one.
        text_column: Column of the texts.
        skip_bad: Leave out documents whose vector is missing, zero, NaN or infinite, and say how many.
        folder: Where there is room for the rows; the cache folder by default.

    Raises:
        DataError: The source cannot be read, its rows have no direction or several widths, or do not fit the documents.
        MissingExtraError: pyarrow is not installed.
        StorageError: The disk is full.
    """
    place = absolute(folder) if folder is not None else default_cache_dir()
    corpus = None if documents is None else Corpus.open(documents, text_column=text_column)
    if isinstance(source, str | PathLike):
        path = absolute(source)
        name = str(source)
        found = read_vectors(path, place, column=column, text_column=text_column, with_texts=corpus is None)
    else:
        name = "vectors"
        found = FileOfVectors(np.asarray(unmasked(source, name)))
    return prepared(found, corpus, name, skip_bad=skip_bad, folder=place)


def prepared(found: FileOfVectors, documents: Corpus | None, name: str, *, skip_bad: bool, folder: Path) -> Vectors:
    """Return vectors as they were found, checked, matched and of unit length; arguments and errors of `open_vectors`.

    `documents` take the place of those that were found with them.
    """
    check_matrix(found.rows, name)
    n = len(found.rows)
    corpus = found.documents if documents is None else documents
    ids = None if documents is None else found.ids
    matched = match(corpus, n, ids, name) if corpus is not None else None
    at = np.arange(n) if matched is None else matched.rows
    if matched is not None:
        _tell_unmatched(matched, name, skip_bad)
    lengths = found.lengths or _measured(found.rows)
    bad = np.isin(at, lengths.bad)
    if bad.any():
        _refuse_bad(at[bad], lengths, name, skip_bad, len(at))
    if lengths.rows and max(lengths.longest - 1, 1 - lengths.shortest) > NOTICED:
        logger.warning(
            "%s: rows have lengths from %.3g to %.3g and are divided by them: documents are compared by their cosine",
            name,
            lengths.shortest,
            lengths.longest,
        )
    kept = at[~bad]
    left_out = set(matched.without) | set(matched.positions[bad].tolist()) if matched is not None else set()
    rows = _unit_rows(found, kept, lengths, folder)
    if len(rows) < 2:
        raise DataError(f"{name}: {len(rows)} vectors are left, expected at least 2")
    corpus = corpus.without(left_out) if corpus is not None and left_out else corpus
    return Vectors(rows, corpus, name, len(left_out))


def _measured(rows: NDArray[Any]) -> Lengths:
    lengths = Lengths()
    for block in blocks(rows):
        lengths.see(block)
    return lengths


def _unit_rows(found: FileOfVectors, kept: IntArray, lengths: Lengths, folder: Path) -> FloatArray:
    """Return the kept rows, where they lie if they are as wanted."""
    rows = found.rows
    unit = found.lengths is not None or (rows.dtype == np.float32 and lengths.unit)
    if unit and len(kept) == len(rows) and np.array_equal(kept, np.arange(len(rows))):
        return rows
    spool = UnitRowsFile(folder)
    for block in blocks(rows, kept):
        spool.append(block)
    return spool.open()


def _tell_unmatched(matched: Match, name: str, skip_bad: bool) -> None:
    if matched.without:
        text = f"{name}: {len(matched.without)} documents have no vector, first {matched.first_without!r}"
        if not skip_bad:
            raise DataError(f"{text}: embed them too, or leave them out with --skip-bad (skip_bad=True)")
        logger.warning("%s: they are left out", text)
    if matched.unused:
        logger.warning("%s: %d vectors belong to no document and are not used", name, matched.unused)


def _refuse_bad(bad: IntArray, lengths: Lengths, name: str, skip_bad: bool, n: int) -> None:
    first = np.sort(bad)[:NAMED].tolist()
    listed = ", ".join(str(row) for row in first) + (", …" if len(bad) > len(first) else "")
    text = (
        f"{name}: {len(bad)} of {n} rows have no direction ({lengths.why}): "
        f"{'rows' if len(bad) > 1 else 'row'} {listed}, counted from 0"
    )
    if not skip_bad:
        raise DataError(f"{text}; embed these texts again, or leave them out with --skip-bad (skip_bad=True)")
    logger.warning("%s; they are left out", text)
