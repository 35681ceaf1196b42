"""`train`: from documents (or embeddings) to a checkpoint, in one call."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from ..arrays import FloatArray
from ..corpus import Corpus
from ..embedding_cache import default_cache_dir, embed_cached
from ..errors import ConfigError, DataError
from ..files import absolute
from ..sequences import unmasked
from .batches import BatchSampler, check_embeddings, moments, nearest
from .config import SaeConfig, TrainConfig
from .dev_set import DevSet, split_queries
from .embedding import Embedder, EmbedderSource, resolve_embedder
from .latent_statistics import describe_latents, latent_statistics
from .metrics_log import MetricsLog
from .queries import check_varied, natural_queries, relevant_rows
from .sae import SparseAutoencoder, encode_all
from .trainer import Trainer

logger = logging.getLogger(__name__)

Stage = Literal["embed documents", "embed queries", "find neighbours", "train", "describe latents"]
Progress = Callable[[Stage, int, int, dict[str, float]], None]
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
REFERENCE_DOCUMENTS = 50_000
SAMPLE_TEXTS = 256


def train(
    corpus: str | Path | Sequence[str] | Corpus | FloatArray,
    embedder: str | Path | Embedder = MINILM,
    config: SaeConfig | None = None,
    training: TrainConfig | None = None,
    *,
    pairs: str | Path | Sequence[tuple[str, str]] | None = None,
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
        corpus: Whatever `Corpus.open` takes (files, folders, lists of texts or of LangChain documents), or ready
            embeddings: an .npy file or an array of unit rows, shape (n, d_in), float32.
        embedder: A sentence-transformers folder or name. Not used for ready embeddings.
        config: Shape of the autoencoder; `d_in` is taken from the embeddings.
        training: The recipe; `TrainConfig.paper()` for the paper's.
        pairs: Query-document pairs (query text, document id), or a .jsonl/.tsv/.csv file of them. Without pairs the
            queries are made from the documents: titles, first sentences, other sentences, random spans.
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
    source, ready = _open(corpus)
    if ready is not None:
        documents, queries, model = ready, ready, None
        n_real, relevant = 0, None
        if pairs is not None:
            raise ConfigError("pairs need texts: give documents instead of ready embeddings, or leave pairs out")
        if (query_prompt, document_prompt, truncate_dim) != (None, None, None):
            raise ConfigError("prompts and truncate_dim need texts: give them to sae export, with the embedder")
    else:
        assert source is not None
        # Before anything is read, since its folder may say too little.
        found = _find_embedder(embedder, query_prompt, document_prompt, truncate_dim)
        if pairs is not None:
            source = source.with_pairs(absolute(pairs) if isinstance(pairs, str | Path) else pairs)
        texts, n_real = natural_queries(source, limit=training.max_queries, seed=training.seed)
        check_varied(source, texts)
        relevant = relevant_rows(source, texts[:n_real]) if n_real else None
        model = found if isinstance(found, Embedder) else Embedder(found, device=training.device)
        at_documents = _at(progress, "embed documents")
        documents = embed_cached(model, source.texts, cache_dir=cache, progress=at_documents)
        queries = embed_cached(model, texts, side="queries", cache_dir=cache, progress=_at(progress, "embed queries"))
    sae = fit_embeddings(
        documents,
        queries,
        config,
        training,
        n_real=n_real,
        relevant=relevant,
        resume_path=absolute(resume_path) if resume_path else None,
        resume=resume,
        log_path=absolute(log_path) if log_path else None,
        progress=progress,
    )
    _describe(sae, documents, source, progress)
    if model is not None:
        sae.info.embedder = model.describe()
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


def _find_embedder(
    embedder: str | Path | Embedder, query: str | None, document: str | None, cut: int | None
) -> Embedder | EmbedderSource:
    if not isinstance(embedder, Embedder):
        return resolve_embedder(embedder, query_prompt=query, document_prompt=document, truncate_dim=cut)
    if (query, document, cut) != (None, None, None):
        raise ConfigError("the embedder is open already: give prompts and truncate_dim to resolve_embedder")
    return embedder


def _open(corpus: str | Path | Sequence[str] | Corpus | FloatArray) -> tuple[Corpus | None, FloatArray | None]:
    # An array of one dimension holds texts, as a column of a table does.
    if isinstance(corpus, np.ndarray) and (corpus.ndim != 1 or corpus.dtype.kind not in "OUT"):
        return None, unmasked(corpus, "corpus")
    if isinstance(corpus, str | Path) and Path(corpus).suffix == ".npy":
        try:
            return None, np.load(corpus, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{corpus} cannot be read as a NumPy array of embeddings: {error}") from error
    return Corpus.open(corpus.tolist() if isinstance(corpus, np.ndarray) else corpus), None


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
