"""Does removing the reading level stop a retriever from preferring one version of an article, and what does it cost?

    python -m benchmarks.audit --data FOLDER [--bundle demo/control/general] [--seeds 3]

FOLDER holds corpora in the layout of BEIR. Articles of onestopenglish (189 at three reading levels) and cochrane-pairs
(891 abstracts with plain-language summaries) are split into two halves: from one the attribute is learned, in the other
half it is measured in how many articles the plain version comes before the difficult one, when the words are searched
that both use. The same removal is then applied to the judged queries of SciFact and to every so manieth of MedQuAD.
Writes benchmarks/results/audit.json.

Beside `Attribute` (`remove=`): the difference of the means projected out of queries and documents; LEACE (Belrose et
al. 2023, arXiv:2306.03819), its closed form in NumPy, of both; the five features that differ most, and five random
ones, projected out.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from steersearch.arrays import FloatArray, IntArray
from steersearch.corpus import Corpus, read_qrels, read_queries
from steersearch.embedding_cache import default_cache_dir
from steersearch.runtime import Attribute, Bundle
from steersearch.runtime.interpret.pipeline import CachedEmbedder
from steersearch.runtime.steering.attributes import removed_from

from ..control.articles import distinctive_words

RESULTS = Path(__file__).parent.parent / "results" / "audit.json"
LEVELS = {"onestopenglish": ("elementary", "advanced"), "cochrane-pairs": ("lay", "technical")}
"""Corpus -> the plain level and the difficult one."""
JUDGED = {"scifact": ("test", 1), "medquad": ("train", 33)}
"""Corpus -> split, and every so manieth of its queries."""
FEATURES = 5
PRICES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25)
"""Shares of the reward that are subtracted; 1 is what `remove` does."""
Move = Callable[[np.ndarray], np.ndarray]
"""From queries to the queries that a removal makes of them: inner products with them are those of both sides."""


@dataclass(frozen=True)
class Articles:
    """Pairs of versions of the same article."""

    plain: FloatArray
    difficult: FloatArray
    queries: FloatArray

    def take(self, chosen: IntArray) -> Articles:
        """Return some of the articles."""
        return Articles(self.plain[chosen], self.difficult[chosen], self.queries[chosen])

    def share(self, move: Move) -> float:
        """Return the share of queries that find the plain version first, ties half."""
        gap = np.einsum(
            "ij,ij->i", move(self.queries.astype(np.float64)), self.plain.astype(np.float64) - self.difficult
        )
        return float(np.where(np.abs(gap) < 1e-9, 0.5, gap > 0).mean())


@dataclass(frozen=True)
class Judged:
    """A corpus with judged queries."""

    documents: FloatArray
    queries: FloatArray
    relevant: Sequence[Mapping[int, int]]

    def ndcg(self, move: Move) -> float:
        """Return nDCG@10."""
        scores = move(self.queries.astype(np.float64)).astype(np.float32) @ self.documents.T
        discounts = 1 / np.log2(np.arange(2, 12))
        found = []
        for row, judged in zip(scores, self.relevant, strict=True):
            gains = [2.0 ** judged.get(int(at), 0) - 1 for at in np.argsort(-row, kind="stable")[:10]]
            best = sorted((2.0**grade - 1 for grade in judged.values()), reverse=True)[:10]
            found.append(float(gains @ discounts[: len(gains)]) / float(best @ discounts[: len(best)]))
        return float(np.mean(found))


def main() -> None:
    """Measure all methods with all splits, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--bundle", type=Path, default=Path("demo/control/general"), help="the general bundle")
    parser.add_argument("--seeds", type=int, default=3, help="splits of the articles")
    args = parser.parse_args()
    bundle = Bundle.load(args.bundle)
    embed = CachedEmbedder(bundle, default_cache_dir(), lambda step, done, total: None)
    judged = {name: read_judged(args.data / name, *how, embed) for name, how in JUDGED.items()}
    base = {name: corpus.ndcg(lambda queries: queries) for name, corpus in judged.items()}
    results: dict[str, Any] = {"ndcg": base, "articles": {}}
    for name, levels in LEVELS.items():
        articles = read_pairs(args.data / name, levels, embed)
        found: dict[str, list[dict[str, float]]] = {}
        for seed in range(args.seeds):
            order = np.random.default_rng(seed).permutation(len(articles.plain))
            half = len(order) // 2
            learn, test = articles.take(order[:half]), articles.take(order[half:])
            for method, move in methods(learn, bundle, seed).items():
                kept = {corpus: judged[corpus].ndcg(move) / base[corpus] for corpus in judged}
                found.setdefault(method, []).append({"share": test.share(move), **kept})
        results["articles"][name] = {method: _summary(each) for method, each in found.items()}
        for method, figures in results["articles"][name].items():
            shown = [f"{key} {value['mean']:.3f}" for key, value in figures.items()]
            print(f"{name:16} {method:24}", *shown, flush=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _summary(seeds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the mean of each figure, and those of all seeds."""
    columns = {key: [one[key] for one in seeds] for key in seeds[0]}
    return {
        key: {"mean": round(float(np.mean(values)), 4), "seeds": [round(value, 4) for value in values]}
        for key, values in columns.items()
    }


def methods(learn: Articles, bundle: Bundle, seed: int) -> dict[str, Move]:
    """Return every removal, learned from some articles."""
    attribute = Attribute.learn("plain", learn.plain, learn.difficult, learn.queries)
    unit = np.array(attribute.direction)
    atoms = bundle.atoms.astype(np.float64)
    active = [fires(bundle, rows) for rows in (learn.plain, learn.difficult)]
    gap = active[0].astype(np.float64) - active[1]
    strongest = np.argsort(-np.abs(gap.mean(0)) / np.sqrt((gap**2).mean(0) + 1 / len(gap)))[:FEATURES]
    live = np.flatnonzero((active[0] | active[1]).any(0))
    chance = np.random.default_rng(seed).choice(live, FEATURES, replace=False)
    found: dict[str, Move] = {
        "nothing": lambda queries: queries,
        "mean difference": without([unit]),
        "LEACE": leace(learn),
        f"{FEATURES} features": without(list(atoms[strongest])),
        f"{FEATURES} random features": without(list(atoms[chance])),
    }
    for price in PRICES:
        found[f"remove, price {price:g}"] = removing(replace(attribute, reward=price * attribute.reward))
    return found


def fires(bundle: Bundle, rows: FloatArray) -> np.ndarray:
    """Return whether each latent fires in each row, shape (n, n_latents)."""
    indices, values = bundle.encode(rows)
    made = np.zeros((len(rows), bundle.n_latents), bool)
    at, column = np.nonzero(values > 0)
    made[at, indices[at, column]] = True
    return made


def removing(attribute: Attribute) -> Move:
    """Return what `remove=[attribute]` does."""
    return _each([(attribute.name, np.array(attribute.direction), attribute.reward)])


def without(directions: Sequence[np.ndarray]) -> Move:
    """Return the projection of both sides that leaves nothing along some directions."""
    return _each([("", direction, 0.0) for direction in directions])


def _each(directions: Sequence[tuple[str, np.ndarray, float]]) -> Move:
    def move(queries: np.ndarray) -> np.ndarray:
        return np.array([query - sum(one.step for one in removed_from(query, directions)) for query in queries])

    return move


def leace(learn: Articles) -> Move:
    """Return LEACE of both sides, ``r(x) = x - W^+ P W (x - mean)``: inner products are those of ``R'R q``.

    The constant that the mean adds to the score of a document is the same for all, and that of the query is
    ``R'(mean - R mean)``, a vector that all queries get.
    """
    rows = np.concatenate([learn.plain, learn.difficult]).astype(np.float64)
    mean, difference = rows.mean(0), learn.plain.mean(0, dtype=np.float64) - learn.difficult.mean(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    kept = values > 1e-8
    whiten = (vectors[:, kept] * values[kept] ** -0.5) @ vectors[:, kept].T
    colour = (vectors[:, kept] * values[kept] ** 0.5) @ vectors[:, kept].T
    axis = whiten @ difference
    axis /= np.linalg.norm(axis)
    erase = np.eye(len(mean)) - colour @ np.outer(axis, axis) @ whiten
    return lambda queries: (queries @ erase.T + (mean - erase @ mean)) @ erase


def read_pairs(folder: Path, levels: tuple[str, str], embed: CachedEmbedder) -> Articles:
    """Read the versions of each article, and the words that distinguish it and that all of its versions use."""
    with gzip.open(folder / "labels.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = {row["corpus-id"]: row for row in map(json.loads, lines)}
    documents = [document for document in Corpus.open(folder).documents() if document.id in rows]
    vectors = embed([document.text for document in documents], "")
    place = {(rows[one.id]["article"], rows[one.id]["label"]): i for i, one in enumerate(documents)}
    versions: dict[str, list[str]] = {}
    for document in documents:
        versions.setdefault(rows[document.id]["article"], []).append(document.text)
    queries = distinctive_words(versions)
    names = [name for name in versions if all((name, level) in place for level in levels)]
    plain, difficult = (vectors[[place[name, level] for name in names]] for level in levels)
    return Articles(plain, difficult, np.array(embed([queries[name] for name in names], "", side="queries")))


def read_judged(folder: Path, split: str, every: int, embed: CachedEmbedder) -> Judged:
    """Read a corpus and some of its judged queries."""
    documents = list(Corpus.open(folder).documents())
    row = {document.id: i for i, document in enumerate(documents)}
    judged, texts = read_qrels(folder, split), read_queries(folder)
    ids = [id for id in list(judged)[::every] if any(grade > 0 and at in row for at, grade in judged[id].items())]
    relevant = [{row[at]: grade for at, grade in judged[id].items() if grade > 0 and at in row} for id in ids]
    vectors = embed([document.text for document in documents], "")
    return Judged(vectors, embed([texts[id] for id in ids], "", side="queries"), relevant)


if __name__ == "__main__":
    main()
