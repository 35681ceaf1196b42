"""Does steering bring what was asked for, and keep what the query is about? Against every baseline there is.

    python -m benchmarks.control --data FOLDER [--seeds 3] [--sets 20newsgroups ...] [--again "ours, phrase"]

FOLDER holds corpora in the layout of BEIR with labels.jsonl.gz. Autoencoders, bundles and embeddings are kept in --work
and used again. Writes benchmarks/results/control.json after every method, so that a stopped run goes on where it was,
then control.md and the plot that benchmarks/README.md shows.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from functools import cache, partial
from pathlib import Path

import numpy as np

from steersearch.corpus import Corpus, read_qrels, read_queries
from steersearch.embedding_cache import default_cache_dir
from steersearch.errors import SteeringWarning
from steersearch.export import export_bundle, load_pretrained
from steersearch.runtime import Bundle
from steersearch.runtime.interpret.pipeline import CachedEmbedder
from steersearch.training import SaeConfig, TrainConfig, train

from .articles import read_articles
from .exclusion import NEWS, exclusions
from .formula import conjunctions
from .method import Method, measure
from .oracle import oracle_curves
from .perspectives import read_perspectives
from .product import KnownTexts, Product, candidates, keys_of, moving, ours, words_alone
from .report import write_report
from .requests import negconstraint
from .results import Results
from .rivals import bounds, by_examples, by_phrase, draw_examples
from .scoring import Bench
from .tasks import Task, read_task

RESULTS = Path(__file__).parent.parent / "results"
LEARNED = ("20newsgroups", "agnews-test", "medquad", "debates", "perspectrum")
"""Corpora whose documents to learn from train the autoencoders, but for the general one."""
ARTICLES = ("onestopenglish", "cochrane-pairs")
"""Corpora that no autoencoder has seen, as `pir` and `negconstraint`."""
SETS = (*LEARNED, *ARTICLES, "pir", "negconstraint", "scifact")
EVERY = {"20newsgroups": 2, "medquad": 2}
"""Of a large corpus every so manieth document."""


def main() -> None:
    """Measure what has no result yet, then write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--sets", nargs="*", default=list(SETS), help="folders in it to measure")
    parser.add_argument("--seeds", type=int, default=3, help="autoencoders; the first is the general one")
    parser.add_argument("--work", type=Path, default=Path("demo/control"), help="checkpoints and bundles")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the report")
    parser.add_argument("--again", nargs="*", default=[], help="methods whose name begins so are measured again")
    args = parser.parse_args()
    # Some concepts are about nothing in an index: that is measured here, and need not be said a thousand times.
    warnings.simplefilter("ignore", SteeringWarning)
    if args.report:
        write_report(Results(RESULTS / "control.json"), RESULTS)
        return
    with Results(RESULTS / "control.json") as results:
        results.forget(args.again)
        embed = Embeddings(bundle_of(args.data, 0, args.work))
        tasks = tasks_of(args.data, args.sets)
        bench_of = cache(lambda at: embed.bench(tasks[at]))
        for seed in range(args.seeds):
            bundle = embed.serve(bundle_of(args.data, seed, args.work))
            for at in range(len(tasks)):
                measure_task(results, bench_of(at), bundle, embed, seed)
            if "negconstraint" in args.sets:
                negconstraint(results, args.data / "negconstraint", bundle, embed, seed)
            if "scifact" in args.sets:
                oracle(results, args.data / "scifact", bundle, embed, seed)
        write_report(results, RESULTS)


