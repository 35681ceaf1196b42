"""`train`: from documents (or embeddings) to a checkpoint, in one call."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch

from ..arrays import FloatArray
from ..corpus import Corpus
from ..embedding_cache import default_cache_dir, embed_cached
from ..errors import ConfigError, DataError
from ..files import absolute
from ..vectors import Vectors, open_vectors
from .batches import BatchSampler, check_embeddings, moments, nearest
from .config import SaeConfig, TrainConfig
from .dev_set import DevSet, split_queries
from .embedding import Embedder, resolve_embedder
from .latent_statistics import describe_latents, latent_statistics
from .metrics_log import MetricsLog
from .sae import SparseAutoencoder, encode_all
from .threads import limit_threads
from .trainer import Trainer
from .vectors import AnyEmbedder, embedded_queries, queries_for, sample_rows

logger = logging.getLogger(__name__)

Stage = Literal["embed documents", "embed queries", "find neighbours", "train", "describe latents"]
Progress = Callable[[Stage, int, int, dict[str, float]], None]
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
REFERENCE_DOCUMENTS = 50_000
SAMPLE_TEXTS = 256


def train(
    corpus: str | Path | Sequence[str] | Corpus | Vectors | FloatArray | None = None,
    embedder: str | Path | Embedder | AnyEmbedder | None = None,
    config: SaeConfig | None = None,
    training: TrainConfig | None = None,
    *,
    vectors: str | Path | FloatArray | Vectors | None = None,
    queries: str | Path | FloatArray | None = None,
    embedder_name: str = "",
    pairs: str | Path | Sequence[tuple[str, str]] | None = None,
    pooling: str = "",
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    truncate_dim: int | None = None,
    cache_dir: str | Path | None = None,
    resume_path: str | Path | None = None,
    resume: bool = False,
    log_path: str | Path | None = None,
    progress: Progress | None = None,
) -> SparseAutoencoder:
    """Fit a sparse autoencoder to the embeddings of a corpus so that the ranking survives.

    Args:
        corpus: Whatever `Corpus.open` takes (files, folders, lists of texts or of LangChain documents). Not needed
            where `vectors` come with texts, or have none: then features get no words.
        embedder: What `resolve_embedder` takes: a folder of sentence-transformers or model2vec, one with model.onnx and
            tokenizer.json, or a name; MiniLM by default. With `vectors`, nothing by default: what made them may be
            given, so that queries are made from the documents and embedded by it. That may also be an object with
            `embed_queries` and `embed_documents`, or LangChain's embeddings.
        config: Shape of the autoencoder; `d_in` is taken from the embeddings.
        training: The recipe; `TrainConfig.paper()` for the paper's.
        vectors: The documents' vectors, if they are there already: an .npy file or an array, shape (n, d_in), a .jsonl
            or .parquet file with a column of them, or what `open_vectors` or `vectors_from_store` returned. Rows are
            matched to documents by id or by order, and divided by their length.
        queries: Vectors of real queries, .npy or an array, shape (m, d_in); with `pairs` row i is that of pair i. Needs
            `vectors`. Without these and without an embedder, documents stand in for queries.
        embedder_name: What the model that made `vectors` is called, kept for messages.
        pairs: Query-document pairs (query text, document id), or a .jsonl/.tsv/.csv file of them. Without pairs the
            queries are made from the documents: titles, first sentences, other sentences, random spans.
        pooling: How the token vectors of an ONNX graph become one, such as ``mean``, where no file beside it says so.
        query_prompt: Put in front of queries; by default what the embedder's folder says. See `resolve_embedder`.
        document_prompt: The same for documents.
        truncate_dim: Keep so many of the first numbers of an embedding.
        cache_dir: Where embeddings are kept between runs; the user's cache folder by default.
        resume_path: Where the state of an unfinished run is kept; None keeps none.
        resume: Go on from `resume_path` if it is there.
        log_path: JSON-lines file for the figures of every step; with TensorBoard installed, its events beside it.
        progress: Called with (stage, done, total, figures).

    Returns:
        The trained model on the CPU, with `info` filled in; write it with `save("model.pt")`.

    Raises:
        DataError: The corpus, its pairs or its embeddings cannot be used.
        ConfigError: A setting is outside its range.
        CheckpointError: `resume_path` belongs to another run.
    """
    config, training = config or SaeConfig(), training or TrainConfig()
    cache = absolute(cache_dir) if cache_dir is not None else default_cache_dir()
    held = _held(corpus, vectors, cache)
    at_documents, at_queries = _at(progress, "embed documents"), _at(progress, "embed queries")
    asked_of = {
        "pooling": pooling or None,
        "query_prompt": query_prompt,
        "document_prompt": document_prompt,
        "truncate_dim": truncate_dim,
    }
    # Before anything is read, since its folder may say too little.
    model = _opened(embedder if held is not None else embedder or MINILM, training.device, asked_of)
    if held is None:
        if queries is not None or embedder_name or not isinstance(model, Embedder):
            raise ConfigError("queries, embedder_name and embedders that are no name or folder need vectors=")
        assert corpus is not None
        source: Corpus | None = Corpus.open(cast(Any, corpus))
        assert source is not None
        if pairs is not None:
            source = source.with_pairs(absolute(pairs) if isinstance(pairs, str | Path) else pairs)
        embed = partial(embed_cached, model, cache_dir=cache)
        asked = embedded_queries(source, partial(embed, side="queries", progress=at_queries), training)
        documents = embed(source.texts, progress=at_documents)
    else:
        source, documents = held.documents, held.rows
        asked = queries_for(held, model, queries, pairs, training, cache=cache, progress=at_queries)
    sae = fit_embeddings(
        documents,
        asked.rows,
        config,
        training,
        n_real=asked.n_real,
        relevant=asked.relevant,
        resume_path=absolute(resume_path) if resume_path else None,
        resume=resume,
        log_path=absolute(log_path) if log_path else None,
        progress=progress,
    )
    _describe(sae, documents, source, progress)
    if isinstance(model, Embedder):
        sae.info.embedder = model.describe()
    elif held is not None:
        sae.info.embedder_name = embedder_name
        sae.info.sample_vectors = torch.from_numpy(sample_rows(documents, SAMPLE_TEXTS))
    return sae


def fit_embeddings(
    documents: FloatArray,
    queries: FloatArray,
    config: SaeConfig,
    training: TrainConfig,
    *,
    n_real: int = 0,
    relevant: Sequence[Mapping[int, int]] | None = None,
    dev: DevSet | None = None,
    resume_path: Path | None = None,
    resume: bool = False,
    log_path: Path | None = None,
    progress: Progress | None = None,
) -> SparseAutoencoder:
    """Fit an autoencoder to embeddings that are already there.

    Args:
        documents: Unit rows, shape (n, d_in), float32; may be memory-mapped.
        queries: Unit rows, shape (m, d_in), float32.
        config: Shape of the autoencoder.
        training: The recipe.
        n_real: The first so many queries are real ones, the others were made from documents.
        relevant: Judgments of the real queries: row of a document -> grade, one mapping per query.
        dev: Held-out queries; by default a part of `queries` is held out (see `split_queries`).
        resume_path: Where the state of an unfinished run is kept.
        resume: Go on from there.
        log_path: JSON-lines file for the figures of every step.
        progress: Called with (stage, done, total, figures).

    Returns:
        The model on the CPU; `info.metrics` has what `DevSet.measure` found for the weights that were kept.

    Raises:
        DataError: The embeddings cannot be used.
        ConfigError: The configuration does not fit them.
        CheckpointError: `resume_path` belongs to another run.
    """
    limit_threads()
    if len(documents) < 2 or len(queries) < 1:
        raise DataError(f"{len(documents)} documents and {len(queries)} queries: training needs at least 2 and 1")
    check_embeddings(documents, "documents")
    if queries is not documents:
        check_embeddings(queries, "queries")
    if config.d_in not in (0, documents.shape[1]):
        raise ConfigError(f"d_in is {config.d_in}, the embeddings have {documents.shape[1]} columns: leave d_in out")
    if len(documents) < config.k:
        raise DataError(f"{len(documents)} documents and k = {config.k}: add documents or lower k to {len(documents)}")
    if queries is documents:  # bare embeddings: documents stand in for queries, only as many as are needed
        rows = np.random.default_rng(training.seed).permutation(len(documents))[: training.max_queries]
        queries = np.array(documents[np.sort(rows)], np.float32)
    if dev is None:
        queries, n_real, dev = split_queries(documents, queries, n_real, relevant, seed=training.seed)
    kept = np.array(queries, np.float32)
    neighbours = nearest(kept, documents, training.pool, progress=_at(progress, "find neighbours"))
    mean, variance = moments(documents)
    sae = SparseAutoencoder(
        dataclasses.replace(config, d_in=documents.shape[1]),
        mean=torch.from_numpy(mean),
        tied=training.tied_init,
        encoder_scale=training.encoder_scale * min(1.0, 64 / config.k),
        generator=torch.Generator().manual_seed(training.seed),
    )
    sampler = BatchSampler(kept, documents, neighbours, training, n_real=n_real)
    trainer = Trainer(sae, sampler, training, variance=variance, dev=dev, resume_path=resume_path)
    if resume and (step := trainer.resume()):
        logger.info("going on from step %d of %d", step, training.steps)
    log = MetricsLog(log_path, step=trainer.step) if log_path and trainer.processes.is_first else None

    def report(step: int, figures: dict[str, float]) -> None:
        if log:
            log.write(step, figures)
        if progress:
            progress("train", step, training.steps, figures)

    try:
        metrics = trainer.run(report)
    finally:
        if log:
            log.close()
    sae.cpu().eval().requires_grad_(False)
    sae.info.training = dataclasses.asdict(training)
    sae.info.reference_mean = [float(x) for x in mean]
    sae.info.metrics = metrics
    return sae


def _opened(
    embedder: str | Path | Embedder | AnyEmbedder | None, device: str, asked: dict[str, Any]
) -> Embedder | AnyEmbedder | None:
    """Open an embedder that is a name or a folder, with what is asked of it; a ConfigError for any other."""
    asked = {name: value for name, value in asked.items() if value is not None}
    if isinstance(embedder, str | Path):
        return Embedder(resolve_embedder(embedder, **asked), device=device)
    if asked:
        names = ", ".join(asked)
        raise ConfigError(
            f"{names}: nothing here embeds texts; name the embedder that made the vectors too"
            if embedder is None
            else f"{names}: the embedder is open already; give them to resolve_embedder"
        )
    return embedder


def _held(corpus: Any, vectors: str | Path | FloatArray | Vectors | None, cache: Path) -> Vectors | None:
    """Return the vectors of a call, which may stand in the place of the documents; None where texts are embedded."""
    if isinstance(corpus, Vectors) or _is_matrix(corpus):
        if vectors is not None:
            raise ConfigError("the documents are vectors, and vectors= is given too: give the texts as documents")
        corpus, vectors = None, corpus
    if vectors is None:
        if corpus is None:
            raise ConfigError("give documents, or vectors=")
        return None
    if not isinstance(vectors, Vectors):
        return open_vectors(vectors, corpus, folder=cache)
    if corpus is not None:
        raise ConfigError("these vectors have been matched to their documents: give the documents to open_vectors")
    return vectors


def _is_matrix(corpus: Any) -> bool:
    # An array of one dimension holds texts, as a column of a table does.
    if isinstance(corpus, np.ndarray):
        return corpus.ndim != 1 or corpus.dtype.kind not in "OUT"
    return isinstance(corpus, str | Path) and Path(corpus).suffix == ".npy"


def _describe(sae: SparseAutoencoder, documents: FloatArray, source: Corpus | None, progress: Progress | None) -> None:
    """Fill `info.features`, `info.sample_texts` and `info.corpus` from up to 50,000 documents all over the corpus."""
    step = -(-len(documents) // REFERENCE_DOCUMENTS)
    codes = encode_all(sae, documents[::step])
    n = len(codes[0])
    statistics = latent_statistics(*codes, sae.config.n_latents)
    sae.info.features = describe_latents(statistics, islice(source.texts(), 0, None, step) if source else [""] * n)
    if source is None:
        for entry in sae.info.features:
            entry.update(label=None, keywords=[], examples=[])
    sae.info.corpus = {"name": source.name if source else "embeddings", "n_documents": len(documents)}
    if source:
        # Spread evenly over the corpus, and cut to what an embedder reads at most.
        spread = islice(source.texts(), 0, None, max(1, len(documents) // SAMPLE_TEXTS))
        sae.info.sample_texts = [text[:8000] for text in spread][:SAMPLE_TEXTS]
    if progress:
        progress("describe latents", n, n, {})


def _at(progress: Progress | None, stage: Stage) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(stage, done, total, {})
