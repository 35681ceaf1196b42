"""`add_fast_queries`: fits a query table to a bundle's own embedder, and writes it into the bundle."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
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
from ..training.queries import REAL_SHARE, draw_distinct, real_queries
from ..training.query_pieces import query_pieces
from ..training.query_table import FitSettings, fit_rows, start_rows
from ..training.sae import SparseAutoencoder
from .bundle import export_bundle
from .query_tables import stored

Progress = Callable[[str, int, int], None]
HELD_OUT = 0.05
MOST_HELD_OUT = 20_000
"""Share and number of texts that are held out at most."""
PIECES = 100_000
"""Texts that a table is fitted to by default; with 40,000 the share of nDCG@10 was 1 to 2 points lower on two sets of
three."""
MIN_PIECES, MAX_PIECES = 100, 10_000_000
"""Fewest and most pieces of text that a table is fitted to."""
FURTHER = FitSettings(epochs=6, learning_rate=1e-3, ranking=3.0)
"""How a table is fitted further that the bundle has already. A `ranking` of 1 and of .3 was worse on the queries of two
sets of three, and equal on the third."""
RANKED = 4096
"""Documents whose ranking the table learns to keep, chosen at random."""
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
    pieces: int = PIECES,
    afresh: bool = False,
    settings: FitSettings | None = None,
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> FastQueries:
    """Fit a table of token vectors to the embedder's query vectors, and write it into the bundle's folder.

    The texts are queries of pairs, titles, sentences and spans of the documents, and some thousand documents are what
    they rank. An index that was made with the bundle keeps working. Of each of 20 texts one is held out, for figures
    and for what `auto` goes by.

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
    if not MIN_PIECES <= pieces <= MAX_PIECES:
        raise ConfigError(f"pieces is {pieces}: choose {MIN_PIECES} to {MAX_PIECES:,}")
    show = progress or (lambda stage, done, total: None)
    opened = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    check_can_have_table(opened.manifest.embedder_kind, str(opened.path))
    earlier = opened.query_table.table if has_table(opened.manifest) and not afresh else None
    settings = settings or (FURTHER if earlier else FitSettings())
    source = Corpus.open(corpus)
    texts = _texts(source, pieces, settings.seed)
    if len(texts) < MIN_PIECES:
        raise DataError(
            f"the documents give {len(texts)} different pieces of text: a table needs {MIN_PIECES}, add some"
        )
    embed = CachedEmbedder(opened, absolute(cache_dir) if cache_dir else default_cache_dir(), show)
    length = opened.manifest.max_length
    tokenizer = open_tokenizer(opened.path / TOKENIZER, length)
    bank = embed(
        draw_distinct((partial(str, text) for text in source.texts()), RANKED, random.Random(settings.seed), set()),
        "embed documents",
        "documents",
    )
    table, figures = fit_table(tokenizer, length, texts, embed, settings, earlier, bank=bank, progress=show)
    write_table(opened.path, opened.manifest, opened.files, table)
    return figures


def add_to_checkpoint(
    ckpt: str | Path,
    corpus: str | Path | Sequence[str] | Corpus,
    *,
    embedder: str | Path | None = None,
    pieces: int = PIECES,
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> FastQueries:
    """Fit a query table for a checkpoint, and keep it there: every export has it then, in any precision.

    Args:
        ckpt: The checkpoint, which is replaced as a whole at the end.
        corpus: As for `add_fast_queries`.
        embedder: As for `export_bundle`.
        pieces: As for `add_fast_queries`.
        cache_dir: As for `add_fast_queries`.
        progress: Called with (stage, done, total).

    Raises:
        SteersearchError: As for `export_bundle` and `add_fast_queries`.
    """
    path = absolute(ckpt)
    sae = SparseAutoencoder.load(path)
    with TemporaryDirectory(prefix="steersearch-") as folder:
        bundle = Path(folder, "bundle")
        export_bundle(sae, bundle, embedder=embedder)
        found = add_fast_queries(bundle, corpus, pieces=pieces, cache_dir=cache_dir, progress=progress)
        sae.info.query_table = stored(Bundle.load(bundle).query_table.table)
    sae.save(path)
    return found


def check_can_have_table(kind: str, name: str) -> None:
    """Check that a table can take the place of a bundle's embedder; a ConfigError.

    Args:
        kind: `Manifest.embedder_kind`, or the kind of an `EmbedderSource`.
        name: Whose embedder it is.
    """
    if kind == NO_EMBEDDER:
        raise ConfigError(f"{name} has no embedder, so no tokenizer that a table could have vectors for")
    if kind == "static":
        raise ConfigError(f"the embedder of {name} is a table already: its queries are fast as they are")


def fit_table(
    tokenizer: Tokenizer,
    max_length: int,
    texts: list[str],
    embed: Callable[[list[str], str, Side], FloatArray],
    settings: FitSettings,
    earlier: Table | None = None,
    *,
    bank: FloatArray | None = None,
    device: str = "cpu",
    progress: Progress,
) -> tuple[Table, FastQueries]:
    """Fit a table to an embedder's query vectors of texts in random order, the first of which are held out.

    Args:
        tokenizer: The embedder's.
        max_length: Tokens of a text that the embedder reads.
        texts: What is learnt from.
        embed: Called with texts, what they are, and their side: unit rows, shape (n, d_in).
        settings: How it is fitted.
        earlier: A table to start from.
        bank: What the texts rank, unit rows; the texts' own vectors by default.
        device: Where torch computes.
        progress: Called with (stage, done, total).
    """
    targets = np.asarray(embed(texts, "embed pieces", "queries"), np.float32)
    tokenizer.no_padding()
    size, d_in = tokenizer.get_vocab_size(), targets.shape[1]
    empty = quantised(np.zeros((size + 1, d_in), np.float32), seen=np.zeros(size, np.int64), **_UNKNOWN)
    reader = QueryTable(empty, tokenizer, max_length)
    tokens = [reader.tokens(text) for text in texts]
    held = max(1, min(MOST_HELD_OUT, int(HELD_OUT * len(texts))))
    seen = np.bincount(np.concatenate([np.unique(row) for row in tokens[held:]]).astype(np.int64), minlength=size)
    if earlier is None:
        start = start_rows(_alone(embed, tokenizer, size, d_in), seen)
    else:
        start, seen = earlier.rows(), seen + earlier.seen
    rows = fit_rows(start, tokens[held:], targets[held:], settings, partial(progress, "fit"), bank=bank, device=device)
    table = quantised(rows, seen=seen, **_UNKNOWN)
    return _judged(table, reader, texts[:held], tokens[:held], targets[:held], len(texts) - held)


def _texts(corpus: Corpus, pieces: int, seed: int) -> list[str]:
    """Return queries of pairs, which are half at most, and pieces of the documents, in random order."""
    rng = random.Random(seed)
    real = real_queries(corpus, max(1, int(REAL_SHARE * pieces)), rng)
    documents = ((str(document.metadata.get("title") or ""), document.text) for document in corpus.documents())
    texts = list(dict.fromkeys([*real, *query_pieces(documents, pieces - len(real), seed)]))
    rng.shuffle(texts)
    return texts


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
