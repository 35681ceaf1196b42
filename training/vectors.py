"""Training on vectors that somebody has already: where its queries come from, and whether an embedder fits them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import FloatArray
from ..corpus import Corpus, read_pairs
from ..corpus.repair import encodable_name
from ..embedding_cache import embed_cached
from ..errors import ConfigError, DataError
from ..sequences import as_list
from ..vectors import Vectors, open_vectors
from ..vectors.fits import check_fits
from .config import TrainConfig
from .embedding import Embedder
from .queries import REAL_SHARE, check_varied, natural_queries, relevant_rows, tidy

logger = logging.getLogger(__name__)

SYMMETRIC = 0.9999
"""Cosine of one text as query and as document from which on LangChain's embeddings count as the same for both."""
BLOCK = 512
"""Queries that are embedded in one call."""
Pairs = str | Path | Sequence[tuple[str, str]]
Report = Callable[[int, int], None]


class AnyEmbedder(Protocol):
    """What embeds documents; queries by `embed_queries`, or one at a time by `embed_query`, as LangChain has it."""

    def embed_documents(self, texts: list[str]) -> Any:
        """Return one vector per text, of any length."""


class QueryVectors(NamedTuple):
    """The queries of a training, as vectors."""

    rows: FloatArray
    """Unit rows, shape (m, d_in), the real ones first. The documents themselves where they stand in for queries."""
    n_real: int = 0
    relevant: list[dict[int, int]] | None = None
    """Judgments of the real ones: row of a document -> grade."""


def embedded_queries(source: Corpus, embed: Callable[[list[str]], FloatArray], training: TrainConfig) -> QueryVectors:
    """Choose queries from pairs and documents, and embed them.

    Raises:
        DataError: The documents or pairs cannot be used, or all are alike.
    """
    texts, n_real = natural_queries(source, limit=training.max_queries, seed=training.seed)
    check_varied(source, texts)
    relevant = relevant_rows(source, texts[:n_real]) if n_real else None
    return QueryVectors(embed(texts), n_real, relevant)


def queries_for(
    held: Vectors,
    embedder: Embedder | AnyEmbedder | None,
    given: str | Path | FloatArray | None,
    pairs: Pairs | None,
    training: TrainConfig,
    *,
    cache: Path,
    progress: Report | None,
) -> QueryVectors:
    """Return queries for documents whose vectors are there: given ones, embedded ones, or the documents themselves.

    Raises:
        ConfigError: Pairs without texts or without anything that gives their queries' vectors; an embedder without
            texts, or another one than made the vectors.
        DataError: The queries or the pairs do not fit.
    """
    if given is not None and embedder is not None:
        raise ConfigError("give vectors of queries, or an embedder that makes them, and not both")
    source = held.documents
    if source is None and (pairs is not None or embedder is not None):
        what = "pairs need" if pairs is not None else "an embedder needs"
        raise ConfigError(f"{what} texts, and {held.name} has vectors alone: give the documents too")
    if given is not None:
        return _given(held, given, pairs, training, cache)
    if embedder is None:
        if pairs is not None:
            raise ConfigError(
                "pairs hold queries as texts, and nothing embeds them: give their vectors (--query-vectors), the "
                "address of what made the vectors (--embedder-url), or leave the pairs out"
            )
        return QueryVectors(held.rows)
    assert source is not None
    check_fits(lambda texts: _unit(embedder.embed_documents(texts), None), held)
    source = source if pairs is None else source.with_pairs(_known(source, pairs, held))
    width = held.rows.shape[1]
    return embedded_queries(source, lambda texts: _embed(embedder, texts, width, cache, progress), training)


