"""Does "not" mean not: requests with an exception, and topics that must not come.

Two experiments. Of negconstraint every request has an exception ("X but not Y") and one document that answers it. Of
newsgroups and MedQuAD an attribute is excluded from queries that bring it: its share of the ten results must fall, and
what the query is about must stay.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steersearch.arrays import FloatArray, unit_rows
from steersearch.corpus import Corpus, read_qrels, read_queries
from steersearch.runtime import Bundle, SteerableIndex, understand

from .method import ONE_DIGIT, Method, Search, digits, overlap
from .product import Product
from .results import Results
from .rivals import Embed
from .scoring import TOP, Bench, Pairs, best

NEWS = ("20newsgroups", "medquad")
KEPT = 0.95
"""Share of what the query is about that tuning keeps on the dev queries."""
AWAY = (0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)
FORCE = 0.45
"""What the example in Weaviate's documentation gives to moveAwayFrom; there is no default."""
LESS_OF = 1.1
"""What Marqo's demonstrations take from the query for "less of"."""
Rank = NDArray[np.int64]
"""Place of the answer among the ten results of each request, from 1; 0 where it is not there."""


def exclusions(results: Results, product: Product, plain: Search, seed: int) -> None:
    """Exclude each pair's attribute from its query, in every way."""
    bench, names = product.bench, list(product.bench.names)
    text = bench.phrases

    def away(pairs: Pairs, weight: float) -> FloatArray:
        query, phrase = bench.queries[pairs.query], text[pairs.attribute]
        return query + weight * (query - phrase)

    def minus(pairs: Pairs, weight: float, mean: FloatArray | float = 0.0) -> FloatArray:
        rows: FloatArray = bench.queries[pairs.query] - weight * (text[pairs.attribute] - mean)
        return rows

    def moved(move: Callable[..., FloatArray], weight: float) -> Search:
        return lambda pairs: bench.top(move(pairs, weight))

    methods = [
        Method("no steering", {"0": plain}, "0", seeded=False),
        Method(
            "Weaviate moveAwayFrom",
            {f"{force:g}": moved(away, force / 2) for force in AWAY},
            f"{FORCE:g}",
            seeded=False,
        ),
        Method("Marqo weights", {f"{w:g}": moved(minus, w) for w in (*AWAY, LESS_OF)}, f"{LESS_OF:g}", seeded=False),
        Method(
            "text subtraction, mean removed",
            {f"{w:g}": moved(partial(minus, mean=bench.mean), w) for w in AWAY},
            "1",
            seeded=False,
        ),
        Method(
            "ours, the query moves, strength -1",
            {f"{w:g}": product.search(names, -w, blend="move") for w in (0.25, 0.5, 1.0, 2.0)},
            "1",
        ),
        Method("ours, boost -1", {"1": product.search(names, -1.0)}, "1"),
        Method("ours, exclude", {"1": product.exclude(names)}, "1"),
    ]
    for view in ("latent", "words", "hybrid"):
        methods.append(Method(f"no steering, {view} view", {"0": product.search(view=view)}, "0"))
        methods.append(Method(f"ours, exclude, {view} view", {"1": product.exclude(names, view=view)}, "1"))
    for method in methods:
        if seed == 0 or method.seeded:
            results.make(f"exclude, {bench.task.name}", method.name, seed, partial(_figures, bench, method))


def _figures(bench: Bench, method: Method) -> dict[str, Any]:
    """Untuned, and tuned: the setting with the least of the attribute that keeps `KEPT` of the topic on dev."""
    dev, test = bench.asked(bench.dev), bench.asked(~bench.dev)
    chosen = next(iter(method.settings))
    if len(method.settings) > 1:
        limit = KEPT * bench.judge(bench.top(bench.queries[dev.query]), dev)[1].mean()
        judged = {name: bench.judge(search(dev), dev).mean((1, 2)) for name, search in method.settings.items()}
        fair = [name for name, (_, topic, _) in judged.items() if topic >= limit]
        chosen = min(fair or judged, key=lambda name: judged[name][0] if fair else -judged[name][1])
    found: dict[str, Any] = {"setting": chosen}
    for tuning, name in (("untuned", method.default), ("tuned", chosen)):
        assert name is not None, "every way to exclude has a default"
        found[tuning] = digits(bench.judge(method.settings[name](test), test))
    if method.name == "ours, exclude":
        # Queries whose results never had the attribute have nothing to lose.
        has, _ = bench.hits
        before = bench.top(bench.queries[bench.untouched.query])
        free = ~np.take_along_axis(has[bench.untouched.attribute], before, 1).any(1)
        pairs = Pairs(bench.untouched.query[free], bench.untouched.attribute[free])
        if free.any():
            found["overlap"] = round(overlap(before[free], method.settings["1"](pairs)), 4)
    return found


