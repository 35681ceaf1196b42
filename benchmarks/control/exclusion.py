"""Does "not" mean not? An attribute is excluded from queries that bring it.

Its share of the ten results must fall, and what the query is about must stay.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from steersearch.arrays import FloatArray
from steersearch.runtime.steering.request import SAID_NOT

from .method import Method, Search, digits, overlap
from .product import Product
from .results import Results
from .scoring import Bench, Pairs

NEWS = ("20newsgroups", "medquad")
KEPT = 0.95
"""Share of what the query is about that tuning keeps on the dev queries."""
AWAY = (0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)
FORCE = 0.45
"""What the example in Weaviate's documentation gives to moveAwayFrom; there is no default."""
LESS_OF = 1.1
"""What Marqo's demonstrations take from the query for "less of"."""


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
        Method(f"ours, boost {SAID_NOT:g}, what a sentence does not want", {"1": product.search(names, SAID_NOT)}, "1"),
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
