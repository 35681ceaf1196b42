"""`sae fast-queries`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .console import stderr
from .live import progress_bars
from .options import BundlePath, Json
from .output import print_json


def fast_queries(
    data: Annotated[Path, typer.Option(help="Documents like those that are searched: all that `sae index` takes.")],
    bundle: BundlePath = Path("bundle"),
    pieces: Annotated[
        int, typer.Option(help="Titles, sentences and spans of the documents that are learnt from, at most.")
    ] = 40_000,
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
        print_json({"bundle": str(bundle), **{k: round(v, 4) for k, v in asdict(found).items()}})
        return
    stderr.print(
        f"{bundle}: fitted to {found.pieces} pieces; on {found.held_out} others the cosine to the transformer's vector "
        f"is {found.cosine:.3f}, and {found.cosine_sure:.3f} for the {found.sure:.0%} that auto leaves to the table"
    )
    stderr.print("next: sae search QUERY --queries auto")
