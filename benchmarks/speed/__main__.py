"""Speed, memory and size against sentence-transformers and hnswlib, both sides in turns in one run.

    python -m benchmarks.speed --data FOLDER [--only query,cold] [--work FOLDER] [--threads 1]

FOLDER holds BEIR folders (2wiki, foldoc, medquad and newsgroups are joined where they are there), or is one corpus.
Embeddings are kept in the cache of embeddings ($STEERSEARCH_CACHE), bundles and indexes in --work: the first run takes
an hour or two, the next ones minutes. Every part that is done is written to benchmarks/results/speed.json and
speed.md at once, and the table of targets to benchmarks/README.md; --only measures some parts anew.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "results" / "speed.json"


def main() -> None:
    """Measure the parts and write the report."""
    from .report import TITLES, as_text

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders, or one corpus")
    parser.add_argument("--work", type=Path, default=Path("demo/speed"), help="bundles and indexes")
    parser.add_argument("--ckpt", type=Path, help="a checkpoint; the model that comes with the package by default")
    parser.add_argument("--threads", type=int, default=1, help="threads of both sides")
    parser.add_argument("--documents", type=int, default=60_000)
    parser.add_argument("--most", type=int, default=600_000, help="documents of the largest index of `scale`")
    parser.add_argument("--only", default=",".join(TITLES), help="parts, with commas between them")
    args = parser.parse_args()
    wanted = args.only.split(",")
    if unknown := set(wanted) - set(TITLES):
        parser.error(f"there is no part {sorted(unknown)}: choose from {', '.join(TITLES)}")
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(args.threads)  # before NumPy is loaded
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    run(args, wanted)
    print(as_text(json.loads(RESULTS.read_text())))


def run(args: argparse.Namespace, wanted: list[str]) -> None:
    """Measure each part and write it down before the next."""
    from importlib import import_module

    from .corpus import Bench
    from .report import as_text, write_summary

    args.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(args.data, args.work, args.ckpt, args.threads, args.documents, args.most)
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    packages = ("onnxruntime", "torch", "sentence-transformers", "hnswlib", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    results["machine"] = f"{platform.machine()}, {os.cpu_count()} CPUs, {args.threads} thread(s) a side; {versions}"
    for part in wanted:
        start = time.monotonic()
        results[part] = import_module(f".{part}", __package__).measure(bench)
        print(f"{part}: {time.monotonic() - start:.0f} s", flush=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        RESULTS.with_suffix(".md").write_text(as_text(results))
        write_summary(results)


if __name__ == "__main__":
    main()
