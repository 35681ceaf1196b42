"""`sae index`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import typer

from ._common import Json, print_json, progress_bars, stderr

BLOCK = 512


def index(
    data: Annotated[
        Path,
        typer.Option(help="Documents: .jsonl(.gz), .csv, .txt (one per line), a folder of .txt/.md, or a BEIR folder."),
    ],
    bundle: Annotated[Path, typer.Option("--bundle", "-b", help="The folder that `sae export` wrote.")] = Path(
        "bundle"
    ),
    out: Annotated[
        Path, typer.Option("--out", "--index", "-i", help="The index folder; documents are added when it is there.")
    ] = Path("index"),
    backend: Annotated[
        Literal["auto", "exact", "hnsw"],
        typer.Option(help="`hnsw` is faster on large corpora and needs steersearch[hnsw]."),
    ] = "auto",
    json: Json = False,
) -> None:
    """Embed documents and put them into a searchable folder, without torch.

    A document whose id is already there is replaced, so an interrupted run can simply be repeated. Further fields of
    .jsonl and .csv become metadata for `sae search --filter`. Then: `sae search "your words" --index index`.
    """
    from steersearch.corpus import Corpus
    from steersearch.runtime import SteerableIndex

    corpus = Corpus.open(data)
    total, done = len(corpus), 0
    opened = (
        SteerableIndex.open(out, bundle=bundle, backend=backend)
        if out.exists()
        else SteerableIndex.create(out, bundle, backend=backend)
    )
    with opened, progress_bars() as show:
        documents = corpus.documents()
        while block := list(islice(documents, BLOCK)):
            opened.add([d.text for d in block], ids=[d.id for d in block], metadata=[d.metadata for d in block])
            done += len(block)
            show("index documents", done, total)
        count = len(opened)
    if json:
        print_json({"index": str(out), "added": done, "documents": count})
        return
    stderr.print(f"{out}: added {done:,}, now {count:,} documents")
    stderr.print(f'next: sae search "your words" --index {out}')
