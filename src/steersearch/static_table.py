"""Static embedders: a table of token vectors, and the rule by which those of a text become one vector. NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import FloatArray, IntArray, unit_rows

_AT_ONCE = 32_768
"""Tokens whose vectors are in memory together: 32 MB for 256 numbers each."""
MAX_CHARACTERS = 2**20
"""Characters of a text that are read at most; a tokenizer takes about 100 bytes for each."""
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "Sigmoid")
"""Activations of torch that a layer may have."""
NORMALIZE = "Normalize"
"""Stands in the place of an activation: rows are divided by their lengths."""


@dataclass(frozen=True)
class Layer:
    """What is done with the mean of a text's token vectors: a product, then an activation."""

    activation: str
    """One of `ACTIVATIONS`, or `NORMALIZE`."""
    weight: FloatArray | None = None
    """Shape (d_out, d_in); None for no product."""
    bias: FloatArray | None = None
    """Shape (d_out,)."""

    def __call__(self, rows: FloatArray) -> FloatArray:
        """Apply the layer to rows, shape (n, d_in); returns (n, d_out)."""
        rows = self.linear(rows)
        match self.activation:
            case name if name == NORMALIZE:
                return unit_rows(rows)
            case "Tanh":
                return np.tanh(rows)
            case "ReLU":
                return np.maximum(rows, 0)
            case "Sigmoid":
                return np.asarray(0.5 + 0.5 * np.tanh(rows / 2), np.float32)
            case _:
                return rows

    def linear(self, rows: FloatArray) -> FloatArray:
        """Apply the layer without its activation."""
        if self.weight is not None:
            rows = rows @ self.weight.T
        if self.bias is not None:
            rows = rows + self.bias
        return rows


@dataclass(frozen=True)
class Rule:
    """How texts become tokens, and what of them is read."""

    max_length: int
    """Tokens that are read of a text."""
    characters: int = MAX_CHARACTERS
    """Characters that are read of a text."""
    unknown: int | None = None
    """Id of a token that is left out; None where all count."""


