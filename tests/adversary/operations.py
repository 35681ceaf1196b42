"""Random operations on an index and its reference, as data: (name, arguments) that can be replayed and left out.

Documents are named by their share of the order of insertion, so that a list of operations stays meaningful when some
are taken out of it. `perform` does one on both and raises `Mismatch` where they differ.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

Operation = tuple[str, dict[str, Any]]

VOCABULARY = (
    "moon planet star rocket orbit telescope piano guitar violin singer concert melody bread cheese apple soup kitchen "
    "recipe ship harbor whale island storm sailor python module class function error file football tennis runner "
    "doctor hospital vaccine heart rose tree soil seed flower bee the a of in new old big small about"
).split()
LABELLED = [0, 3, 7, 12, 20, 31, 40]
VIEWS = ("dense", "dense", "latent", "words", "reconstruction", "hybrid")
WEIGHTS = {
    "search": 40,
    "explain": 5,
    "get": 4,
    "add": 8,
    "add_made_up": 3,
    "add_in_memory": 1,
    "add_objects": 1.5,
    "add_from": 4,
    "add_file": 2,
    "add_folder": 2,
    "add_chunks": 2,
    "refused_chunks": 1,
    "add_copies": 1,
    "add_near_copies": 0.7,
    "add_vectors": 2,
    "update": 7,
    "replace": 4,
    "delete": 6,
    "delete_many": 0.5,
    "refused": 2,
    "interrupted": 1,
    "other_writer": 1.5,
    "reopen": 1.5,
    "read_only": 0.7,
    "reader": 5,
    "process": 2,
    "save": 1.5,
    "compact": 0.6,
    "documents": 1,
    "verify": 0.4,
    "damage": 1.5,
    "keep_caches": 1,
    "old_caches": 1,
    "foreign_caches": 0.3,
}
OF_THOUSANDS = {
    "search_dense": 14,
    "save": 3,
    "reopen": 2,
    "add_thousands": 1,
    "delete_many": 1,
    "add_vectors": 2,
    "add_near_copies": 1,
    "add_copies": 1,
    "replace": 2,
    "delete": 2,
    "damage": 1,
    "compact": 0.5,
    "keep_caches": 1,
    "old_caches": 1,
}
"""Weights of a walk whose index is so large that a thread builds its graph."""


def generate(rng: random.Random, count: int, start: int, without: tuple[str, ...] = ()) -> Iterator[Operation]:
    """Yield operations: first `start` documents, then a random mixture."""
    if start:
        yield "add", _documents(rng, start, prefix="s")
    yield from mixture(rng, count, {name: weight for name, weight in WEIGHTS.items() if name not in without})


def mixture(rng: random.Random, count: int, weights: dict[str, float]) -> Iterator[Operation]:
    for name in rng.choices(list(weights), list(weights.values()), k=count):
        yield name, MAKERS.get(name, lambda rng: {})(rng)


def _text(rng: random.Random) -> str:
    return " ".join(rng.choice(VOCABULARY) for _ in range(rng.randint(1, 7)))


def _metadata(rng: random.Random) -> dict[str, Any]:
    choices: dict[str, list[Any]] = {
        "n": [0, 1, 2, 3, 5, 10, -1, 2.0, 2.5, "2", None, True],
        "tag": ["a", "b", "c", "", "A", "é"],
        "tags": [["a", "b"], ["c"], [], [1, "1", None], [True]],
        "flag": [True, False, None],
        "deep": [{"a": 1}],
        "a.b": [1, "x"],
    }
    return {key: rng.choice(values) for key, values in choices.items() if rng.random() < 0.5}


def _documents(rng: random.Random, n: int, prefix: str = "") -> dict[str, Any]:
    some = {prefix + rng.choice("abcdefgh") + str(rng.randint(0, max(9, n))): None for _ in range(n)}
    return {"ids": list(some), "texts": [_text(rng) for _ in some], "metadata": [_metadata(rng) for _ in some]}


def _filter(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    if depth < 2 and rng.random() < 0.4:
        kind = rng.choice(["$and", "$or", "$not"])
        if kind == "$not":
            return {kind: _filter(rng, depth + 1)}
        return {kind: [_filter(rng, depth + 1) for _ in range(rng.randint(1, 3))]}
    scalars: list[Any] = [0, 1, 2, 2.0, 2.5, 3, 10, "2", "a", "b", "c", "", "A", "é", None, True, False]
    made: dict[str, Any] = {}
    for key in rng.sample(["n", "tag", "tags", "flag", "a.b", "none of them"], rng.randint(1, 2)):
        operator = rng.choice(
            ["", "$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists", "range", "$not"]
        )
        ordered = rng.choice([one for one in scalars if one is not None and not isinstance(one, bool)])
        if operator == "":
            made[key] = rng.choice(scalars)
        elif operator in ("$in", "$nin"):
            made[key] = {operator: rng.sample(scalars, rng.randint(0, 3))}
        elif operator == "$exists":
            made[key] = {operator: rng.random() < 0.5}
        elif operator == "range":
            made[key] = {"$gte": rng.choice([0, 1, 2]), "$lt": rng.choice([2, 3, 10])}
        elif operator == "$not":
            made[key] = {"$not": {"$gt": ordered}}
        else:
            made[key] = {operator: rng.choice(scalars) if operator in ("$eq", "$ne") else ordered}
    return made


def _search(rng: random.Random) -> dict[str, Any]:
    boost = {rng.choice(LABELLED): rng.choice([0.5, 1.0, 2.0, -1.0, 0.0]) for _ in range(rng.randint(1, 2))}
    exclude = [latent for latent in rng.sample(LABELLED, rng.choice([0, 0, 0, 1, 2])) if latent not in boost]
    return {
        "query": _text(rng),
        "k": rng.choice([1, 2, 3, 5, 10, 10, 40, 1000]),
        "view": rng.choice(VIEWS),
        "filter": _filter(rng) if rng.random() < 0.4 else None,
        "boost": boost if rng.random() < 0.35 else {},
        "clamp": {rng.choice(LABELLED): rng.choice([0.0, 1.0])} if rng.random() < 0.1 else {},
        "exclude": exclude if rng.random() < 0.4 else [],
        "blend": rng.choice(["both", "move"]),
        "idf": rng.random() < 0.2,
        "compare": rng.random() < 0.1,
    }


def _steered(rng: random.Random) -> dict[str, Any]:
    made = _search(rng)
    return {key: made[key] for key in ("query", "boost", "clamp", "exclude", "blend")}


def _picks(rng: random.Random, most: int = 4) -> list[float]:
    return [rng.random() for _ in range(rng.randint(1, most))]


MAKERS: dict[str, Any] = {
    "search": _search,
    "reader": _search,
    "process": lambda rng: {**_search(rng), "boost": {}, "clamp": {}, "exclude": [], "compare": False},
    "explain": lambda rng: {"picks": _picks(rng), **_steered(rng)},
    "get": lambda rng: {"picks": _picks(rng)},
    "add": lambda rng: _documents(rng, rng.choice([1, 1, 3, 8, 30])),
    "add_made_up": lambda rng: {"texts": [_text(rng) for _ in range(rng.randint(1, 4))]},
    "add_in_memory": lambda rng: {"texts": [_text(rng) for _ in range(rng.randint(1, 4))]},
    "add_from": lambda rng: _documents(rng, rng.choice([1, 3, 12])),
    "add_objects": lambda rng: {"source": rng.choice(["s.txt", "t.txt", None]), "count": rng.randint(1, 4)},
    "add_file": lambda rng: {
        "name": rng.choice(["one.txt", "two.txt"]),
        "lines": [_text(rng) for _ in range(rng.randint(1, 6))],
    },
    "add_folder": lambda rng: {
        "name": rng.choice(["docs", "notes"]),
        "files": {name: _text(rng) for name in rng.sample(["a.txt", "b.txt", "c.txt", "1.txt"], rng.randint(1, 4))},
    },
    "refused_chunks": lambda rng: {"id": rng.choice("lmn"), "words": rng.choices(VOCABULARY, k=60)},
    "add_near_copies": lambda rng: {"seed": rng.randint(0, 10**6), "count": rng.choice([10, 60])},
    "add_thousands": lambda rng: {"seed": rng.randint(0, 10**6), "count": rng.choice([4100, 4600])},
    "search_dense": lambda rng: {**_search(rng), "view": "dense", "k": rng.choice([1, 10, 40])},
    "add_chunks": lambda rng: {"id": rng.choice("lmn"), "words": rng.choices(VOCABULARY, k=rng.choice([2, 9, 30, 60]))},
    "add_copies": lambda rng: {"text": _text(rng), "count": rng.choice([5, 30]), "id": f"copy{rng.randint(0, 9)}"},
    "add_vectors": lambda rng: {**_documents(rng, 6), "seed": rng.randint(0, 10**6)},
    "update": lambda rng: {"picks": _picks(rng), "metadata": _metadata(rng), "replace": rng.random() < 0.4},
    "replace": lambda rng: {"picks": _picks(rng), "text": _text(rng)},
    "delete": lambda rng: {"picks": _picks(rng), "unknown": rng.random() < 0.3},
    "delete_many": lambda rng: {"share": rng.choice([0.2, 0.5])},
    "refused": lambda rng: {"kind": rng.choice(["twice", "empty id", "lengths", "metadata", "vector", "unknown"])},
    "interrupted": lambda rng: {
        "kind": rng.choice(["source", "progress"]),
        "at": rng.randint(0, 700),
        "text": _text(rng),
    },
    "other_writer": lambda rng: {**_documents(rng, 3), "picks": _picks(rng)},
    "damage": lambda rng: {
        "kind": rng.choice(["delete", "flip", "cut", "nonsense", "all"]),
        "file": rng.random(),
        "place": rng.random(),
        "open": rng.random() < 0.3,
    },
    "foreign_caches": lambda rng: {"picks": _picks(rng, 1), "text": _text(rng), "newest": rng.random() < 0.5},
}