def negconstraint(results: Results, folder: Path, bundle: Bundle, embed: Embed, seed: int) -> None:
    """Requests with an exception, each with one right document among all."""
    documents = list(Corpus.open(folder).documents())
    row = {document.id: at for at, document in enumerate(documents)}
    asked, judged = read_queries(folder), read_qrels(folder, "test")
    texts = [asked[id] for id in judged]
    gold = [{row[id] for id, grade in mine.items() if grade > 0} for mine in judged.values()]
    vectors = embed([document.text for document in documents])
    make = partial(results.make, "negconstraint")
    if seed == 0:
        for name, settings, default in _rivals(texts, vectors, embed):
            make(name, 0, partial(_ranked, settings, default, gold))
    with tempfile.TemporaryDirectory() as temporary:
        index = SteerableIndex.create(Path(temporary) / "index", bundle, backend="exact")
        with index:
            index.add([d.text for d in documents], [str(at) for at in range(len(documents))], embeddings=vectors)
            for view in ("dense", "latent", "words", "hybrid"):
                for name, how in (("the whole request", {}), ("ours, understand", {"understand": True})):
                    search = partial(_search, index, texts, view=view, **how)
                    make(f"{name}, {view} view", seed, partial(_ranked, {"1": search}, "1", gold))


def _rivals(
    texts: Sequence[str], documents: FloatArray, embed: Embed
) -> list[tuple[str, Mapping[str, Callable[[], NDArray[np.int64]]], str]]:
    """What others do with the parts of a request, whoever found them."""
    requests = [understand(text) for text in texts]
    wanted = embed([request.query for request in requests])
    bans = [request.exclude or tuple(key for key, s in request.boost.items() if s < 0) for request in requests]
    parts = [embed(list(each)) if each else np.zeros((0, documents.shape[1]), np.float32) for each in bans]
    # Several concepts of Weaviate's are one vector, their mean; without one a query stays.
    target = np.stack([each.mean(0) if len(each) else query for query, each in zip(wanted, parts, strict=True)])
    total = np.stack([each.sum(0) for each in parts])
    banned = np.stack([np.maximum(documents @ each.T, 0).sum(1) for each in parts])  # (requests, documents)
    scores = wanted @ documents.T

    def away(weight: float) -> NDArray[np.int64]:
        return best(unit_rows(wanted + weight / 2 * (wanted - target)) @ documents.T)

    def minus(weight: float) -> NDArray[np.int64]:
        return best(unit_rows(wanted - weight * total) @ documents.T)

    def penalised(weight: float) -> NDArray[np.int64]:
        return best(scores - weight * banned)

    weights = (*AWAY, LESS_OF)
    return [
        ("the whole request", {"1": lambda: best(embed(list(texts)) @ documents.T)}, "1"),
        ("the positive part", {"1": lambda: best(scores)}, "1"),
        ("Weaviate moveAwayFrom", {f"{w:g}": partial(away, w) for w in AWAY}, f"{FORCE:g}"),
        ("Marqo weights", {f"{w:g}": partial(minus, w) for w in weights}, f"{LESS_OF:g}"),
        ("a penalty on documents", {f"{w:g}": partial(penalised, w) for w in weights}, "1"),
    ]


def _ranked(
    settings: Mapping[str, Callable[[], NDArray[np.int64]]], default: str, gold: Sequence[set[int]]
) -> dict[str, Any]:
    """One digit a request: the place of its answer; tuned on the very queries that are reported, for a rival's best."""
    ranks = {name: _ranks(search(), gold) for name, search in settings.items()}
    chosen = max(ranks, key=lambda name: ndcg(ranks[name]).mean())
    return {
        "setting": chosen,
        "untuned": {"rank": "".join(ONE_DIGIT[rank] for rank in ranks[default])},
        "tuned": {"rank": "".join(ONE_DIGIT[rank] for rank in ranks[chosen])},
    }


def _ranks(found: NDArray[np.int64], gold: Sequence[set[int]]) -> Rank:
    hits = np.array([[row in right for row in rows] for rows, right in zip(found.tolist(), gold, strict=True)])
    return np.where(hits.any(1), hits.argmax(1) + 1, 0)


def ndcg(ranks: Rank) -> NDArray[np.float64]:
    """nDCG@10 where one document answers a request."""
    return np.where(ranks > 0, 1 / np.log2(np.maximum(ranks, 1) + 1), 0.0)


def _search(index: SteerableIndex, texts: Sequence[str], **arguments: Any) -> NDArray[np.int64]:
    rows = np.full((len(texts), TOP), -1)
    for at, text in enumerate(texts):
        hits = index.search(text, k=TOP, **arguments)
        rows[at, : len(hits)] = [int(hit.id) for hit in hits]
    return rows
