"""`sae index verify`, `sae index compact` and `sae index info`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..errors import IndexFolderError, StorageError
from ._common import IndexPath, Json, console, print_json, progress_bars, stderr

BundleOption = Annotated[Path | None, typer.Option("--bundle", "-b", help="Where the bundle is now, if it was moved.")]


def verify(
    index: IndexPath = Path("index"),
    bundle: BundleOption = None,
    sample: Annotated[int, typer.Option(min=0, help="Texts that are embedded again and compared.")] = 64,
    json: Json = False,
) -> None:
    """Check an index: the database, every document, the caches, and that texts embed as stored.

    Ends with 0 when all is well and with 1 when something is wrong. Nothing is written.
    """
    from steersearch.runtime import SteerableIndex
    from steersearch.runtime.index import DATABASE

    documents = embedded = 0
    problems: list[str] = []
    try:
        with SteerableIndex.open(index, bundle=bundle, readonly=True) as opened, progress_bars(json) as show:
            found = opened.verify(sample=sample, progress=lambda done, total: show("verify documents", done, total))
            documents, embedded, problems = found.documents, found.embedded, list(found.problems)
    except (IndexFolderError, StorageError) as error:
        if not (index / DATABASE).is_file():
            raise
        problems = [str(error)]  # too damaged to open: that is what was asked
    if json:
        body = {"index": str(index), "ok": not problems, "documents": documents, "embedded": embedded}
        print_json(body | {"problems": problems})
    else:
        for problem in problems:
            stderr.print(escape(problem), soft_wrap=True)
        said = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}" if problems else "all is well"
        console.print(
            f"{escape(str(index))}: {said}; {documents:,} documents read, {embedded:,} of them embedded again",
            soft_wrap=True,
        )
    if problems:
        raise typer.Exit(1)


def compact(index: IndexPath = Path("index"), bundle: BundleOption = None, json: Json = False) -> None:
    """Give back the space that removed and replaced documents left, and make the caches anew."""
    from steersearch.runtime import SteerableIndex

    with SteerableIndex.open(index, bundle=bundle) as opened:
        freed, count = opened.compact(), len(opened)
    if json:
        print_json({"index": str(index), "freed_bytes": freed, "documents": count})
    else:
        stderr.print(f"{index}: {freed / 1e6:,.1f} MB given back, {count:,} documents")


def info(index: IndexPath = Path("index"), bundle: BundleOption = None, json: Json = False) -> None:
    """Show how many documents an index has, its size, its bundle, and who is writing to it."""
    from steersearch.runtime import SteerableIndex

    with SteerableIndex.open(index, bundle=bundle, readonly=True) as opened:
        stats = opened.stats()
    if json:
        print_json({"index": str(index), **asdict(stats)})
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    per_document = f", {stats.database_bytes / stats.documents:,.0f} bytes per document" if stats.documents else ""
    free = f"; {stats.free_bytes / 1e6:,.1f} MB free for `sae index compact`" if stats.free_bytes else ""
    for name, value in {
        "documents": f"{stats.documents:,}, generation {stats.generation:,}",
        "database": f"{stats.database_bytes / 1e6:,.1f} MB{per_document}{free}",
        "caches": f"{stats.cache_bytes / 1e6:,.1f} MB, {'up to date' if stats.cached else 'made when needed'}",
        "search": f"{stats.backend}; {stats.d_in} numbers, {stats.k} of {stats.n_latents:,} latents per document",
        "bundle": stats.bundle,
        "writer": stats.writer or "nobody",
    }.items():
        table.add_row(name, escape(value))
    console.print(table)
