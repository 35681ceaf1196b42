"""Evaluation of a bundle on judged queries, relative to dense retrieval."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..arrays import FloatArray
from ..corpus import Corpus, read_qrels, read_queries
from ..errors import DataError
from ..extras import require
from ..files import absolute
from ..metrics import Run, alive_share, fvu, l0, mean_jaccard, score_run
from .bundle.bundle import Bundle
from .index import SteerableIndex
from .search.query import Fusion
from .search.views import ViewName

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
DEPTH = 100
WEIGHTS = {"dense": 0.4, "latent": 0.2, "words": 0.4}
"""Weights of `hybrid_weighted`: the best on train queries of SciFact among those that use all three views, in steps of
.1."""
VIEWS: dict[str, tuple[ViewName, Fusion, dict[int | str, float] | None]] = {
    "dense": ("dense", "rrf", None),
    "dense_empty_boost": ("dense", "rrf", {"f0": 0.0}),
    "reconstruction": ("reconstruction", "rrf", None),
    "latent": ("latent", "rrf", None),
    "words": ("words", "rrf", None),
    "hybrid": ("hybrid", "rrf", None),
    "hybrid_weighted": ("hybrid", WEIGHTS, None),
}


@dataclass(frozen=True)
class Report:
    """The results of one evaluation."""

    dataset: str
    split: str
    precision: str
    queries: int
    documents: int
    views: dict[str, dict[str, float]]
    """View -> metric -> value, mean over queries."""
    share_of_dense: dict[str, dict[str, float]]
    """View -> metric -> value divided by dense's."""
    empty_boost_identical: bool
    """Whether an all-zero boost gave the same ids and scores as dense, bit for bit, for every query."""
    sparsity: dict[str, float]
    """fvu of documents and queries, alive share and l0 on the documents, mean Jaccard of random code pairs."""


def evaluate(
    bundle: str | Path | Bundle,
    data: str | Path,
    *,
    split: str = "test",
    index_path: str | Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Index a BEIR folder, search its judged queries in every view, and score the results.

    A document with the id of the query is left out of its results, as BEIR does: in a set whose queries are documents
    (ArguAna) each would find itself. It stays where the judgments name it as an answer to that query.

    Args:
        bundle: The exported folder.
        data: Folder with corpus.jsonl(.gz), queries.jsonl(.gz) and qrels/SPLIT.tsv.
        split: The split of the judgments.
        index_path: Keep the index here and reuse it next time; a temporary one by default.
        progress: Called with (stage, done, total).

    Raises:
        MissingExtraError: ir-measures is not installed (extra ``eval``).
        DataError: The folder is not a BEIR folder, or lacks the split, or the split has no judgment.
    """
    require("eval", "ir_measures")
    opened = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    folder, show = absolute(data), progress or (lambda stage, done, total: None)
    qrels = read_qrels(folder, split)
    texts = {query: text for query, text in read_queries(folder).items() if query in qrels}
    unknown = sorted(set(qrels) - set(texts))
    if unknown:
        raise DataError(f"{folder}: {len(unknown)} judged queries have no text, the first is {unknown[0]!r}")
    with tempfile.TemporaryDirectory(prefix="sae-eval-") as temporary:
        path = absolute(index_path) if index_path is not None else Path(temporary) / "index"
        index = SteerableIndex.open(path, bundle=opened) if path.exists() else SteerableIndex.create(path, opened)
        with index:
            corpus = Corpus.open(folder)
            total = len(corpus)
            index.add_from(corpus, chunk_tokens=0, progress=lambda done, _: show("index documents", done, total))
            vectors = opened.embed_queries(list(texts.values()), progress=partial(show, "embed queries"))
            own = {query for query in texts if query not in qrels[query]}
            runs = {name: run_view(index, name, texts, vectors, own, show) for name in VIEWS}
            figures = sparsity(index, vectors)
            documents = len(index)
    scores = {name: score_run(run, qrels) for name, run in runs.items()}
    dense = scores["dense"]
    shares = {
        name: {m: v / dense[m] if dense[m] else 0.0 for m, v in figures.items()} for name, figures in scores.items()
    }
    return Report(
        dataset=folder.resolve().name,
        split=split,
        precision=opened.manifest.precision,
        queries=len(texts),
        documents=documents,
        views=scores,
        share_of_dense=shares,
        empty_boost_identical=runs["dense"] == runs["dense_empty_boost"],
        sparsity=figures,
    )


def run_view(
    index: SteerableIndex, name: str, queries: dict[str, str], vectors: FloatArray, own: Set[str], show: Progress
) -> Run:
    """Search every query in a view, without the documents of the ids in `own` in the results of the same query."""
    view, fusion, boost = VIEWS[name]
    run: dict[str, dict[str, float]] = {}
    for i, ((query, text), vector) in enumerate(zip(queries.items(), vectors, strict=True)):
        hits = index.search(vector, DEPTH + (query in own), boost=boost, view=view, fusion=fusion, text=text)
        found = [hit for hit in hits if hit.id != query or query not in own]
        run[query] = {hit.id: hit.score for hit in found[:DEPTH]}
        show(f"search {name.replace('_', ' ')}", i + 1, len(queries))
    return run


def sparsity(index: SteerableIndex, queries: FloatArray, limit: int = 20_000) -> dict[str, float]:
    """Return what `Report.sparsity` documents, of a sample of the documents and of queries, shape (n, d_in)."""
    (documents, codes), bundle = index.sample(limit), index.bundle
    return {
        "fvu": fvu(documents, bundle.decode(*codes)),
        "fvu_queries": fvu(queries, bundle.decode(*bundle.encode(queries)), documents.mean(0)),
        "l0": l0(codes[1]),
        "alive": alive_share(*codes, bundle.n_latents),
        "jaccard": mean_jaccard(*codes),
    }
