"""Are the words that are shown those that a score comes from? They are deleted, and the score must fall.

    python -m benchmarks.words --data FOLDER --bundle BUNDLE [--sets scifact cisi liveqa-med] [--pairs 120]

Each pair is a query and a document that was judged relevant to it. Of the document a share of the words is deleted, the
rest is embedded again, and its score for the query is compared with that of the whole document. Which words go is
decided by the strongest parts of the score (ours), by chance, by tf-idf, by tf-idf of the query's words and then of the
others, or by sentences: words of the sentence whose own embedding is nearest to the query, in reading order, then of
the next one. Writes benchmarks/results/words.json and words.md; the time is that of one thread.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from steersearch.corpus import read_qrels
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.steering.highlights.spans import sentences_of, words_of

RESULTS = Path(__file__).parent / "results" / "words.json"
SETS = ("scifact", "cisi", "liveqa-med")
SHARES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of a document's words that are deleted."""
DRAWS = 3
"""Random orders, of which the mean is taken."""
FEWEST = 20
"""Words of a document, so that a fiftieth is one."""
RESAMPLES = 10_000
NAMES = {
    "ours": "strongest words",
    "random": "random words",
    "tfidf": "words by tf-idf",
    "query": "words of the query, then by tf-idf",
    "sentence": "best sentence, then the next",
}
Order = list[int]
"""Places of words, the first one is deleted first."""


def main() -> None:
    """Measure what has no result yet, then write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--pairs", type=int, default=120, help="pairs of a corpus")
    parser.add_argument("--work", type=Path, default=Path("demo/words.json"), help="pairs, for a run that was stopped")
    args = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    bundle = Bundle.load(args.bundle, threads=1)
    for name in args.sets:
        if name not in results:
            results[name] = measure(args.data / name, bundle, args.pairs, args.work)
            RESULTS.write_text(json.dumps(results) + "\n")
    RESULTS.with_suffix(".md").write_text(report(results))


def measure(folder: Path, bundle: Bundle, n_pairs: int, work: Path) -> dict[str, Any]:
    """Return for each way the share of the score that is left, per pair and share of the words, and times."""
    texts = {row["_id"]: joined(row) for row in rows_of(folder / "corpus.jsonl.gz")}
    queries = {row["_id"]: row["text"] for row in rows_of(folder / "queries.jsonl.gz")}
    judged = read_qrels(folder, "test")
    pairs = [
        (query, document)
        for query, grades in judged.items()
        for document, grade in grades.items()
        if grade > 0 and document in texts and len(words_of(texts[document])) >= FEWEST
    ]
    chosen = np.random.default_rng(0).permutation(len(pairs))[:n_pairs]
    pairs = [pairs[i] for i in sorted(chosen.tolist())]
    idf = rarities(list(texts.values()))
    done: dict[str, Any] = json.loads(work.read_text()) if work.is_file() else {}
    work.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        needed = sorted({document for _, document in pairs})
        with SteerableIndex.create(Path(scratch) / "index", bundle) as index:
            index.add([texts[id] for id in needed], ids=needed)
            for at, (query, document) in enumerate(pairs):
                key = f"{folder.name} {query} {document}"
                if key not in done:
                    done[key] = measured_pair(index, queries[query], document, idf, np.random.default_rng(at))
                    work.write_text(json.dumps(done))
            times = timed(index, [queries[query] for query, _ in pairs])
    found = [done[f"{folder.name} {query} {document}"] for query, document in pairs]
    left = {name: [each["left"][name] for each in found] for name in NAMES}
    return {"pairs": len(pairs), "worst_sum": max(each["error"] for each in found), **times, "left": left}


def measured_pair(
    index: SteerableIndex, query: str, document: str, idf: dict[str, float], rng: np.random.Generator
) -> dict[str, Any]:
    """Return the share of the score that is left for each way, and by how much all tokens' parts miss the score."""
    explanation = index.explain(query, document, words=True)
    words = explanation.words
    assert words is not None
    assert words.exact
    parts = index.bundle.document_parts([words.text])
    assert parts is not None
    every_token = float((parts[0].vectors.astype(np.float64) @ index.bundle.embed_query(query)).sum())
    found = deleted(index.bundle, query, words.text, words.spans, orders_of(index.bundle, query, words, idf, rng))
    left = dict(zip(("ours", "tfidf", "query", "sentence"), found, strict=False))
    left["random"] = np.mean(found[-DRAWS:], axis=0).round(5).tolist()
    return {"left": left, "error": abs(every_token - explanation.score)}


def orders_of(bundle: Bundle, query: str, words: Any, idf: dict[str, float], rng: np.random.Generator) -> list[Order]:
    """Return the orders in which words go: ours, tf-idf, of the query, of sentences, and the random ones."""
    text, spans = words.text, words.spans
    folded = [text[start:end].casefold() for start, end in spans.tolist()]
    counts = Counter(folded)
    weights = np.array([counts[word] * idf.get(word, 0.0) for word in folded])
    asked = {query[start:end].casefold() for start, end in words_of(query).tolist()}
    said = np.array([idf.get(word, 0.0) if word in asked else -1.0 for word in folded])
    bounds = sentences_of(text)
    near = bundle.embed([text[start:end] for start, end in bounds.tolist()]) @ bundle.embed_query(query)
    places = np.searchsorted(bounds[:, 0], spans[:, 0], "right") - 1
    orders = [np.argsort(-words.values, kind="stable"), np.argsort(-weights, kind="stable")]
    orders += [np.lexsort((-weights, -said)), np.lexsort((np.arange(len(spans)), -near[places]))]
    orders += [rng.permutation(len(spans)) for _ in range(DRAWS)]
    return [order.tolist() for order in orders]


