"""What others do: vectors that are moved by the formulas of others, and the bound of a metadata filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from sklearn.linear_model import LogisticRegression

from steersearch.arrays import FloatArray, unit_rows

from .method import Method, Search
from .scoring import NOTHING, TOP, Bench, Pairs, Rows, turned

DEGREES = (2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 36, 40, 45, 50, 55, 60)
WEIGHTS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
FORCES = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
FORCE = 0.85
"""Weaviate has no default; this is what the example in its documentation of nearText gives to moveTo."""
MORE_OF = 0.75
"""What Marqo's cookbook gives to "query, phrase" beside the query."""
ROCCHIO = (0.75, 0.15)
"""Weights of the relevant and of the other documents beside the query's 1, as textbooks give them."""
EXAMPLES = 8
FEEDBACK = 100
"""Documents that stand for a phrase in pseudo-relevance feedback."""
Embed = Callable[[list[str]], FloatArray]
Move = Callable[[Pairs], FloatArray]
"""A vector for each pair."""
SUMS = (
    "phrase: text addition",
    "phrase: text addition, mean removed",
    "phrase: appended to the query",
    "phrase: Weaviate moveTo",
    "phrase: Marqo weights",
    "phrase: Marqo weights, cookbook",
    "ours, the query moves, phrase",
)
"""The sums of vectors that a boost by phrase is compared with."""


def draw_examples(bench: Bench, rng: np.random.Generator) -> list[Rows]:
    """Per attribute eight rows of the documents to learn from that have it."""
    return [rng.choice(np.flatnonzero(members), EXAMPLES, replace=False) for members in bench.members]


def by_phrase(bench: Bench, embed: Embed) -> list[Method]:
    """Methods that know the phrase."""
    text, task = bench.phrases, bench.task

    def query(pairs: Pairs) -> FloatArray:
        return bench.queries[pairs.query]

    def phrase(pairs: Pairs) -> FloatArray:
        return text[pairs.attribute]

    def joined(pairs: Pairs, form: str = "{} {}") -> FloatArray:
        asked = zip(pairs.query, pairs.attribute, strict=True)
        return embed([form.format(task.queries[q], bench.names[a]) for q, a in asked])

    def projected(pairs: Pairs, weight: float) -> FloatArray:
        whole = joined(pairs)
        shadow = (whole * phrase(pairs)).sum(1, keepdims=True) * phrase(pairs)
        rows: FloatArray = whole + weight * shadow
        return rows

    rows = bench.learn if len(bench.learn) else bench.searched
    nearest = np.argsort(-(rows @ text.T), axis=0)[:FEEDBACK].T
    feedback = np.stack([rows[each].mean(0) for each in nearest])
    add = partial(_add, bench)
    method = partial(Method, seeded=False, collateral=True)
    appended = angles(bench, lambda pairs: joined(pairs) - query(pairs)) | {"1": _search(bench, joined)}
    # Weaviate's source code halves the force.
    moved = {f"{force:g}": _search(bench, partial(_between, query, phrase, force / 2)) for force in FORCES}
    cookbook = add(partial(joined, form="{}, {}"), WEIGHTS)
    pap = {f"{weight:g}": _search(bench, partial(projected, weight=weight)) for weight in (0.5, 1.0, 2.0, 4.0)}
    nearby = free(bench, _of_attribute(feedback - bench.mean), ROCCHIO[0])
    found = [
        Method("no steering", {"0": _search(bench, query)}, "0", seeded=False),
        method(SUMS[0], free(bench, phrase), "1"),
        method(SUMS[1], free(bench, _minus(phrase, bench.mean)), "1"),
        method(SUMS[2], appended, "1"),
        method(SUMS[3], moved, f"{FORCE:g}"),
        method(SUMS[4], add(phrase, WEIGHTS), "1"),
        method(SUMS[5], cookbook, f"{MORE_OF:g}"),
        method("phrase: PAP projection", pap, "1"),
        method(f"phrase: feedback of its {FEEDBACK} nearest documents", nearby, f"{ROCCHIO[0]:g}"),
    ]
    if task.written:
        found.append(method("the whole request as it is written", {"1": _search(bench, _written(bench, embed))}, "1"))
    return found


