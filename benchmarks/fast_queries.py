"""Queries without a transformer: what the table keeps of dense retrieval, what `auto` does, and what a query takes.

    python -m benchmarks.fast_queries --data FOLDER --bundle BUNDLE [--work FOLDER] [--sets scifact,cisi,med]

FOLDER holds BEIR folders, BUNDLE is `sae export --pretrained minilm`, with its table that was fitted to open text: the
`general` rows. For every set the bundle is copied to --work and its table is fitted further to the set's documents: the
`fitted` rows, which learn from SciFact's training queries too. Settings were chosen on those, when they were not
learnt from, on vaswani and on climate-fever-sent; test queries of the other sets are read here only. Embeddings are
cached; the first run takes an hour or two. Results are in benchmarks/results/fast_queries.json and fast_queries.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from steersearch.arrays import FloatArray
from steersearch.corpus import Corpus, read_qrels, read_queries
from steersearch.embedding_cache import default_cache_dir
from steersearch.export.fast_queries import PIECES, add_fast_queries
from steersearch.metrics import qrels_of, run_of, score_run
from steersearch.runtime import Bundle
from steersearch.runtime.interpret.pipeline import CachedEmbedder

SETS = ("scifact", "cisi", "med", "liveqa-med", "vaswani", "climate-fever-sent")
"""Four that the table is reported on, and two that settings were chosen on; SciFact's training queries, the third,
are learnt from here."""
RESULTS = Path(__file__).parent / "results" / "fast_queries.json"
ROUNDS = 5


def main() -> None:
    """Measure each set and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("demo/fast_queries"))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--pieces", type=int, default=PIECES)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in (each for each in args.sets.split(",") if each):
        folder, _, split = name.partition(":")
        data, own = args.data / folder, args.work / f"bundle-{folder}"
        fit = _fitted(args.bundle, own, data, args.pieces)
        ways = {"general": args.bundle, "fitted": own}
        results[name] = fit | {way: _measure(bundle, data, split or "test") for way, bundle in ways.items()}
        _write(results)
    print(_as_text(results))


def _fitted(bundle: Path, folder: Path, corpus: Path, pieces: int) -> dict[str, Any]:
    """Copy the bundle and add a table to it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bundle, folder)
    start = time.process_time()
    found = add_fast_queries(folder, corpus, pieces=pieces)
    return {"fit": asdict(found) | {"cpu s": round(time.process_time() - start)}}


def _measure(folder: Path, data: Path, split: str) -> dict[str, Any]:
    """Return nDCG@10 of the three ways over the same documents, what auto left to the table, and the times."""
    bundle = Bundle.load(folder, queries="auto", threads=1)
    embed = CachedEmbedder(bundle, default_cache_dir(), lambda stage, done, total: None)
    documents = list(Corpus.open(data).documents())
    row = {document.id: i for i, document in enumerate(documents)}
    vectors = np.asarray(embed([document.text for document in documents], "documents"))
    qrels, texts = read_qrels(data, split), read_queries(data)
    kept = [key for key, judged in qrels.items() if any(grade > 0 for grade in judged.values())]
    queries = [texts[key] for key in kept]
    relevant = [{row[id_]: grade for id_, grade in qrels[key].items() if id_ in row} for key in kept]
    slow = bundle.embed_queries(queries)
    fast = bundle.query_table.embed(queries)
    sure = np.array([bundle.query_table.is_sure(q, bundle.query_table.embed_sure(q)[1]) for q in queries])
    ways = {"transformer": slow, "fast": fast, "auto": np.where(sure[:, None], fast, slow)}
    found: dict[str, Any] = {name: round(_ndcg(rows, vectors, relevant), 4) for name, rows in ways.items()}
    for name in ("fast", "auto"):
        found[f"{name} of transformer"] = round(found[name] / found["transformer"], 4)
    found |= {"on the table": round(float(sure.mean()), 4), "queries": len(queries)}
    found["cosine"] = round(float((fast * slow).sum(1).mean()), 4)
    return found | _times(bundle, queries)


def _ndcg(queries: FloatArray, documents: FloatArray, relevant: list[dict[int, int]]) -> float:
    return score_run(run_of(queries @ documents.T), qrels_of(relevant))["nDCG@10"]


def _times(bundle: Bundle, queries: list[str]) -> dict[str, float]:
    """Return the median milliseconds of one query, both ways in turns."""
    taken: dict[str, list[float]] = {"fast ms": [], "transformer ms": []}
    for query in queries[: 200 // ROUNDS] * ROUNDS:
        for name, run in (("fast ms", bundle.query_table.embed_sure), ("transformer ms", bundle.embed_queries)):
            start = time.perf_counter()
            run(query if name == "fast ms" else [query])  # type: ignore[operator]
            taken[name].append((time.perf_counter() - start) * 1e3)
    return {name: round(float(np.median(each)), 3) for name, each in taken.items()}


def _write(results: dict[str, Any]) -> None:
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    RESULTS.with_suffix(".md").write_text(_as_text(results))


def _as_text(results: dict[str, Any]) -> str:
    columns = ("transformer", "fast", "fast of transformer", "auto of transformer", "on the table", "cosine", "fast ms")
    lines = ["# Queries without a transformer", "", "nDCG@10, all-MiniLM-L6-v2.", ""]
    lines += [f"| table | set | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    rows = [(way, name, each[way]) for way in ("general", "fitted") for name, each in results.items()]
    lines += [f"| {kind} | {name} | {' | '.join(str(each[c]) for c in columns)} |" for kind, name, each in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
