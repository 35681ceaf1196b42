"""`QueryTable`: the vector of a query from a table of token vectors, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ....arrays import FloatArray, IntArray, unit_rows
from ....errors import ConfigError
from ....text import shown
from ..embedder import check_texts
from ..tokenizer import no_panic
from .nibbles import unpack

Queries = Literal["transformer", "fast", "auto"]
"""What embeds a query: the bundle's embedder, the table, or the table where it is sure enough."""
SEEN_OFTEN = 3
"""Training texts with a token from which on its row counts as known: rows seen less often are mostly their start."""
MAX_CHARACTERS = 4096
"""Of a query that are read, as a tokenizer reads all of a text before it is cut."""


def check_queries(queries: str) -> Queries:
    """Return the way to embed queries of this name; a ConfigError for an unknown one."""
    if not isinstance(queries, str) or queries not in get_args(Queries):
        raise ConfigError(f"queries is {shown(queries)}: choose {', '.join(get_args(Queries))}")
    return cast(Queries, queries)


@dataclass(frozen=True)
class Table:
    """The arrays of a table, as they are in its file."""

    packed: NDArray[np.uint8]
    """One vector per token and a last one that every text has, shape (tokens + 1, width), 4 bits each: `pack`."""
    scale: FloatArray
    """Scales of their groups, shape (tokens + 1, groups), float32."""
    seen: IntArray
    """Training texts with each token, shape (tokens,)."""
    confidence: FloatArray
    """Weights of `evidence`, which give the expected cosine to the embedder's vector, shape (5,)."""
    threshold: float
    """Expected cosine below which `auto` asks the embedder."""
    longest: int
    """Tokens of a text above which `auto` asks the embedder: how far the expected cosine was measured."""
    d_in: int
    """Numbers of a vector."""

    def rows(self, chosen: IntArray | slice = slice(None)) -> FloatArray:
        """Return vectors, of all tokens or of some, shape (n, d_in), float32."""
        return unpack(self.packed[chosen], self.scale[chosen], self.d_in)


class QueryTable:
    """Embeds queries by adding up rows of a table. Safe to use from several threads.

    Args:
        table: The arrays.
        tokenizer: The bundle's; it neither pads nor cuts.
        max_length: Tokens of a query that are read.
    """

    def __init__(self, table: Table, tokenizer: Tokenizer, max_length: int) -> None:
        self.table, self._tokenizer, self._max_length = table, tokenizer, max_length
        self._special = len(tokenizer.encode("").ids)

    def tokens(self, text: str) -> IntArray:
        """Return the token ids of a text without special tokens, as the table counts them."""
        with no_panic(f"the tokenizer of the bundle gave up on a text of {len(text)} characters"):
            ids = self._tokenizer.encode(text[:MAX_CHARACTERS].strip(), add_special_tokens=False).ids
        found = np.array(ids[: max(1, self._max_length - self._special)], np.int64)
        return found[found < len(self.table.seen)]

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Return unit rows, shape (n, d_in), float32; a DataError for what is no list of valid texts."""
        rows = [self._vector(self.tokens(text))[0] for text in check_texts(texts)]
        return unit_rows(np.array(rows, np.float32).reshape(len(rows), self.table.d_in))

    def embed_sure(self, text: str) -> tuple[FloatArray, float]:
        """Return the unit vector of one text, shape (d_in,), and its expected cosine to the embedder's vector."""
        check_texts([text])
        tokens = self.tokens(text)
        vector, lengths = self._vector(tokens)
        row: FloatArray = unit_rows(vector[None])[0]
        return row, float(evidence(self.table.seen[tokens], vector, lengths) @ self.table.confidence)

    def is_sure(self, text: str, cosine: float) -> bool:
        """Return whether `auto` takes the table: the words are known and not too many, and the cosine is high."""
        tokens = self.tokens(text)
        known = len(tokens) and bool((self.table.seen[tokens] >= SEEN_OFTEN).all())
        return bool(known) and len(tokens) <= self.table.longest and cosine >= self.table.threshold

    def _vector(self, tokens: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the sum of a text's rows, shape (d_in,), and the rows' lengths."""
        rows = self.table.rows(np.append(tokens, len(self.table.seen)))
        total: FloatArray = rows.sum(0)
        return total, np.linalg.norm(rows, axis=1)


def evidence(seen: IntArray, vector: FloatArray, lengths: FloatArray) -> FloatArray:
    """Return what speaks for a table's vector of one text, shape (5,), float64.

    A one, how often its rarest token was seen and how often its tokens were on average (logarithms), the number of
    tokens (logarithm), and how much the rows agree: the length of their sum as a share of the sum of their lengths.
    """
    known = np.log1p(seen) if len(seen) else np.zeros(1)
    agreement = np.linalg.norm(vector) / max(float(lengths.sum()), 1e-9)
    return np.array([1.0, known.min(), known.mean(), np.log1p(len(seen)), agreement])
