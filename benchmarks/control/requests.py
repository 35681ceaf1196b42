"""Requests with an exception ("X but not Y"), each with one document that answers it: negconstraint."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from steersearch.arrays import FloatArray, unit_rows
from steersearch.corpus import Corpus, read_qrels, read_queries
from steersearch.runtime import Bundle, Request, SteerableIndex, understand
from steersearch.runtime.search.views import ViewName

from .exclusion import AWAY, FORCE, LESS_OF
from .method import ONE_DIGIT
from .product import VIEWS
from .results import Results
from .rivals import Embed
from .scoring import NOTHING, TOP, Rows, best, ndcg
from .tasks import coin

NAME = "negconstraint"


def negconstraint(results: Results, folder: Path, bundle: Bundle, embed: Embed, seed: int) -> None:
    """Requests with an exception, each with one right document among all."""
    documents = list(Corpus.open(folder).documents())
    row = {document.id: at for at, document in enumerate(documents)}
    asked, judged = read_queries(folder), read_qrels(folder, "test")
    texts = [asked[id] for id in judged]
    gold = [{row[id] for id, grade in mine.items() if grade > 0} for mine in judged.values()]
    vectors = embed([document.text for document in documents])
    results.tasks[NAME] = {"kind": "requests", "test": len(texts), "first half": [coin(text) for text in texts]}
    make = partial(results.make, NAME)
    if seed == 0:
        for name, settings, default in _rivals(texts, vectors, embed):
            make(name, 0, partial(_ranked, settings, default, gold))
    with tempfile.TemporaryDirectory() as temporary:
        index = SteerableIndex.create(Path(temporary) / "index", bundle, backend="exact")
        with index:
            index.add([d.text for d in documents], [str(at) for at in range(len(documents))], embeddings=vectors)
            for view in ("dense", *VIEWS):
                for name, how in (("the whole request", whole), ("ours, understand", read), ("ours, exclude", strict)):
                    search = partial(_search, index, [how(text) for text in texts], view)
                    make(f"{name}, {view} view", seed, partial(_ranked, {"1": search}, "1", gold))


def whole(text: str) -> dict[str, Any]:
    """The request as it is written."""
    return {"query": text}


def read(text: str) -> dict[str, Any]:
    """The request, read in plain words."""
    return {"query": text, "understand": True}


def strict(text: str) -> dict[str, Any]:
    """The same, what it does not want excluded strictly."""
    request = understand(text)
    unwanted = unwanted_of(request)
    wanted = {key: strength for key, strength in request.boost.items() if strength > 0}
    return {"query": request.query, "boost": wanted or None, "exclude": unwanted or None}


def unwanted_of(request: Request) -> tuple[str, ...]:
    """What a request does not want, or wants less of."""
    return (*request.exclude, *(key for key, strength in request.boost.items() if strength < 0))


def _rivals(
    texts: Sequence[str], documents: FloatArray, embed: Embed
) -> list[tuple[str, Mapping[str, Callable[[], Rows]], str]]:
    """What others do with the parts of a request, whoever found them."""
    requests = [understand(text) for text in texts]
    wanted = embed([request.query for request in requests])
    bans = [unwanted_of(request) for request in requests]
    parts = [embed(list(each)) if each else np.zeros((0, documents.shape[1]), np.float32) for each in bans]
    # Several concepts of Weaviate's are one vector, their mean; without one a query stays.
    target = np.stack([each.mean(0) if len(each) else query for query, each in zip(wanted, parts, strict=True)])
    total: FloatArray = np.stack([each.sum(0) for each in parts]).astype(np.float32)
    banned = np.stack([np.maximum(documents @ each.T, 0).sum(1) for each in parts]).astype(
        np.float32
    )  # (requests, documents)
    scores = wanted @ documents.T

    def away(weight: float) -> Rows:
        return best(unit_rows(wanted + weight / 2 * (wanted - target)) @ documents.T)

    def minus(weight: float) -> Rows:
        return best(unit_rows(wanted - weight * total) @ documents.T)

    def penalised(weight: float) -> Rows:
        return best(scores - weight * banned)

    weights = (*AWAY, LESS_OF)
    return [
        ("the whole request", {"1": lambda: best(embed(list(texts)) @ documents.T)}, "1"),
        ("the positive part", {"1": lambda: best(scores)}, "1"),
        ("Weaviate moveAwayFrom", {f"{w:g}": partial(away, w) for w in AWAY}, f"{FORCE:g}"),
        ("Marqo weights", {f"{w:g}": partial(minus, w) for w in weights}, f"{LESS_OF:g}"),
        ("a penalty on documents", {f"{w:g}": partial(penalised, w) for w in weights}, "1"),
    ]


def _ranked(settings: Mapping[str, Callable[[], Rows]], default: str, gold: Sequence[set[int]]) -> dict[str, Any]:
    """One digit a request: the place of its answer; tuned on the very queries that are reported, for a rival's best."""
    ranks = {name: _ranks(search(), gold) for name, search in settings.items()}
    chosen = max(ranks, key=lambda name: ndcg(ranks[name]).mean())
    return {
        "setting": chosen,
        "untuned": {"rank": "".join(ONE_DIGIT[rank] for rank in ranks[default])},
        "tuned": {"rank": "".join(ONE_DIGIT[rank] for rank in ranks[chosen])},
    }


def _ranks(found: Rows, gold: Sequence[set[int]]) -> Rows:
    hits = np.array([[row in right for row in rows] for rows, right in zip(found.tolist(), gold, strict=True)])
    return np.where(hits.any(1), hits.argmax(1) + 1, 0)


def _search(index: SteerableIndex, requests: Sequence[dict[str, Any]], view: ViewName) -> Rows:
    rows = np.full((len(requests), TOP), NOTHING)
    for at, request in enumerate(requests):
        hits = index.search(k=TOP, view=view, **request)
        rows[at, : len(hits)] = [int(hit.id) for hit in hits]
    return rows