def deleted(bundle: Bundle, query: str, text: str, spans: Any, orders: Sequence[Order]) -> list[list[float]]:
    """Return the share of the score that is left for each order and share of deleted words."""
    counts = [max(1, round(share * len(spans))) for share in SHARES]
    left = [without(text, spans, order[:count]) for order in orders for count in counts]
    rows = bundle.embed([text, *left])
    scores = rows.astype(np.float64) @ bundle.embed_query(query)
    shares: list[list[float]] = (scores[1:] / scores[0]).reshape(len(orders), -1).round(5).tolist()
    return shares


def without(text: str, spans: Any, places: Order) -> str:
    """Return a text without some of its words."""
    kept, at = [], 0
    for start, end in sorted(spans[place].tolist() for place in places):
        kept.append(text[at:start])
        at = end
    return " ".join("".join([*kept, text[at:]]).split())


def timed(index: SteerableIndex, queries: Sequence[str]) -> dict[str, float]:
    """Return the milliseconds that ten hits take with and without highlights, medians over ten queries."""
    found = []
    for query in queries[:: max(1, len(queries) // 10)][:10]:
        steered = index.steer(query)
        vars(index).pop("_word_reader", None)
        ways: list[Callable[[], Any]] = [lambda s=steered: index.search(s, 10)]  # type: ignore[misc]
        ways += [lambda s=steered: index.search(s, 10, highlight=True)] * 2  # type: ignore[misc]
        row = []
        for way in ways:
            start = time.perf_counter()
            hits = way()
            row.append((time.perf_counter() - start) * 1e3)
        found.append([*row, sum(len(hit.words) for hit in hits)])
    plain, first, again, words = np.median(found, axis=0).round(1).tolist()
    return {"plain_ms": plain, "first_ms": first, "again_ms": again, "words_of_ten": words}


def rarities(texts: Sequence[str]) -> dict[str, float]:
    """Return the inverse document frequency of each word."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update({text[start:end].casefold() for start, end in words_of(text).tolist()})
    return {word: math.log(len(texts) / count) for word, count in counts.items()}


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def joined(row: dict[str, Any]) -> str:
    """Return title and text of a document."""
    return f"{row['title']}. {row['text']}" if row.get("title") else str(row["text"])


def area(shares: np.ndarray) -> np.ndarray:
    """Return the area under the curve of what is left, over deleted shares from 0 to .5, divided by .5, per pair."""
    x = np.array([0.0, *SHARES])
    y = np.hstack([np.ones((len(shares), 1)), shares])
    return np.asarray(((y[:, 1:] + y[:, :-1]) / 2 * np.diff(x)).sum(1) / SHARES[-1])


def report(results: dict[str, Any]) -> str:
    """Return the page of the results."""
    lines = [
        "# Deletion of words",
        "",
        "The share of the score that is left when a share of a document's words is deleted, all-MiniLM-L6-v2; the mean",
        "over pairs of a query and a relevant document. *Area* is that under the curve, from nothing deleted to half,",
        "divided by .5; *between* is how much larger it is than that of the strongest words, with the 95 % interval of",
        "the paired bootstrap. `python -m benchmarks.words --data folder --bundle bundle`, which says how each way",
        "chooses.",
    ]
    for name, found in results.items():
        lines += ["", f"## {name} ({found['pairs']} pairs)", ""]
        lines.append("| deleted | " + " | ".join(f"{share:.0%}" for share in SHARES) + " | area | between |")
        lines.append("|---" * (len(SHARES) + 3) + "|")
        areas = {way: area(np.array(rows)) for way, rows in found["left"].items()}
        for way, rows in found["left"].items():
            cells = [f"{value:.3f}" for value in np.mean(rows, axis=0)]
            between = "" if way == "ours" else _interval(areas[way] - areas["ours"])
            lines.append(f"| {NAMES[way]} | {' | '.join(cells)} | {areas[way].mean():.3f} | {between} |")
        lines += [
            "",
            f"The parts of all tokens add up to each score within {found['worst_sum']:.0e}. Ten hits of "
            f"{found['words_of_ten']:,.0f} words take {found['plain_ms']:.0f} ms, {found['first_ms']:.0f} ms with "
            f"highlights, and {found['again_ms']:.0f} ms when their texts were shown before, on one thread.",
        ]
    return "\n".join(lines) + "\n"


def _interval(differences: np.ndarray) -> str:
    rng = np.random.default_rng(0)
    means = differences[rng.integers(0, len(differences), (RESAMPLES, len(differences)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{differences.mean():+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
