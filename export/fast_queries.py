"""`add_fast_queries`: fits a query table to a bundle's own embedder, and writes it into the bundle."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ..arrays import FloatArray, IntArray
from ..corpus import Corpus
from ..embedding_cache import Side, default_cache_dir
from ..errors import ConfigError, DataError
from ..files import absolute
from ..runtime.bundle.bundle import Bundle
from ..runtime.bundle.fast_queries.storage import has_table, quantised, write_table
from ..runtime.bundle.fast_queries.table import QueryTable, Table, evidence
from ..runtime.bundle.manifest import NO_EMBEDDER, TOKENIZER
from ..runtime.bundle.tokenizer import open_tokenizer
from ..runtime.interpret.pipeline import CachedEmbedder
from ..training.queries import natural_queries
from ..training.query_table import FitSettings, fit_rows, start_rows

Progress = Callable[[str, int, int], None]
HELD_OUT = 0.05
MIN_PIECES = 100
"""Fewest pieces of text that a table is fitted to."""
FURTHER = FitSettings(epochs=6, learning_rate=1e-3)
"""How a table is fitted further that the bundle has already."""
LENGTHS = 0.95
"""Share of the held-out pieces that are no longer than what `auto` leaves to the table."""
_UNKNOWN: dict[str, Any] = {"confidence": np.zeros(5, np.float32), "threshold": 0.0, "longest": 0}
"""Of a table that was not judged yet."""
SURE_SHARE = 0.5
"""Share of the held-out pieces whose expected cosine is above the threshold of `auto`."""


@dataclass(frozen=True)
class FastQueries:
    """What was fitted."""

    pieces: int
    """Texts that it was fitted to."""
    held_out: int
    cosine: float
    """Mean cosine of the table's and the embedder's vectors, on the held-out texts."""
    cosine_sure: float
    """The same where `auto` would use the table."""
    sure: float
    """Share of the held-out texts for which it would."""


def add_fast_queries(
    bundle: str | Path | Bundle,
    corpus: str | Path | Sequence[str] | Corpus,
    *,
    pieces: int = 40_000,
    afresh: bool = False,
    settings: FitSettings | None = None,
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> FastQueries:
    """Fit a table of token vectors to the embedder's query vectors, and write it into the bundle's folder.

    The texts are queries of pairs, titles, sentences and spans of the documents. An index that was made with the bundle
    keeps working. Of each of 20 texts one is held out, for the figures and for what `auto` goes by.

    Args:
        bundle: The exported folder, which is replaced as a whole at the end.
        corpus: Whatever `Corpus.open` takes.
        pieces: Texts at most; each takes the time of a short query.
        afresh: Start from the embedder's vectors of single tokens, also where the bundle has a table. Else a table that
            it has is fitted further: one that was fitted to much open text knows more words than a corpus has.
        settings: How it is fitted.
        cache_dir: Where embeddings are kept between runs; the user's cache folder by default.
        progress: Called with (stage, done, total).

    Raises:
        ConfigError: `pieces` is too low, or the bundle has no embedder or a static one.
        DataError: The corpus cannot be read, or is too small.
    """
    if pieces < MIN_PIECES:
        raise ConfigError(f"pieces is {pieces}: at least {MIN_PIECES} are needed")
    show = progress or (lambda stage, done, total: None)
    opened = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    _check_kind(opened)
    earlier = opened.query_table.table if has_table(opened.manifest) and not afresh else None
    settings = settings or (FURTHER if earlier else FitSettings())
    texts = natural_queries(Corpus.open(corpus), limit=pieces, seed=settings.seed).texts
    if len(texts) < MIN_PIECES:
        raise DataError(
            f"the documents give {len(texts)} different pieces of text: a table needs {MIN_PIECES}, add some"
        )
    random.Random(settings.seed).shuffle(texts)
    embed = CachedEmbedder(opened, absolute(cache_dir) if cache_dir else default_cache_dir(), show)
    table, figures = fit_table(opened, texts, embed, settings, earlier, progress=show)
    write_table(opened.path, opened.manifest, opened.files, table)
    return figures


def fit_table(
    bundle: Bundle,
    texts: list[str],
    embed: Callable[[list[str], str, Side], FloatArray],
    settings: FitSettings,
    earlier: Table | None = None,
    *,
    progress: Progress,
) -> tuple[Table, FastQueries]:
    """Fit a table to a bundle's query vectors of texts in random order, the first of which are held out.

    Args:
        bundle: Its tokenizer is taken.
        texts: What is learnt from.
        embed: Called with texts, what they are, and their side: unit rows, shape (n, d_in).
        settings: How it is fitted.
        earlier: A table to start from.
        progress: Called with (stage, done, total).
    """
    targets = np.asarray(embed(texts, "embed pieces", "queries"), np.float32)
    tokenizer = open_tokenizer(bundle.path / TOKENIZER, bundle.manifest.max_length)
    tokenizer.no_padding()
    size = tokenizer.get_vocab_size()
    empty = quantised(np.zeros((size + 1, bundle.d_in), np.float32), seen=np.zeros(size, np.int64), **_UNKNOWN)
    reader = QueryTable(empty, tokenizer, bundle.manifest.max_length)
    tokens = [reader.tokens(text) for text in texts]
    held = max(1, int(HELD_OUT * len(texts)))
    seen = np.bincount(np.concatenate([np.unique(row) for row in tokens[held:]]).astype(np.int64), minlength=size)
    if earlier is None:
        start = start_rows(_alone(embed, tokenizer, size, bundle.d_in), seen)
    else:
        start, seen = earlier.rows(), seen + earlier.seen
    rows = fit_rows(start, tokens[held:], targets[held:], settings, partial(progress, "fit"))
    table = quantised(rows, seen=seen, **_UNKNOWN)
    return _judged(table, reader, texts[:held], tokens[:held], targets[:held], len(texts) - held)


def _check_kind(bundle: Bundle) -> None:
    """Check that a bundle has an embedder that a table can take the place of; a ConfigError."""
    kind = bundle.manifest.embedder_kind
    if kind == NO_EMBEDDER:
        raise ConfigError(f"{bundle.path} has no embedder, so no tokenizer that a table could have vectors for")
    if kind == "static":
        raise ConfigError(f"the embedder of {bundle.path} is a table already: its queries are fast as they are")


def _alone(
    embed: Callable[[list[str], str, Side], FloatArray], tokenizer: Tokenizer, size: int, d_in: int
) -> FloatArray:
    """Embed every token as a text of its own, shape (tokens, d_in); zeros for those that are no text."""
    words = {i: tokenizer.decode([i]).removeprefix("##").strip() for i in range(size)}
    named = [i for i in range(size) if words[i]]
    rows = np.zeros((size, d_in), np.float32)
    rows[named] = embed([words[i] for i in named], "embed tokens", "queries")
    return rows


def _judged(
    table: Table,
    reader: QueryTable,
    texts: list[str],
    tokens: list[IntArray],
    targets: FloatArray,
    pieces: int,
) -> tuple[Table, FastQueries]:
    """Return a table that knows how sure it is, by held-out texts, and the figures of these."""
    first = QueryTable(table, reader._tokenizer, reader._max_length)
    found = first.embed(texts)
    cosines = (found * targets).sum(1).astype(np.float64)
    facts = np.array([evidence(table.seen[row], *first._vector(row)) for row in tokens])
    # A ridge keeps a few dozen held-out texts from deciding alone.
    weights = np.linalg.solve(facts.T @ facts + np.eye(facts.shape[1]) * 1e-3 * len(facts), facts.T @ cosines)
    expected = facts @ weights
    threshold = float(np.quantile(expected, 1 - SURE_SHARE))
    longest = int(np.quantile([len(row) for row in tokens], LENGTHS))
    judged = replace(table, confidence=weights.astype(np.float32), threshold=threshold, longest=longest)
    last = QueryTable(judged, reader._tokenizer, reader._max_length)
    sure = np.array([last.is_sure(text, cosine) for text, cosine in zip(texts, expected, strict=True)])
    among = float(cosines[sure].mean()) if sure.any() else 0.0
    return judged, FastQueries(pieces, len(texts), float(cosines.mean()), among, float(sure.mean()))
