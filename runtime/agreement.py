"""What can be measured of a bundle on documents without judgments: how far its views agree with dense retrieval."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..corpus import Corpus, read_queries
from ..corpus.readers import first_file
from ..errors import DataError
from ..files import absolute
from ..text import SENTENCE_END
from .bundle.bundle import Bundle
from .evaluate import VIEWS, Progress, run_view, sparsity
from .index import SteerableIndex

QUERIES = 300
"""Documents whose first sentence is a query, where there are no queries."""
TOP = 10


@dataclass(frozen=True)
class Agreement:
    """How far the views of an index agree with dense retrieval; whether dense itself is right, nobody judged."""

    dataset: str
    precision: str
    queries: int
    queries_from: str
    """`queries.jsonl`, or `first sentences` of documents, which are left out of their own results."""
    documents: int
    kept: dict[str, float]
    """View -> share of dense's ten best documents that are among its own ten best, mean over queries."""
    sparsity: dict[str, float]
    """As of `evaluate.Report`."""


def measure_agreement(
    bundle: Bundle, data: str | Path, *, index_path: str | Path | None = None, progress: Progress | None = None
) -> Agreement:
    """Index documents whole, search queries in every view, and compare the ten best with those of dense.

    Args:
        bundle: Opened.
        data: A path as of `Corpus.open`, perhaps with queries.jsonl(.gz).
        index_path: Keep the index here and use it again next time; a temporary one by default.
        progress: Called with (stage, done, total).

    Raises:
        DataError: The documents cannot be read, or are fewer than two.
    """
    folder, show = absolute(data), progress or (lambda stage, done, total: None)
    corpus = Corpus.open(folder)
    given = folder.is_dir() and first_file(folder, "queries.jsonl", "queries.jsonl.gz") is not None
    with tempfile.TemporaryDirectory(prefix="sae-eval-") as temporary:
        path = absolute(index_path) if index_path is not None else Path(temporary) / "index"
        index = SteerableIndex.open(path, bundle=bundle) if path.exists() else SteerableIndex.create(path, bundle)
        with index:
            total = len(corpus)
            index.add_from(corpus, chunk_tokens=0, progress=lambda done, _: show("index documents", done, total))
            texts = dict(list(read_queries(folder).items())[:QUERIES]) if given else _first_sentences(index)
            if len(index) < 2 or not texts:
                raise DataError(f"{folder} has {len(index)} documents and {len(texts)} queries: there is no ranking")
            vectors = bundle.embed_queries(list(texts.values()), progress=partial(show, "embed queries"))
            own = set() if given else set(texts)
            runs = {name: run_view(index, name, texts, vectors, own, show) for name in VIEWS}
            figures = sparsity(index, vectors)
            documents = len(index)
    best = {
        name: {query: set(sorted(found, key=lambda id: -found[id])[:TOP]) for query, found in run.items()}
        for name, run in runs.items()
    }
    kept = {
        name: sum(len(best["dense"][query] & found[query]) / max(1, len(best["dense"][query])) for query in texts)
        / len(texts)
        for name, found in best.items()
    }
    source = "queries.jsonl" if given else "first sentences"
    return Agreement(folder.name, bundle.manifest.precision, len(texts), source, documents, kept, figures)


def _first_sentences(index: SteerableIndex) -> dict[str, str]:
    """Return the first sentence of an even sample of the documents, by id, without those that are no more than it."""
    rows = index.store.rowids()
    found = {}
    for record in index.store.by_rowid(rows[:: max(1, -(-len(rows) // QUERIES))]):
        end = SENTENCE_END.search(record.text.strip())
        if end is not None and record.text.strip()[: end.start()].strip():
            found[record.id] = record.text.strip()[: end.end()].strip()
    return found or {record.id: record.text for record in index.store.by_rowid(rows[:QUERIES])}
