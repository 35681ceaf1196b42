"""Which row of a matrix is the vector of which document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import IntArray
from ..corpus import Corpus
from ..corpus.readers import doubled
from ..errors import DataError
from ..text import shown


class Match(NamedTuple):
    """The documents of a corpus and the rows of their vectors."""

    positions: IntArray
    """Position in the source of each document that has a vector, ascending, shape (n,)."""
    rows: IntArray
    """Row of its vector, shape (n,)."""
    without: list[int]
    """Positions of the documents that have none."""
    first_without: str
    """Id of the first of them, ``""`` when there is none."""
    unused: int
    """Rows that no document has."""


def match(documents: Corpus, n: int, ids: Sequence[str] | None, name: str) -> Match:
    """Find the row of each document: by id where both have ids of their own, else by order and number.

    By order, either every document of the source has a row, or every one that is not blank.

    Args:
        documents: Read once.
        n: Number of rows.
        ids: The id of each row, where rows have ids.
        name: Of the vectors, for messages.

    Raises:
        DataError: The numbers differ, or the ids: one is there twice, or none is known.
    """
    found = [(position, document.id, document.made_up) for position, document in documents.positioned()]
    positions = np.array([position for position, _, _ in found], np.int64)
    if ids is not None and not any(made_up for _, _, made_up in found):
        return _by_id([(position, id) for position, id, _ in found], ids, name, documents.name)
    if n == documents.positions:
        rows = positions
    elif n == len(found):
        rows = np.arange(n)
    else:
        blank = documents.positions - len(found)
        also = f" ({blank} more are blank)" if blank else ""
        raise DataError(
            f"{name} has {n} rows, and {documents.name} has {len(found)} documents{also}: there must be one row per "
            "document, in the same order, or both need a field `id`"
        )
    return Match(positions, rows, [], "", 0)


def _by_id(found: Sequence[tuple[int, str]], ids: Sequence[str], name: str, corpus: str) -> Match:
    if twice := doubled(ids):
        raise DataError(f"{name}: two vectors have the id {shown(twice)}: every id must occur once")
    row_of = {id: row for row, id in enumerate(ids)}
    known = [(position, row_of[id]) for position, id in found if id in row_of]
    without = [(position, id) for position, id in found if id not in row_of]
    if not known:
        raise DataError(
            f"{name} and {corpus} have no id in common (first {shown(ids[0])} and {shown(found[0][1])}): give both "
            "the same ids, or leave the ids out of one, so that they are matched by order"
        )
    positions, rows = np.array(known, np.int64).T
    first = without[0][1] if without else ""
    return Match(positions, rows, [position for position, _ in without], first, len(ids) - len(known))
