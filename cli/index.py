"""`sae index`: put documents into a searchable folder, and look after the folder.

`sae index notes` is short for `sae index build notes`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from ..errors import ConfigError, IndexFolderError, StorageError
from .options import IndexPath, Json, ProfileOption, console, print_json, progress_bars, stderr

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
    from ..runtime import SteerableIndex
    from ..runtime.index import DATABASE

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
    from ..runtime import SteerableIndex

    with SteerableIndex.open(index, bundle=bundle) as opened:
        freed, count = opened.compact(), len(opened)
    if json:
        print_json({"index": str(index), "freed_bytes": freed, "documents": count})
    else:
        stderr.print(f"{index}: {freed / 1e6:,.1f} MB given back, {count:,} documents")


def info(index: IndexPath = Path("index"), bundle: BundleOption = None, json: Json = False) -> None:
    """Show how many documents an index has, its size, its bundle, and who is writing to it."""
    from ..runtime import SteerableIndex

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


class _IndexGroup(TyperGroup):
    """Takes what is no command for `build`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and "--help" not in args:
            args = ["build", *args]
        return super().parse_args(ctx, args)


index_app = typer.Typer(
    cls=_IndexGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Put documents into a searchable folder, without torch, and look after the folder.\n\n"
    "`sae index notes --bundle bundle --out index` is short for `sae index build …`, whose options "
    "`sae index build --help` lists (`--data notes` says the same). A document whose id is there already is replaced; "
    "one that is unchanged is not embedded again, so an interrupted run goes on where it was when it is repeated.\n\n"
    'Then: `sae search "your words" --index index`.',
)

DATA = (
    "Documents: a folder of .txt, .md, .html and .pdf files; a .jsonl(.gz), .csv(.gz), .parquet or .txt file (one per "
    "line); one .md, .html or .pdf file; or a BEIR folder."
)
BackendOption = Annotated[
    Literal["auto", "exact", "hnsw", "usearch", "usearch-f32", "usearch-i8"],
    typer.Option(
        help="`hnsw` and `usearch` are faster on large corpora and need steersearch[hnsw] (a compiler) or "
        "steersearch[usearch] (none); `usearch` holds 16 bits a number, `-i8` 8. An index remembers what it was "
        "made for."
    ),
]
ChunkTokens = Annotated[
    int | None,
    typer.Option(
        min=1, help="Longest chunk in tokens of the bundle's tokenizer; by default as long as the embedder reads."
    ),
]
Overlap = Annotated[
    int | None,
    typer.Option(
        min=0, help="A chunk repeats the last sentences of the one before, up to so many tokens; an eighth by default."
    ),
]
NoChunks = Annotated[
    bool, typer.Option("--no-chunks", help="Store every document whole; what the embedder does not read is not found.")
]
TextColumn = Annotated[
    str | None, typer.Option(help="The column or field that holds the text, of a .csv, .parquet or .jsonl file.")
]


@index_app.command("build")
def build(
    path: Annotated[Path | None, typer.Argument(help=DATA)] = None,
    data: Annotated[Path | None, typer.Option("--data", help="The same as PATH.")] = None,
    bundle: Annotated[Path, typer.Option("--bundle", "-b", help="The folder that `sae export` wrote.")] = Path(
        "bundle"
    ),
    out: Annotated[
        Path, typer.Option("--out", "--index", "-i", help="The index folder; documents are added when it is there.")
    ] = Path("index"),
    backend: BackendOption = "auto",
    profile: ProfileOption = "fast",
    chunk_tokens: ChunkTokens = None,
    overlap: Overlap = None,
    no_chunks: NoChunks = False,
    text_column: TextColumn = None,
    json: Json = False,
) -> None:
    """Embed documents and put them into a searchable folder; the default.

    A document whose id is already there is replaced; one that is unchanged is not embedded again, so an interrupted run
    goes on where it was when it is repeated. A long document is cut into chunks, `guide.md#1`, `guide.md#2` …, that
    say where they stand. A folder that is indexed again drops the files that are gone from it. Further fields of
    .jsonl, .csv and .parquet become metadata for `sae search --filter`.

    Ends with 1 when a file of a folder could not be read; all others are indexed then.
    """
    from ..corpus import Corpus
    from ..runtime import Bundle, SteerableIndex

    corpus = Corpus.open(one_path(path, data), text_column=text_column)
    for name in ("pypdf", "steersearch.corpus.files"):  # oddities of files; what cannot be read is told at the end
        logging.getLogger(name).setLevel(logging.ERROR)
    total = len(corpus) if corpus.folder is None else len(corpus.folder.ids())
    loaded = Bundle.load(bundle, profile=profile)
    open_or_create = SteerableIndex.open if out.exists() else SteerableIndex.create
    opened = open_or_create(out, bundle=loaded, backend=backend)
    with opened, progress_bars() as show:
        added = opened.add_from(
            corpus,
            chunk_tokens=0 if no_chunks else chunk_tokens,
            overlap=overlap,
            total=total,
            progress=lambda done, _: show("index documents", done, total),
        )
        count = len(opened)
    stored = added.embedded + added.updated + added.unchanged
    if json:
        figures = {"added": stored, "unchanged": added.unchanged, "dropped": added.dropped, "documents": count}
        print_json({"index": str(out), **figures, "problems": corpus.problems})
    else:
        already = f" ({added.unchanged:,} of them were there already)" if added.unchanged else ""
        dropped = f", dropped {added.dropped:,} that are gone" if added.dropped else ""
        stderr.print(f"{out}: added {stored:,}{already}{dropped}, now {count:,} documents")
        report_problems(corpus.problems, total)
        stderr.print(f'next: sae search "your words" --index {out}')
    if corpus.problems:
        raise typer.Exit(1)


def one_path(path: Path | None, data: Path | None) -> Path:
    """The documents, given in one of two ways.

    Raises:
        ConfigError: They are not given, or twice.
    """
    if (path is None) == (data is None):
        raise ConfigError("give the documents once, as PATH or with --data PATH")
    chosen = path if path is not None else data
    assert chosen is not None
    return chosen


def report_problems(problems: Mapping[str, str], total: int) -> None:
    """One line for every reason why files could not be read."""
    if not problems:
        return
    stderr.print(f"{len(problems):,} of {total:,} files could not be read:")
    reasons: dict[str, list[str]] = {}
    for name, reason in problems.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        more = f"{names[0]} and {len(names) - 1:,} more: " if len(names) > 1 else ""
        stderr.print(f"  {escape(more + reason)}", soft_wrap=True)


index_app.command("verify")(verify)
index_app.command("compact")(compact)
index_app.command("info")(info)
