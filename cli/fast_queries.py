"""`sae fast-queries`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .console import stderr
from .live import progress_bars
from .options import BundlePath, Json
from .output import print_json

if TYPE_CHECKING:
    from ..export.fast_queries import FastQueries


def fast_queries(
    data: Annotated[Path, typer.Option(help="Documents like those that are searched: all that `sae index` takes.")],
    bundle: BundlePath = Path("bundle"),
    pieces: Annotated[
        int, typer.Option(help="Titles, sentences and spans of the documents that are learnt from, at most.")
    ] = 100_000,
    afresh: Annotated[
        bool, typer.Option("--afresh", help="Forget a table that the bundle has; else it is fitted further.")
    ] = False,
    cache: Annotated[Path | None, typer.Option(help="Where embeddings are kept between runs.")] = None,
    json: Json = False,
) -> None:
    """Add a table to a bundle that embeds queries without the transformer, for `sae search --queries fast` or `auto`.

    It is fitted to the bundle's own query vectors, in minutes on one CPU; documents and indexes stay as they are.
    """
    from ..export.fast_queries import add_fast_queries

    with progress_bars() as show:
        found = add_fast_queries(bundle, data, pieces=pieces, afresh=afresh, cache_dir=cache, progress=show)
    if json:
        print_json({"bundle": str(bundle), **_figures(found)})
        return
    _tell(bundle, found)
    stderr.print("next: sae search QUERY --queries auto")


def check_texts_to_fit(data: Path | None, vectors: Path | None) -> None:
    """Check that `sae train --fast-queries` has an embedder and texts; a ConfigError before the training."""
    if vectors is not None or data is None or data.suffix == ".npy":
        raise ConfigError(
            "--fast-queries fits a table to an embedder's queries, and with vectors alone there is none: leave it out, "
            "or give documents with --data and an --embedder"
        )


def fit_table_of(
    ckpt: Path, data: Path, pairs: Path | None, embedder: str | None, cache: Path | None
) -> dict[str, Any] | None:
    """Fit a table for a new checkpoint, and return its figures; None where the embedder is a table itself."""
    from ..corpus import Corpus
    from ..errors import SteersearchError
    from ..export.fast_queries import add_to_checkpoint
    from ..training.sae import SparseAutoencoder

    known = SparseAutoencoder.load(ckpt).info.embedder or {}
    if known.get("kind") == "static":
        stderr.print("the embedder is a table already: no table for fast queries was fitted")
        return None
    corpus = Corpus.open(data)
    if pairs is not None:
        corpus = corpus.with_pairs(pairs)
    try:
        with progress_bars() as show:
            found = add_to_checkpoint(ckpt, corpus, embedder=embedder, cache_dir=cache, progress=show)
    except (SteersearchError, KeyboardInterrupt):
        stderr.print(f"{ckpt} is whole, without the table: sae fast-queries fits one to a bundle of it")
        raise
    _tell(ckpt, found)
    return {"fast_queries": _figures(found)}


def _figures(found: FastQueries) -> dict[str, Any]:
    return {name: round(value, 4) for name, value in asdict(found).items()}


def _tell(where: Path, found: FastQueries) -> None:
    stderr.print(
        f"{where}: fitted to {found.pieces} pieces; on {found.held_out} others the cosine to the transformer's vector "
        f"is {found.cosine:.3f}, and {found.cosine_sure:.3f} for the {found.sure:.0%} that auto leaves to the table"
    )
