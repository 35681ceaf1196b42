"""Directions to steer along: what others do, and what this project does, from a phrase, from examples, from labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from steersearch.arrays import FloatArray, unit_rows
from steersearch.runtime import Bundle, Concept, SteerableIndex
from steersearch.runtime.steering.contexts import contexts_of

from .scoring import TOP, Bench

EXAMPLES = 8
FEEDBACK = 100
"""Documents that stand for a phrase in pseudo-relevance feedback."""
Embed = Callable[[list[str]], FloatArray]


def examples_of(bench: Bench, rng: np.random.Generator) -> list[np.ndarray]:
    """Per attribute eight rows of the documents to learn from that have it."""
    return [rng.choice(np.flatnonzero(members), EXAMPLES, replace=False) for members in bench.members]


def baselines(bench: Bench, chosen: list[np.ndarray], embed: Embed, rng: np.random.Generator) -> dict[str, FloatArray]:
    """What needs no autoencoder: directions per attribute or per pair."""
    learn, mean, text = bench.learn, bench.learn.mean(0), bench.phrases
    pairs = [(bench.task.queries[query], bench.names[attribute]) for query, attribute in bench.pairs]
    query = bench.queries[bench.of_query]
    appended = embed([f"{asked} {phrase}" for asked, phrase in pairs]) - query
    towards = np.sign((query * text[bench.of_attribute]).sum(1, keepdims=True)) * text[bench.of_attribute]
    nearest = np.argsort(-(learn @ text.T), axis=0)[:FEEDBACK].T
    few = np.stack([learn[rows].mean(0) for rows in chosen])
    every = np.stack([learn[members].mean(0) for members in bench.members])
    return {
        "no steering": np.zeros_like(text),
        "random direction": rng.normal(size=text.shape).astype(np.float32),
        "phrase: text embedding": text,
        "phrase: text embedding, corpus mean removed": text - mean,
        "phrase: appended to the query": appended,
        "phrase: PAP projection": towards,
        f"phrase: mean of its {FEEDBACK} nearest documents": np.stack([learn[rows].mean(0) - mean for rows in nearest]),
        "8 examples: relevance feedback": few,
        "8 examples: DiffMean": few - mean,
        "8 examples: DiffMean and the phrase's embedding": unit_rows(few - mean) + 0.5 * unit_rows(text - mean),
        "labels: DiffMean": every - mean,
        "labels: logistic probe": np.stack([_probe(learn, members) for members in bench.members]),
    }


def _probe(rows: FloatArray, members: np.ndarray) -> FloatArray:
    model = LogisticRegression(C=10.0, max_iter=500, class_weight="balanced").fit(rows, members)
    weights: FloatArray = model.coef_[0].astype(np.float32)
    return weights


def ours(
    bench: Bench, bundle: Bundle, index: SteerableIndex, chosen: list[np.ndarray], rng: np.random.Generator
) -> dict[str, FloatArray]:
    """What this project does, through its own API: a concept becomes at most 32 weighted latents, these a direction.

    Args:
        bench: The task.
        bundle: Its autoencoder and embedder.
        index: The documents to learn from; their ids are their rows.
        chosen: Per attribute the rows of the examples.
        rng: Chooses the random feature.
    """
    typical, atoms = bundle.features.typical, bundle.atoms
    alive = np.flatnonzero(typical > 0)

    def direction(concept: Concept) -> FloatArray:
        weights = index.resolve(concept).weights
        latents = np.array(list(weights))
        made: FloatArray = (np.array(list(weights.values()), np.float32) * typical[latents]) @ atoms[latents]
        return made

    names = bench.names
    few = [[str(row) for row in rows] for rows in chosen]
    every = [[str(row) for row in np.flatnonzero(members)] for members in bench.members]
    return {
        "phrase: what it adds to other texts": np.stack([contexts_of(bundle).added_by(name) for name in names]),
        "random live feature": atoms[rng.choice(alive, len(names))],
        "ours, one feature by phrase": np.stack([atoms[bundle.features.search(name, 1)[0].id] for name in names]),
        "ours, phrase": np.stack([direction(Concept.from_text(name)) for name in names]),
        "ours, 8 examples": np.stack([direction(Concept.from_examples(ids)) for ids in few]),
        "ours, 8 examples and phrase": np.stack(
            [direction(Concept.from_examples(ids, phrase=name)) for name, ids in zip(names, few, strict=True)]
        ),
        "ours, labels": np.stack([direction(Concept.from_examples(ids)) for ids in every]),
    }


def filtered(bench: Bench) -> np.ndarray:
    """Precision of attribute, query and both, shape (3, pairs), when only documents with the attribute are searched."""
    has, about = bench.hits
    found = []
    for query, attribute in bench.pairs:
        allowed = np.flatnonzero(has[attribute])
        best = allowed[np.argsort(-(bench.searched[allowed] @ bench.queries[query]))[:TOP]]
        relevant = about[query][best].sum() / TOP
        found.append((len(best) / TOP, relevant, relevant))
    return np.array(found).T


def reconstructed(bench: Bench, bundle: Bundle) -> tuple[FloatArray, FloatArray]:
    """The paper's way: what is searched and what is asked are reconstructions.

    Returns:
        Those of the queries, unit, shape (m, d), and of the searched documents.
    """
    documents = unit_rows(bundle.decode(*bundle.encode(bench.searched)))
    queries = unit_rows(bundle.decode(*bundle.encode(bench.queries)))
    return queries, documents
