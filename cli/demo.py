"""`sae demo`: train, export, index, search and steer, on text that every Python installation has."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..files import check_place
from .console import console, harmless, stderr
from .live import progress_bars
from .options import Json
from .output import print_json, print_side_by_side

if TYPE_CHECKING:
    from ..runtime import Hit, SteerableIndex

QUERIES = (
    ("read a file line by line", {"compressed archives": 1.0}),
    ("parse a string into parts", {"dates and times": 1.0}),
    ("open a connection", {"network sockets": -1.0}),
)
"""Queries, and what each is boosted by."""
K = 5
"""Results per query."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for checkpoint, bundle and index.")] = Path("demo"),
    embedder: Annotated[
        str, typer.Option(help="A sentence-transformers folder or name; `minilm` = the weights of steersearch[minilm].")
    ] = "minilm",
    steps: Annotated[int, typer.Option(help="Training steps.")] = 600,
    latents: Annotated[int, typer.Option(help="Number of latents.")] = 2048,
    k: Annotated[int, typer.Option("-k", help="Latents active per text.")] = 32,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier demo left in OUT.")] = False,
    json: Json = False,
) -> None:
    """See the whole path on your own machine: embed Python's documentation, train, export, index, search and steer.

    About four minutes on two cores. Leaves a checkpoint, a bundle and an index in OUT for you to play with.
    """
    from ..corpus import python_documentation
    from ..export import export_bundle
    from ..runtime import SteerableIndex
    from ..training import Embedder, SaeConfig, TrainConfig, default_cache_dir, embed_cached
    from ..training import train as fit

    if any((out / name).exists() for name in ("bundle", "index")) and not overwrite:
        raise ConfigError(f"{out} holds an earlier demo: add --overwrite, or choose another --out")
    checkpoint = out / "model.pt"
    # Here, and not after the work.
    check_place(checkpoint)
    # Half the usual batch: this corpus is small, and the demo should end while you watch.
    training = TrainConfig(steps=steps, queries_per_step=64, random_documents=64, extra_documents=128, max_queries=6000)
    shape = SaeConfig(n_latents=latents, k=k)
    started = time.monotonic()
    corpus, model = python_documentation(), Embedder(embedder)
    documents = list(corpus.documents())
    texts, ids = [d.text for d in documents], [d.id for d in documents]
    stderr.print(f"{len(texts):,} documents: the documentation of this Python installation")
    # An interrupted demo continues with the same command.
    unfinished = out / f"model.pt.{latents}-{k}-{steps}.resume"
    with progress_bars(quiet=json) as show:
        trained = fit(corpus, model, shape, training, resume_path=unfinished, resume=True, progress=show)
        trained.save(checkpoint)
        show("export", 0, 1)
        # Edits are of the autoencoder that is replaced now.
        if (edits := out / "bundle.edits.json").exists():
            edits.replace(out / "bundle.edits.old.json")
        manifest = export_bundle(checkpoint, out / "bundle", overwrite=True)
        show("export", 1, 1)
        shutil.rmtree(out / "index", ignore_errors=True)
        # The training made them: they are read from the cache.
        vectors = embed_cached(model, texts, cache_dir=default_cache_dir())
        with SteerableIndex.create(out / "index", out / "bundle") as index:
            index.add(texts, ids=ids, embeddings=vectors, progress=lambda done, total: show("index", done, total))
    seconds, metrics = time.monotonic() - started, trained.info.metrics
    with SteerableIndex.open(out / "index") as index:
        searches = [(query, boost, *search_twice(index, query, boost)) for query, boost in QUERIES]
    if json:
        body = {"out": str(out), "seconds": round(seconds, 1), "metrics": metrics, "parity": manifest.parity}
        print_json(body | {"searches": [_search_json(*search) for search in searches]})
        return
    for query, boost, plain, steered in searches:
        console.print()
        console.print(harmless((query, "bold"), f"   boost {boost}"))
        print_side_by_side(plain, steered)
    first, boost, _, hits = searches[0]
    figures = (
        f": {latents:,} latents, {metrics['alive']:.0%} alive, {metrics['l0']:.0f} per text. ONNX against torch: "
        f"embeddings within {manifest.parity['embedder_max_abs']:.0e}, "
        f"{manifest.parity['encoder_agreement']:.2%} of TopK codes equal."
    )
    console.print()
    console.print(harmless((f"{seconds:.0f} s", "bold"), figures))
    steering = " ".join(f'--boost "{concept}={strength:g}"' for concept, strength in boost.items())
    # Inside `make demo` it is not on the PATH.
    sae = sys.argv[0] if Path(sys.argv[0]).name == "sae" else "sae"
    console.print("Now you:")
    for command in (
        f'{sae} search "{first}" --index {out}/index {steering} --compare',
        f'{sae} explain "{first}" {hits[0].id} --index {out}/index {steering}',
        f'{sae} search "open a connection, but not network sockets" --index {out}/index --understand',
        f'{sae} features "network sockets" --bundle {out}/bundle',
        f"{sae} features label --index {out}/index --bundle {out}/bundle",
    ):
        console.print(f"  {command}", soft_wrap=True)


def search_twice(index: SteerableIndex, query: str, boost: dict[str, float]) -> tuple[list[Hit], list[Hit]]:
    """Return the hits of a query without a boost and with it. The query is embedded and steered once."""
    steered = index.steer(query, boost)
    return index.search(steered.unsteered, K), index.search(steered, K, compare=True)


def _search_json(query: str, boost: dict[str, float], plain: list[Hit], steered: list[Hit]) -> dict[str, object]:
    found = {"plain": plain, "steered": steered}
    return {"query": query, "boost": boost} | {
        name: [{"id": hit.id, "score": hit.score} for hit in hits] for name, hits in found.items()
    }