def by_examples(bench: Bench, chosen: Sequence[Rows]) -> list[Method]:
    """Methods that know eight documents of the half to learn from, or all of them."""
    learn, mean, text = bench.learn, bench.mean, bench.phrases
    few = np.stack([learn[rows].mean(0) for rows in chosen])
    every = np.stack([learn[members].mean(0) for members in bench.members])
    both = unit_rows(few - mean) + 0.5 * unit_rows(text - mean)
    rocchio = _of_attribute(few * ROCCHIO[0] - mean * ROCCHIO[1])
    return [
        Method("8 examples: Rocchio", angles(bench, _of_attribute(few)) | _add(bench, rocchio, (1.0,)), "1"),
        Method("8 examples: DiffMean", free(bench, _of_attribute(few - mean)), "1", collateral=True),
        Method("8 examples and phrase: DiffMean", free(bench, _of_attribute(both)), "1"),
        Method("labels: DiffMean", free(bench, _of_attribute(every - mean)), "1", seeded=False),
        Method(
            "labels: logistic probe",
            angles(bench, _of_attribute(np.stack([_probe(learn, members) for members in bench.members]))),
            seeded=False,
        ),
    ]


def bounds(bench: Bench, rng: np.random.Generator) -> list[Method]:
    """What nobody should fall below, and what nobody can exceed."""
    random = _of_attribute(rng.normal(size=bench.phrases.shape).astype(np.float32))
    return [
        Method("random direction", angles(bench, random)),
        Method("metadata filter", {"1": partial(_filtered, bench)}, "1", seeded=False),
    ]


def angles(bench: Bench, direction: Move) -> dict[str, Search]:
    """The query turned by every angle; what a direction's length is does not matter."""

    def turn(pairs: Pairs, degrees: float) -> FloatArray:
        return turned(bench.queries[pairs.query], direction(pairs), degrees)

    return {f"{degrees}°": _search(bench, partial(turn, degrees=degrees)) for degrees in DEGREES}


def free(bench: Bench, direction: Move, weight: float = 1.0) -> dict[str, Search]:
    """Every angle, and the direction added with the weight that the method has untuned."""
    return angles(bench, direction) | _add(bench, direction, (weight,))


def _add(bench: Bench, direction: Move, weights: Sequence[float]) -> dict[str, Search]:
    def add(pairs: Pairs, weight: float) -> FloatArray:
        rows: FloatArray = bench.queries[pairs.query] + weight * direction(pairs)
        return rows

    return {f"{weight:g}": _search(bench, partial(add, weight=weight)) for weight in weights}


def _search(bench: Bench, move: Move) -> Search:
    return lambda pairs: bench.top(move(pairs))


def _between(start: Move, end: Move, share: float, pairs: Pairs) -> FloatArray:
    return (1 - share) * start(pairs) + share * end(pairs)


def _minus(direction: Move, mean: FloatArray) -> Move:
    return lambda pairs: direction(pairs) - mean


def _of_attribute(rows: FloatArray) -> Move:
    return lambda pairs: rows[pairs.attribute]


def _written(bench: Bench, embed: Embed) -> Move:
    texts: Mapping[tuple[int, str], str] = bench.task.written
    return lambda pairs: embed([texts[int(q), bench.names[a]] for q, a in zip(*pairs, strict=True)])


def _probe(rows: FloatArray, members: np.ndarray) -> FloatArray:
    model = LogisticRegression(C=10.0, max_iter=500, class_weight="balanced").fit(rows, members)
    weights: FloatArray = model.coef_[0].astype(np.float32)
    return weights


def _filtered(bench: Bench, pairs: Pairs) -> Rows:
    """Only documents with the attribute are searched."""
    has, _ = bench.hits
    found = np.full((len(pairs.query), TOP), NOTHING)
    for row, (query, attribute) in enumerate(zip(*pairs, strict=True)):
        allowed = np.flatnonzero(has[attribute])
        order = np.argsort(-(bench.searched[allowed] @ bench.queries[query]), kind="stable")[:TOP]
        found[row, : len(order)] = allowed[order]
    return found