def _given(
    held: Vectors, given: str | Path | FloatArray, pairs: Pairs | None, training: TrainConfig, cache: Path
) -> QueryVectors:
    """Return real queries by their vectors, and documents beside them up to the number that the recipe wants."""
    queries = open_vectors(given, folder=cache)
    width = held.rows.shape[1]
    if queries.rows.shape[1] != width:
        raise DataError(f"the queries have {queries.rows.shape[1]} columns, {held.name} has {width}: expected the same")
    rng = np.random.default_rng(training.seed)
    most = max(1, int(REAL_SHARE * training.max_queries))
    relevant: list[dict[int, int]] | None = None
    chosen = np.arange(len(queries.rows))
    texts: list[str] = []
    if pairs is not None and held.documents is not None:
        listed = _listed(pairs)
        if len(listed) != len(queries.rows):
            raise DataError(
                f"there are {len(listed)} pairs and {len(queries.rows)} vectors of queries: row i must be the vector "
                "of the query of pair i"
            )
        first: dict[str, int] = {}
        for row, (query, _) in enumerate(listed):
            first.setdefault(tidy(query), row)
        texts, chosen = list(first), np.array(list(first.values()), np.int64)
    kept = np.sort(rng.permutation(len(chosen))[:most])
    if pairs is not None and held.documents is not None:
        source = held.documents.with_pairs(_known(held.documents, pairs, held))
        relevant = relevant_rows(source, [texts[i] for i in kept])
    n_made = min(training.max_queries - len(kept), len(held.rows))
    made = np.sort(rng.permutation(len(held.rows))[: max(0, n_made)])
    rows = np.concatenate([np.asarray(queries.rows[chosen[kept]]), np.asarray(held.rows[made])]).astype(np.float32)
    return QueryVectors(rows, len(kept), relevant)


def _listed(pairs: Pairs) -> list[tuple[str, str]]:
    return read_pairs(pairs) if isinstance(pairs, str | Path) else as_list(pairs, "pairs")


def _known(source: Corpus, pairs: Pairs, held: Vectors) -> list[tuple[str, str]]:
    """Return the pairs, without those of documents that were left out for their vectors."""
    listed = _listed(pairs)
    if not held.left_out:
        return listed
    ids = {document.id for document in source.documents()}
    kept = [pair for pair in listed if encodable_name(pair[1]) in ids]
    if len(kept) < len(listed):
        logger.warning("%d pairs name documents that were left out", len(listed) - len(kept))
    return kept


def _embed(
    embedder: Embedder | AnyEmbedder, texts: list[str], width: int, cache: Path, progress: Report | None
) -> FloatArray:
    if isinstance(embedder, Embedder):
        return embed_cached(embedder, texts, side="queries", cache_dir=cache, progress=progress)
    report = progress or (lambda done, total: None)
    rows = []
    # One that counts its calls may refuse before the first.
    if hasattr(embedder, "expect"):
        embedder.expect(texts)
    embed = _query_function(embedder)
    for block in _blocks(texts):
        rows.append(_unit(embed(block), width))
        report(sum(map(len, rows)), len(texts))
    return np.concatenate(rows)


def _query_function(embedder: Any) -> Callable[[list[str]], ArrayLike]:
    """Return what embeds queries in blocks.

    LangChain's embeddings take one query at a time, which would be a call each. Where a query gives the vector of the
    same text as a document, as with most, documents are embedded instead.
    """
    if hasattr(embedder, "embed_queries"):
        return embedder.embed_queries  # type: ignore[no-any-return]
    probe = "how far away is the sun"
    as_query, as_document = _unit([embedder.embed_query(probe), *embedder.embed_documents([probe])], None)
    if float(as_query @ as_document) >= SYMMETRIC:
        return embedder.embed_documents  # type: ignore[no-any-return]
    return lambda texts: [embedder.embed_query(text) for text in texts]


def _blocks(texts: list[str]) -> Iterator[list[str]]:
    return (texts[start : start + BLOCK] for start in range(0, len(texts), BLOCK))


def _unit(vectors: ArrayLike, width: int | None) -> FloatArray:
    """Return what an embedder gave as unit rows; a `DataError` where that is not possible."""
    try:
        rows = np.asarray(vectors, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the embedder gave no rows of one width ({error})") from error
    if rows.ndim != 2 or (width is not None and rows.shape[1] != width):
        raise DataError(f"the embedder gave shape {rows.shape}: expected (n, {width or 'd_in'})")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise DataError("the embedder gave a vector that is zero, NaN or infinite: see what it does with short texts")
    unit: FloatArray = (rows / lengths).astype(np.float32)
    return unit


def sample_rows(documents: FloatArray, n: int) -> FloatArray:
    """Return the vectors of the texts that a checkpoint keeps: every so many, at most `n`; see `fit._describe`."""
    rows: FloatArray = np.array(documents[:: max(1, len(documents) // n)][:n], np.float32)
    return rows
