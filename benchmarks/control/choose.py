"""Would other constants of the conjunction have been better? Each corpus is left out once, and the others choose.

    python -m benchmarks.control.choose --data FOLDER [--work demo/control]

Values around the constants that the product has are measured on the dev queries of every corpus with topics, through
the product. For the corpus that is left out, the setting with the best mean over the others is reported on its test
queries, beside the product's own constants and the setting that is the best there. The table goes into
benchmarks/results/control.json, and from there into control.md.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from steersearch.errors import SteeringWarning
from steersearch.runtime.steering.conditions import conjunction, terms

from .__main__ import ARTICLES, LEARNED, RESULTS, Embeddings, bundle_of, tasks_of
from .method import Search
from .product import Product
from .report import write_report
from .results import Results
from .scoring import Bench
from .tasks import BoolArray

GRID: Mapping[str, tuple[float, ...]] = {
    "ABOUT": (1.0, 1.2, 1.4),
    "PRESENT": (0.4, 0.6, 0.8),
    "QUERY_WORDS": (0.0, 1.0, 2.0),
}
"""Constant of `runtime/steering/conditions/terms.py` -> values that are tried, each with each."""
ALONE: Mapping[str, tuple[float, ...]] = {
    "SLOPE": (1.5, 3.0),
    "CONCEPT_SLOPE": (2.0, 4.0),
    "FLOOR": (0.0, 0.25),
    "CONCEPT_WORDS": (0.0, 2.0),
}
"""Constants that are tried one at a time, all others as they are."""
NAMES = (*GRID, *ALONE)
Setting = tuple[float, ...]


def main() -> None:
    """Measure the grid and write the choices."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--work", type=Path, default=Path("demo/control"), help="checkpoints and bundles")
    parser.add_argument("--seed", type=int, default=0, help="which autoencoder")
    args = parser.parse_args()
    # Some concepts are about nothing in an index: that is measured here, and need not be said a thousand times.
    warnings.simplefilter("ignore", SteeringWarning)
    bundle = bundle_of(args.data, args.seed, args.work)
    embed = Embeddings(bundle)
    embed.serve(bundle)
    tasks = [task for task in tasks_of(args.data, [*LEARNED, *ARTICLES]) if task.kind in ("topics", "articles")]
    grid = settings()
    dev, test = {}, {}
    for task in tasks:
        bench = embed.bench(task)
        with tempfile.TemporaryDirectory() as folder:
            product = Product(bench, bundle, Path(folder) / "index")
            with product.index:
                search = product.search(bench.names)
                dev[task.name] = [measured(bench, search, setting, bench.dev) for setting in grid]
                test[task.name] = [measured(bench, search, setting, ~bench.dev) for setting in grid]
        print(task.name, flush=True)
    with Results(RESULTS / "control.json") as results:
        results.choices = choices(grid, dev, test)
        write_report(results, RESULTS)


def settings() -> list[Setting]:
    """The grid; the product's own constants are the first."""
    own = tuple(float(getattr(terms, name)) for name in NAMES)
    found = [own, *((*values, *own[len(GRID) :]) for values in itertools.product(*GRID.values()))]
    for at, name in enumerate(ALONE, len(GRID)):
        found += [(*own[:at], value, *own[at + 1 :]) for value in ALONE[name]]
    return list(dict.fromkeys(found))


@contextmanager
def constants(setting: Setting) -> Iterator[None]:
    """The product with other constants."""
    homes = [(home, name) for home in (terms, conjunction) for name in NAMES if hasattr(home, name)]
    before = [getattr(home, name) for home, name in homes]
    values = dict(zip(NAMES, setting, strict=True))
    try:
        for home, name in homes:
            setattr(home, name, values[name])
        yield
    finally:
        for (home, name), value in zip(homes, before, strict=True):
            setattr(home, name, value)


def measured(bench: Bench, search: Search, setting: Setting, which: BoolArray) -> float:
    """both@10 of a search with other constants."""
    pairs = bench.asked(which)
    with constants(setting):
        return float(bench.judge(search(pairs), pairs)[2].mean())


def choices(grid: list[Setting], dev: Mapping[str, list[float]], test: Mapping[str, list[float]]) -> list[list[str]]:
    """A line per corpus that is left out; terms and sentences of one are left out together."""
    lines = [["left out", *NAMES, "both@10 there", "the product's own", "the best there"]]
    for task, there in test.items():
        corpus = task.removesuffix(", sentences")
        others = [np.array(values) / max(values) for name, values in dev.items() if not name.startswith(corpus)]
        chosen = int(np.mean(others, 0).argmax())
        cells = [f"{value:g}" for value in grid[chosen]]
        lines.append([task, *cells, *(f"{value:.3f}" for value in (there[chosen], there[0], max(there)))])
    own = [f"{value:g}" for value in grid[0]]
    return [*lines, ["the product's own", *own, "", f"{np.mean([there[0] for there in test.values()]):.3f}", ""]]


if __name__ == "__main__":
    main()