class StaticTable:
    """A table of token vectors with its tokenizer. Safe to use from several threads.

    The vector of a text is the mean of the vectors of its tokens, each times the factor of the token, put through the
    layers and divided by its length. A text without a token that counts gets `blank`: both sentence-transformers and
    model2vec give it zeros, which have no direction.
    """

    def __init__(
        self,
        tokenizer: Any,
        table: Any,
        rule: Rule,
        *,
        rows: IntArray | None = None,
        factors: FloatArray | None = None,
        layers: Sequence[Layer] = (),
        blank: FloatArray | None = None,
    ) -> None:
        """Put the parts together; whoever reads them checks that they fit each other.

        Args:
            tokenizer: A `tokenizers.Tokenizer`, whose padding and truncation are changed.
            table: Vectors, shape (n, width), float32, float16 or int8; may be memory-mapped.
            rule: How texts become tokens.
            rows: The row of the table of each token, shape (n_tokens,); None where it is the token's id.
            factors: A number for each token, shape (n_tokens,); None where all are 1.
            layers: What is done with the mean, in this order.
            blank: Unit vector of a text without tokens, shape (d_in,); by default `least_direction`.
        """
        self.table, self.rule, self.rows, self.factors, self.layers = table, rule, rows, factors, tuple(layers)
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(rule.max_length)
        self.blank = least_direction(self.layers, np.asarray(table, np.float32)) if blank is None else blank
        """Unit vector of a text without tokens, shape (d_in,), float32."""

    def tokenise(self, texts: Sequence[str]) -> list[IntArray]:
        """Return the ids of the tokens that count, in reading order, for each text."""
        heads = [text[: self.rule.characters] for text in texts]
        encodings = self._tokenizer.encode_batch_fast(heads, add_special_tokens=False)
        found, unknown = [np.array(each.ids, np.int64) for each in encodings], self.rule.unknown
        return found if unknown is None else [ids[ids != unknown] for ids in found]

    def token_vectors(self, texts: Sequence[str]) -> list[tuple[FloatArray, list[tuple[int, int]]]] | None:
        """Return for each text the vectors of its tokens, shape (n, d_in), and the characters where each stands.

        Their mean is the embedding before it is divided by its length. None where a layer is not linear, so that there
        are no such vectors.
        """
        if any(layer.activation not in ("Identity", NORMALIZE) for layer in self.layers):
            return None
        heads, unknown = [text[: self.rule.characters] for text in texts], self.rule.unknown
        made = []
        for each in self._tokenizer.encode_batch(heads, add_special_tokens=False):
            kept = [i for i, token in enumerate(each.ids) if token != unknown]
            rows = self._vectors(np.array([each.ids[i] for i in kept], np.int64))
            for layer in self.layers:
                if layer.activation == NORMALIZE:
                    # What the mean is divided by, each part of it is.
                    length = np.linalg.norm(layer.linear(rows).mean(0)) if len(rows) else 1.0
                    rows = layer.linear(rows) / np.maximum(length, 1e-12)
                else:
                    rows = layer.linear(rows)
            made.append((np.asarray(rows, np.float32), [each.offsets[i] for i in kept]))
        return made

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts: unit rows, shape (n, d_in), float32."""
        return self.embed_tokens(self.tokenise(texts))

    def embed_tokens(self, tokens: Sequence[IntArray]) -> FloatArray:
        """Embed texts given as ids of `tokenise`: unit rows, shape (n, d_in), float32."""
        out = np.empty((len(tokens), len(self.blank)), np.float32)
        start = 0
        while start < len(tokens):
            stop, held = start + 1, len(tokens[start])
            while stop < len(tokens) and held + len(tokens[stop]) <= _AT_ONCE:
                held, stop = held + len(tokens[stop]), stop + 1
            out[start:stop] = self._embed(tokens[start:stop])
            start = stop
        return out

    def _embed(self, tokens: Sequence[IntArray]) -> FloatArray:
        lengths = np.array([len(ids) for ids in tokens])
        out: FloatArray = np.tile(self.blank, (len(tokens), 1))
        full = np.flatnonzero(lengths).tolist()
        if not full:
            return out
        ids = np.concatenate([tokens[i] for i in full])
        if len(ids) > _AT_ONCE:
            sums = sum(self._vectors(ids[at : at + _AT_ONCE]).sum(0, np.float64) for at in range(0, len(ids), _AT_ONCE))
            means = np.asarray(sums / len(ids), np.float32)[None]
        else:
            starts = np.cumsum(lengths[full]) - lengths[full]
            means = np.add.reduceat(self._vectors(ids), starts, axis=0)
            means /= lengths[full, None].astype(np.float32)
        for layer in self.layers:
            means = layer(means)
        norms = np.linalg.norm(means, axis=1, keepdims=True)
        # Vectors that cancel out have no direction either. NaN stays, for whoever checks.
        out[full] = np.where(norms < 1e-12, self.blank, means / np.maximum(norms, 1e-12))
        return out

    def _vectors(self, ids: IntArray) -> FloatArray:
        """Return the vectors of tokens times their factors, shape (n, width), float32."""
        vectors = self.table[ids if self.rows is None else self.rows[ids]].astype(np.float32)
        if self.factors is not None:
            vectors *= self.factors[ids, None]
        return np.asarray(vectors)


def least_direction(layers: Sequence[Layer], rows: FloatArray) -> FloatArray:
    """Return the unit vector, shape (d_in,), with which rows that went through layers have the smallest products."""
    for layer in layers:
        rows = layer(rows)
    _, vectors = np.linalg.eigh(rows.T.astype(np.float64) @ rows)
    least = vectors[:, 0]
    return np.asarray(least * np.sign(least[np.argmax(np.abs(least))]), np.float32)