class Embeddings:
    """Embeddings of texts, kept on disk and in memory; all autoencoders have the same embedder."""

    def __init__(self, bundle: Bundle) -> None:
        self._cached = CachedEmbedder(bundle, default_cache_dir(), lambda step, done, total: None)
        self._known: dict[str, np.ndarray] = {}

    def __call__(self, texts: list[str]) -> np.ndarray:
        """Unit rows, shape (n, d_in), float32."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            # A whole corpus under the key that everybody else has for it.
            asked = texts if len(texts) > len(new) > 0.9 * len(texts) else new
            self._known.update(zip(asked, self._cached(asked, step=""), strict=True))
        return np.array([self._known[text] for text in texts], np.float32)

    def serve(self, bundle: Bundle) -> Bundle:
        """Let a bundle look here before it embeds a text."""
        bundle.embedder = KnownTexts(bundle.embedder, self._known)
        return bundle

    def bench(self, task: Task) -> Bench:
        """A task with its embeddings."""
        return Bench(task, self(task.texts), self(task.queries), self(list(task.attributes)))


def tasks_of(data: Path, sets: list[str]) -> list[Task]:
    """All tasks of the chosen corpora; those with terms as queries also with sentences."""
    found = []
    for name in (name for name in (*LEARNED, *ARTICLES, "pir") if name in sets):
        if name == "pir":
            found += read_perspectives(data / name)
            continue
        task = read_articles(data / name) if name in ARTICLES else read_task(data / name, EVERY.get(name, 1))
        found += [task, task.in_sentences()] if task.kind == "topics" else [task]
    return found


def bundle_of(data: Path, number: int, work: Path) -> Bundle:
    """An autoencoder for all corpora: the general one that comes with the package, then trained ones.

    Args:
        data: The corpora.
        number: 0 for the general one; from 1 on those that are trained on the documents to learn from.
        work: Where checkpoints and bundles are kept.
    """
    if number == 0:
        if not (work / "general").exists():
            export_bundle(load_pretrained("minilm"), work / "general", embedder="minilm")
        return Bundle.load(work / "general")
    seed = number - 1
    folder = work / f"seed{seed}"
    if not (folder / "model.pt").exists():
        tasks = [read_task(data / name, EVERY.get(name, 1)) for name in LEARNED]
        texts = [text for task in tasks for text, on in zip(task.texts, task.seen, strict=True) if on]
        train(texts, "minilm", SaeConfig(n_latents=4096, k=32), TrainConfig(seed=seed, steps=1000)).save(
            folder / "model.pt"
        )
    if not (folder / "bundle").exists():
        export_bundle(folder / "model.pt", folder / "bundle", embedder="minilm")
    return Bundle.load(folder / "bundle")


def measure_task(results: Results, bench: Bench, bundle: Bundle, embed: Embeddings, seed: int) -> None:
    """All methods on one corpus with one autoencoder and one draw of examples."""
    results.describe(bench)
    rng = np.random.default_rng(seed)
    learns = bool(bench.task.seen.any())
    chosen = draw_examples(bench, rng) if learns else []
    rivals = [*by_phrase(bench, embed), *(by_examples(bench, chosen) if learns else []), *bounds(bench, rng)]
    plain = rivals[0].settings["0"]
    run = partial(_run, results, bench, seed, plain)
    run(rivals)
    if results.complete(bench.task.name, seed):
        return
    with tempfile.TemporaryDirectory() as folder:
        product = Product(bench, bundle, Path(folder) / "index")
        with product.index:
            keys = keys_of(bench, bundle, chosen)
            run([*ours(product, keys, seed == 0), *moving(product, keys)])
            if seed == 0:
                run(words_alone(product, keys["phrase"]))
                results.make("candidates", bench.task.name, 0, lambda: candidates(product, keys))
            run(conjunctions(bench, product.directions(keys["phrase"])))
            if bench.task.name in NEWS:
                exclusions(results, product, plain, seed)
    results.complete(bench.task.name, seed, True)


def _run(results: Results, bench: Bench, seed: int, plain: object, methods: list[Method]) -> None:
    for method in methods:
        if seed == 0 or method.seeded:
            results.make(bench.task.name, method.name, seed, partial(measure, bench, method, plain))  # type: ignore[arg-type]


def oracle(results: Results, folder: Path, bundle: Bundle, embed: Embeddings, seed: int) -> None:
    """The paper's own experiment on SciFact's test queries."""
    documents = list(Corpus.open(folder).documents())
    row = {document.id: i for i, document in enumerate(documents)}
    queries, judged = read_queries(folder), read_qrels(folder, "test")
    relevant = [{row[id]: grade for id, grade in mine.items() if grade > 0} for mine in judged.values()]
    texts = [document.text for document in documents]
    results.make(
        "scifact",
        "oracle",
        seed,
        lambda: oracle_curves(bundle, embed(texts), embed([queries[id] for id in judged]), relevant),
    )


if __name__ == "__main__":
    main()
