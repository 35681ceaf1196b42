"""`sae embed` and `sae index merge`: embed documents in many processes, and join the results in one index."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from ..files import absolute
from .console import stderr
from .embedders import EmbedderDimensions, EmbedderModel, EmbedderUrl, MaxCalls, MaxTexts, brought, report_calls
from .index import index_app
from .live import progress_bars
from .options import (
    BackendOption,
    BundlePath,
    ChunkTokens,
    DataOption,
    DocumentsArgument,
    IndexBundle,
    IndexPath,
    Json,
    NoChunks,
    Overlap,
    TextColumn,
    one_path,
)
from .output import print_json, report_problems


def embed(
    path: DocumentsArgument = None,
    data: DataOption = None,
    bundle: BundlePath = Path("bundle"),
    out: Annotated[Path, typer.Option(help="The folder of all shards; each makes a folder of its own in it.")] = Path(
        "shards"
    ),
    shard: Annotated[str, typer.Option(help="Which part of the documents, from `1/8` to `8/8`.")] = "1/1",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier run was stopped; right for a first run too.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="CPU threads; all by default.")] = None,
    chunk_tokens: ChunkTokens = None,
    overlap: Overlap = None,
    no_chunks: NoChunks = False,
    text_column: TextColumn = None,
    embedder_url: EmbedderUrl = None,
    embedder_model: EmbedderModel = None,
    embedder_dimensions: EmbedderDimensions = None,
    max_texts: MaxTexts = None,
    max_calls: MaxCalls = None,
    json: Json = False,
) -> None:
    """Embed a part of the documents, for any scheduler that runs many such processes.

    `sae embed docs.jsonl --bundle bundle --out shards --shard 3/8 --resume`, once for every shard, on as many machines
    as you like; then `sae index merge shards --index index`. The index is the one that `sae index` makes alone.
    Needs no torch, no network, and no other shard; what is written is checksummed and complete or not there.
    """
    from ..runtime import Bundle
    from ..runtime.ingest.shards import embed_shard

    source = one_path(path, data)
    match = re.fullmatch(r"(\d+)/(\d+)", shard)
    if match is None:
        raise ConfigError(f"--shard is {shard!r}: write 3/8 for the third of eight shards")
    embedder = brought(embedder_url, embedder_model, embedder_dimensions, max_texts, max_calls)
    opened = Bundle.load(bundle, threads=threads, embedder=embedder)
    with progress_bars() as show:
        folder, made = embed_shard(
            source,
            opened,
            out,
            (int(match[1]), int(match[2])),
            resume=resume,
            chunk_tokens=0 if no_chunks else chunk_tokens,
            overlap=overlap,
            text_column=text_column,
            progress=lambda done: show("embed documents", done, None),
        )
    if json:
        print_json({"shard": str(folder), "documents": made.documents, "problems": made.problems})
        return
    stderr.print(f"{folder}: {made.documents:,} documents")
    report_calls(opened)
    report_problems(made.problems, made.positions or 0, "files" if Path(source).is_dir() else "documents")
    stderr.print(f"next, when all shards are there: sae index merge {out} --index index")


@index_app.command("merge")
def merge(
    shards: Annotated[list[Path], typer.Argument(help="Folders that `sae embed` wrote: shards, or folders of shards.")],
    index: IndexPath = Path("index"),
    bundle: IndexBundle = None,
    backend: BackendOption = "auto",
    json: Json = False,
) -> None:
    """Join shards that `sae embed` made into an index; an interrupted run goes on when it is repeated.

    Ends with 1 when a file could not be read while the shards were made; all others are in the index then.
    """
    from ..runtime import SteerableIndex
    from ..runtime.maintenance import counted

    if absolute(index).exists():
        opened = SteerableIndex.open(index, bundle=bundle, backend=backend)
    else:
        opened = SteerableIndex.create(index, bundle or Path("bundle"), backend=backend)
    with opened, progress_bars(json) as show:
        merged = opened.merge(shards, progress=lambda done, total: show("merge documents", done, total))
        count, pieces = opened.count(), len(opened)
    if json:
        figures = {"merged": merged.documents, "replaced": merged.replaced, "dropped": merged.dropped}
        print_json({"index": str(index), **figures, "documents": count, "pieces": pieces, "problems": merged.problems})
    else:
        dropped = f", dropped {merged.dropped:,} that are gone" if merged.dropped else ""
        replaced = f", replaced {merged.replaced:,}" if merged.replaced else ""
        stderr.print(
            f"{index}: merged {merged.documents:,}{replaced}{dropped}, now {counted(count, pieces)}", soft_wrap=True
        )
        report_problems(merged.problems, count)
    if merged.problems:
        raise typer.Exit(1)
