"""`train`: from documents (or embeddings) to a checkpoint, in one call."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ..corpus import Corpus, read_pairs
from ..errors import ConfigError, DataError
from ..metrics import FloatArray, alive_share, fvu, l0, mean_jaccard, overlap_at
from .batches import BatchSampler
from .cache import default_cache_dir, embed_cached
from .codes import decode_all, encode_all
from .config import SaeConfig, TrainConfig
from .embedding import Embedder
from .features import describe_latents, latent_statistics
from .neighbours import nearest
from .queries import natural_queries
from .sae import SparseAutoencoder
from .trainer import Trainer

logger = logging.getLogger(__name__)

Stage = Literal["embed documents", "embed queries", "find neighbours", "train", "describe latents"]
Progress = Callable[[Stage, int, int, dict[str, float]], None]
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
REFERENCE_DOCUMENTS = 200_000
SAMPLE_TEXTS = 256
HELD_OUT = 0.05


def train(
    corpus: str | Path | Sequence[str] | Corpus | FloatArray,
    embedder: str | Path | Embedder = MINILM,
    config: SaeConfig | None = None,
    training: TrainConfig | None = None,
    *,
    pairs: str | Path | Sequence[tuple[str, str]] | None = None,
    cache_dir: str | Path | None = None,
    resume_path: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> SparseAutoencoder:
    """Fit a sparse autoencoder to the embeddings of a corpus so that the ranking survives.

    Args:
        corpus: .jsonl(.gz), .csv, .txt, a folder of .txt/.md, a BEIR folder, a list of texts, a `Corpus`, or ready
            embeddings: an .npy file or an array of unit rows, shape (n, d_in), float32.
        embedder: A sentence-transformers folder or name. Not used for ready embeddings.
        config: Shape of the autoencoder; `d_in` is taken from the embeddings.
        training: The recipe; `TrainConfig.paper()` for the paper's.
        pairs: Query-document pairs (query text, document id), or a .jsonl/.tsv/.csv file of them. Without pairs the
            queries are made from the documents: titles, first sentences, other sentences, random spans.
        cache_dir: Where embeddings are kept between runs; the user's cache folder by default.
        resume_path: Where the state of an unfinished run is kept; None keeps none.
        resume: Go on from `resume_path` if it is there.
        progress: Called with (stage, done, total, figures).

    Returns:
        The trained model on the CPU, with `info` filled in; write it with `save("model.pt")`.

    Raises:
        DataError: The corpus, its pairs or its embeddings cannot be used.
        ConfigError: A setting is outside its range.
        CheckpointError: `resume_path` belongs to another run.
    """
    config, training = config or SaeConfig(), training or TrainConfig()
    cache = Path(cache_dir) if cache_dir is not None else default_cache_dir()
    source, ready = _open(corpus)
    if ready is not None:
        documents, queries, model = ready, ready, None
        if pairs is not None:
            raise ConfigError("pairs need texts: give documents instead of ready embeddings, or leave pairs out")
    else:
        assert source is not None
        if pairs is not None:
            source = source.with_pairs(read_pairs(Path(pairs)) if isinstance(pairs, str | Path) else list(pairs))
        texts = natural_queries(source, limit=training.max_queries, seed=training.seed)
        model = embedder if isinstance(embedder, Embedder) else Embedder(embedder, device=training.device)
        documents = embed_cached(
            model,
            lambda: (d.text for d in source.documents()),
            cache_dir=cache,
            progress=_at(progress, "embed documents"),
        )
        queries = embed_cached(model, texts, cache_dir=cache, progress=_at(progress, "embed queries"))
    sae = fit_embeddings(
        documents,
        queries,
        config,
        training,
        resume_path=Path(resume_path) if resume_path else None,
        resume=resume,
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
    resume_path: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> SparseAutoencoder:
    """Fit an autoencoder to embeddings that are already there.

    Args:
        documents: Unit rows, shape (n, d_in), float32; may be memory-mapped.
        queries: Unit rows, shape (m, d_in), float32; a twentieth of them is held out and measured at the end.
        config: Shape of the autoencoder.
        training: The recipe.
        resume_path: Where the state of an unfinished run is kept.
        resume: Go on from there.
        progress: Called with (stage, done, total, figures).

    Returns:
        The model on the CPU; `info.metrics` has fvu, l0, alive, jaccard and the top-10 overlap on held-out queries.
    """
    if len(documents) < 2 or len(queries) < 1:
        raise DataError(f"{len(documents)} documents and {len(queries)} queries: training needs at least 2 and 1")
    if config.d_in not in (0, documents.shape[1]):
        raise ConfigError(f"d_in is {config.d_in}, the embeddings have {documents.shape[1]} columns: leave d_in out")
    rng = np.random.default_rng(training.seed)
    held = rng.permutation(len(queries))[: min(int(len(queries) * HELD_OUT), 1000)]
    kept = np.setdiff1d(np.arange(len(queries)), held)
    if queries is documents:  # bare embeddings: documents stand in for queries, only as many as are needed
        kept = kept[rng.permutation(len(kept))[: training.max_queries]]
    kept_queries = np.array(queries[np.sort(kept)], np.float32)
    neighbours = nearest(kept_queries, documents, training.pool, progress=_at(progress, "find neighbours"))
    sample = np.array(documents[:: max(1, len(documents) // 100_000)], np.float32)
    mean = sample.mean(0)
    variance = float(((sample - mean) ** 2).sum(1).mean())
    if variance < 1e-8:
        raise DataError(f"the embeddings are all the same (variance {variance:.1e}): nothing can be learned from them")
    sae = SparseAutoencoder(
        dataclasses.replace(config, d_in=documents.shape[1]),
        mean=torch.from_numpy(mean),
        tied=training.tied_init,
        generator=torch.Generator().manual_seed(training.seed),
    )
    sampler = BatchSampler(kept_queries, documents, neighbours, training)
    trainer = Trainer(sae, sampler, training, variance=variance, resume_path=resume_path)
    if resume and (step := trainer.resume()):
        logger.info("going on from step %d of %d", step, training.steps)
    trainer.run(lambda step, figures: progress("train", step, training.steps, figures) if progress else None)
    sae.cpu().eval().requires_grad_(False)
    sae.info.training = dataclasses.asdict(training)
    sae.info.reference_mean = [float(x) for x in mean]
    sae.info.metrics = measure(
        sae, sample[:20_000], np.array(queries[np.sort(held)], np.float32) if len(held) else kept_queries
    )
    return sae


def measure(sae: SparseAutoencoder, documents: FloatArray, queries: FloatArray) -> dict[str, float]:
    """Quality on a sample: fvu of documents and queries, l0, alive, jaccard, and top-10 overlap with dense search.

    Args:
        sae: The model, on the CPU.
        documents: Unit rows, shape (n, d_in).
        queries: Unit rows, shape (m, d_in), not trained on.
    """
    d_codes, q_codes = encode_all(sae, documents), encode_all(sae, queries)
    d_hat, q_hat = decode_all(sae, *d_codes), decode_all(sae, *q_codes)
    dense = queries @ documents.T
    return {
        "fvu": fvu(documents, d_hat),
        "fvu_queries": fvu(queries, q_hat, documents.mean(0)),
        "l0": l0(d_codes[1]),
        "alive": alive_share(*d_codes, sae.config.n_latents),
        "jaccard": mean_jaccard(*d_codes),
        "overlap10_reconstruction": overlap_at(dense, q_hat @ d_hat.T),
    }


def _open(corpus: str | Path | Sequence[str] | Corpus | FloatArray) -> tuple[Corpus | None, FloatArray | None]:
    if isinstance(corpus, np.ndarray):
        return None, check_embeddings(corpus, "the array")
    if isinstance(corpus, str | Path) and Path(corpus).suffix == ".npy":
        try:
            return None, check_embeddings(np.load(corpus, mmap_mode="r", allow_pickle=False), str(corpus))
        except (OSError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{corpus} cannot be read as a NumPy array of embeddings: {error}") from error
    return (corpus if isinstance(corpus, Corpus) else Corpus.open(corpus)), None


def check_embeddings(array: FloatArray, name: str) -> FloatArray:
    """Refuse what is not a matrix of finite unit rows; read block by block.

    Raises:
        DataError: Wrong shape or dtype, NaN, infinite or zero rows, rows that are not of unit length.
    """
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{name} has shape {array.shape} and dtype {array.dtype}: expected (n, d_in) of floats")
    if array.shape[0] < 2 or array.shape[1] < 2:
        raise DataError(f"{name} has shape {array.shape}: expected at least 2 rows and 2 columns")
    for start in range(0, len(array), 65_536):
        norms = np.linalg.norm(np.asarray(array[start : start + 65_536], np.float32), axis=1)
        bad = np.flatnonzero(~np.isfinite(norms) | (np.abs(norms - 1) > 1e-2))
        if len(bad):
            row, norm = start + int(bad[0]), float(norms[bad[0]])
            cure = "remove NaN and infinite values" if not np.isfinite(norm) else "divide every row by its length first"
            raise DataError(f"{name}: row {row} has length {norm:.4g}, expected unit rows (length 1): {cure}")
    return array


def _describe(sae: SparseAutoencoder, documents: FloatArray, source: Corpus | None, progress: Progress | None) -> None:
    """Fill `info.features`, `info.sample_texts` and `info.corpus` from up to 200,000 documents all over the corpus."""
    step = -(-len(documents) // REFERENCE_DOCUMENTS)
    codes = encode_all(sae, documents[::step])
    n = len(codes[0])
    statistics = latent_statistics(*codes, sae.config.n_latents)
    texts = (document.text for document in islice(source.documents(), 0, None, step)) if source else iter([""] * n)
    sae.info.features = describe_latents(statistics, texts)
    if source is None:
        for entry in sae.info.features:
            entry.update(label=None, keywords=[], examples=[])
    sae.info.corpus = {"name": source.name if source else "embeddings", "n_documents": len(documents)}
    sae.info.sample_texts = _sample_texts(source, len(documents)) if source else []
    if progress:
        progress("describe latents", n, n, {})


def _sample_texts(source: Corpus, n: int) -> list[str]:
    """Texts spread evenly over the corpus, cut to what an embedder reads at most."""
    step = max(1, n // SAMPLE_TEXTS)
    return [document.text[:8000] for document in islice(source.documents(), 0, None, step)][:SAMPLE_TEXTS]


def _at(progress: Progress | None, stage: Stage) -> Callable[[int, int], None] | None:
    def report(done: int, total: int, figures: dict[str, Any] | None = None) -> None:
        if progress:
            progress(stage, done, total, figures or {})

    return report
