"""Run the experiments of some groups, then write the tables and plots of all groups that have results."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

from . import experiments
from .experiments import Experiment
from .report import write_report
from .run import Bench, Others, run_in_worker, start_worker

RESULTS = Path(__file__).parent.parent / "results"
STEPS = {
    "headline": 1200,
    "transfer": 1600,
    "mpnet": 800,
    "general_mpnet": 1600,
    "embedders": 800,
    "paper": 300,
    "ablation": 300,
}
"""Where the curve of held-out retention has flattened, or for comparisons where all variants have had the same."""


def main() -> None:
    """Train what has no results yet, `--jobs` at a time, one thread each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retention", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--only", nargs="*", default=list(STEPS), choices=list(STEPS), help="groups of experiments")
    parser.add_argument("--k", nargs="*", type=int, default=experiments.WIDTHS, choices=experiments.WIDTHS)
    parser.add_argument("--mpnet", help="folder of all-mpnet-base-v2, for the group mpnet")
    parser.add_argument(
        "--embedders",
        nargs="*",
        default=[],
        metavar="NAME=FOLDER[,POOLING]",
        help="embedders of the group embedders: a folder, and the pooling of an ONNX graph that has no file for it",
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="for every group, in place of its own")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trainings at a time")
    parser.add_argument("--work", type=Path, default=Path("demo/retention"), help="checkpoints and single results")
    parser.add_argument("--report", action="store_true", help="only tables and plots, from the results that are there")
    args = parser.parse_args()
    restore(RESULTS / "retention.json", args.work)
    if not args.report:
        # Seed by seed: what is stopped early has all rows once.
        wanted = sorted(
            chain.from_iterable(group(g, args) for g in args.only),
            key=lambda experiment: (experiment.seed, args.only.index(experiment.group)),
        )
        wanted = [experiment for experiment in wanted if experiment.k in args.k]
        if args.mpnet is None:
            wanted = [experiment for experiment in wanted if "mpnet" not in experiment.embedder]
        run_all(wanted, args)
    found = [json.loads(path.read_text()) for path in sorted(args.work.glob("*.json"))]
    write_report(found, RESULTS)


def group(name: str, args: argparse.Namespace) -> Iterator[Experiment]:
    """The experiments of a group, as the command line wants them."""
    given = (args.seeds, args.steps or STEPS[name])
    if name == "embedders":
        return experiments.embedders(others(args), *given)
    found: Iterator[Experiment] = getattr(experiments, name)(*given)
    return found


def others(args: argparse.Namespace) -> Others:
    """Name -> folder and pooling of the embedders that the command line names."""
    found = {}
    for each in args.embedders:
        name, _, place = each.partition("=")
        folder, _, pooling = place.partition(",")
        found[name] = (folder, pooling)
    return found


def restore(results: Path, work: Path) -> None:
    """Put the figures of earlier runs where `Bench.run` looks for them: a clone goes on where the last one stopped."""
    work.mkdir(parents=True, exist_ok=True)
    for figures in json.loads(results.read_text()) if results.is_file() else []:
        path = work / f"{figures['key']}.json"
        if not path.exists():
            path.write_text(json.dumps(figures, indent=1) + "\n")


def run_all(wanted: list[Experiment], args: argparse.Namespace) -> None:
    """Embed first, in this process with all its threads; then train in processes of one thread."""
    started = time.monotonic()
    bench = Bench(args.data, args.work, args.mpnet, others(args))
    for name, set_ in sorted({(e.embedder, e.trained_on) for e in wanted}):
        bench.material(bench.sources[name], set_)
    for name, set_ in sorted({(e.embedder, set_) for e in wanted for set_ in e.measured_on}):
        bench.sources[name].judged(set_)
    print(f"embeddings are there after {time.monotonic() - started:.0f} s; {len(wanted)} trainings", flush=True)
    arguments = (args.data, args.work, args.mpnet, others(args))
    with ProcessPoolExecutor(args.jobs, get_context("spawn"), start_worker, arguments) as pool:
        for done, running in enumerate(as_completed([pool.submit(run_in_worker, e) for e in wanted]), start=1):
            figures = running.result()
            shares = ", ".join(
                f"{name} {f['reconstruction share']:.4f} {f['latent share']:.4f}" for name, f in figures["sets"].items()
            )
            print(
                f"[{done}/{len(wanted)}, {time.monotonic() - started:.0f} s] {figures['group']} {figures['name']} "
                f"k={figures['k']} seed={figures['seed']} ({figures['seconds']} s): {shares}",
                flush=True,
            )


if __name__ == "__main__":
    main()
