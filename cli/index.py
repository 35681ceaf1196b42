"""`sae index`: put documents into a searchable folder, and look after the folder.

`sae index notes` is short for `sae index build notes`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from ..errors import ConfigError, IndexFolderError, StorageError
from ..files import absolute
from .choices import Commands, Group
from .console import console, stderr
from .embedders import (
    EmbedderDimensions,
    EmbedderModel,
    EmbedderUrl,
    MaxCalls,
    MaxTexts,
    announce,
    brought,
    report_calls,
)
from .live import progress_bars
from .options import (
    BackendOption,
    ChunkTokens,
    DataOption,
    DocumentsArgument,
    IndexBundle,
    IndexPath,
    Json,
    MovedBundle,
    NoChunks,
    Overlap,
    ProfileOption,
    SkipBad,
    TextColumn,
    VectorColumn,
    one_path,
)
from .output import print_json, quiet, report_problems

if TYPE_CHECKING:
    from ..runtime import Backend, MemoryProfile


class _IndexGroup(Group):
    """A group that builds where the first word is no command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and "--help" not in args and not ctx.resilient_parsing:
            args = ["build", *args]
        return super().parse_args(ctx, args)


index_app = Commands(
    cls=_IndexGroup,
    no_args_is_help=True,
    help="Put documents into a searchable folder, without torch, and look after the folder.\n\n"
    "`sae index notes --bundle bundle --out index` is short for `sae index build …`, whose options "
    "`sae index build --help` lists (`--data notes` says the same). A document whose id is there already is replaced; "
    "one that is unchanged is not embedded again, so an interrupted run goes on where it was when it is repeated.\n\n"
    'Then: `sae search "your words" --index index`.',
)


@index_app.command("build")
def build(
    path: DocumentsArgument = None,
    data: DataOption = None,
    bundle: IndexBundle = None,
    out: Annotated[
        Path, typer.Option("--out", "--index", "-i", help="The index folder; documents are added when it is there.")
    ] = Path("index"),
    backend: BackendOption = "auto",
    profile: ProfileOption = "fast",
    chunk_tokens: ChunkTokens = None,
    overlap: Overlap = None,
    no_chunks: NoChunks = False,
    text_column: TextColumn = None,
    vectors: Annotated[
        Path | None,
        typer.Option(
            help="The documents' vectors, if you have them: .npy, .jsonl or .parquet, as for `sae train`. Nothing is "
            "embedded then, and nothing is cut."
        ),
    ] = None,
    vector_column: VectorColumn = None,
    skip_bad: SkipBad = False,
    old: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="An index whose documents go into a new one of another --bundle of the same embedder; nothing is "
            "embedded.",
        ),
    ] = None,
    embedder_url: EmbedderUrl = None,
    embedder_model: EmbedderModel = None,
    embedder_dimensions: EmbedderDimensions = None,
    max_texts: MaxTexts = None,
    max_calls: MaxCalls = None,
    json: Json = False,
) -> None:
    """Embed documents and put them into a searchable folder; the default.

    A document whose id is already there is replaced; one that is unchanged is not embedded again, so an interrupted run
    goes on where it was when it is repeated. A long document is cut into chunks, `guide.md#1`, `guide.md#2` …, that
    say where they stand. A folder or file that is indexed again drops the files, or lines without ids, that are gone
    from it. Further fields of .jsonl, .csv and .parquet become metadata for `sae search --filter`.

    `sae index --from old --index new --bundle retrained` moves an index to another autoencoder of the same embedder:
    its stored vectors are encoded again, and the old index stays as it is.

    Ends with 1 when a file of a folder could not be read; all others are indexed then.
    """
    from ..corpus import Corpus
    from ..runtime import Bundle, SteerableIndex
    from ..runtime.maintenance import counted
    from ..vectors import Vectors, open_vectors

    if old is not None:
        if path or data or vectors:
            raise ConfigError("--from moves the documents of an index, so PATH, --data and --vectors are left out")
        embedder = brought(embedder_url, embedder_model, embedder_dimensions, max_texts, max_calls)
        _move(old, out, bundle or Path("bundle"), backend, profile, embedder, json)
        return
    documents: Corpus | Vectors
    if vectors is not None:
        columns = {"column": vector_column, "text_column": text_column}
        given = one_path(path, data) if path or data else None
        documents = open_vectors(vectors, given, **columns, skip_bad=skip_bad)
        corpus, total = documents.documents, len(documents.rows)
    elif vector_column or skip_bad:
        raise ConfigError(f"{'--vector-column' if vector_column else '--skip-bad'} is for --vectors FILE: name it")
    else:
        documents = corpus = Corpus.open(one_path(path, data), text_column=text_column)
        total = len(corpus) if corpus.folder is None else len(corpus.folder.ids())
    embedder = brought(embedder_url, embedder_model, embedder_dimensions, max_texts, max_calls)
    if absolute(out).exists():
        opened = SteerableIndex.open(out, bundle=bundle, backend=backend, profile=profile, embedder=embedder)
    else:
        loaded = Bundle.load(bundle or Path("bundle"), profile=profile, embedder=embedder)
        opened = SteerableIndex.create(out, loaded, backend=backend)
    # They log oddities of files; what cannot be read is reported at the end.
    if vectors is None:
        announce(opened.bundle, total, "documents, before they are cut")
    with opened, quiet("pypdf", "steersearch.corpus.files", "steersearch.corpus.problems"), progress_bars() as show:
        added = opened.add_from(
            documents,
            chunk_tokens=0 if no_chunks else chunk_tokens,
            overlap=overlap,
            total=total,
            progress=lambda done, _: show("index documents", done, total),
        )
        count, pieces = opened.count(), len(opened)
    problems = corpus.problems if corpus is not None else {}
    stored = added.embedded + added.updated + added.unchanged
    if json:
        figures = {"added": stored, "unchanged": added.unchanged, "replaced": added.replaced, "dropped": added.dropped}
        figures |= {"added_documents": added.documents, "cut": added.cut, "documents": count, "pieces": pieces}
        print_json({"index": str(out), **figures, "problems": problems})
    else:
        already = f" ({added.unchanged:,} of them were there already)" if added.unchanged else ""
        dropped = f", dropped {added.dropped:,} that are gone" if added.dropped else ""
        replaced = f", replaced {added.replaced:,}" if added.replaced else ""
        name, most = added.longest
        many = f"; {added.cut:,} were cut, {name} into {most:,}" if added.cut else ""
        cut = f"; {name} was cut into {most:,}" if added.cut == 1 else many
        what = f"{added.documents:,} documents in {stored:,} pieces" if added.documents != stored else f"{stored:,}"
        now = counted(count, pieces)
        stderr.print(f"{out}: added {what}{already}{replaced}{dropped}, now {now}{cut}", soft_wrap=True)
        report_calls(opened.bundle)
        if corpus is not None:
            report_problems(problems, corpus.positions, "documents" if corpus.folder is None else "files")
        stderr.print(f'next: sae search "your words" --index {out}')
    if problems:
        raise typer.Exit(1)


def _move(
    old: Path, out: Path, bundle: Path, backend: Backend, profile: MemoryProfile, embedder: Any, json: bool
) -> None:
    """Move an index to another bundle; see `build`."""
    from ..runtime import Bundle, SteerableIndex
    from ..runtime.ingest.moving import move
    from ..runtime.maintenance import counted

    loaded = Bundle.load(bundle, profile=profile, embedder=embedder)
    with progress_bars(json) as show:
        moved = move(old, out, loaded, progress=lambda done, total: show("encode vectors", done, total))
    with SteerableIndex.open(out, bundle=loaded, backend=backend) as opened:
        opened.save()
        count = opened.count()
    if json:
        print_json({"index": str(out), "from": str(old), "documents": count, "pieces": moved})
    else:
        what = counted(count, moved)
        stderr.print(f"{out}: moved {what} of {old} to {bundle}", soft_wrap=True)
        stderr.print(f'next: sae search "your words" --index {out}')


@index_app.command("verify")
def verify(
    index: IndexPath = Path("index"),
    bundle: MovedBundle = None,
    sample: Annotated[int, typer.Option(min=0, help="Texts that are embedded again and compared.")] = 64,
    embedder_url: EmbedderUrl = None,
    embedder_model: EmbedderModel = None,
    embedder_dimensions: EmbedderDimensions = None,
    json: Json = False,
) -> None:
    """Check an index: the database, every document, the caches, and that texts embed as stored.

    Ends with 0 when all is well and with 1 when something is wrong. Nothing is written.
    """
    from ..runtime import SteerableIndex
    from ..runtime.store.folder import DATABASE

    documents = embedded = 0
    problems: list[str] = []
    embedder = brought(embedder_url, embedder_model, embedder_dimensions)
    try:
        with (
            SteerableIndex.open(index, bundle=bundle, readonly=True, embedder=embedder) as opened,
            progress_bars(json) as show,
        ):
            found = opened.verify(sample=sample, progress=lambda done, total: show("verify documents", done, total))
            documents, embedded, problems = found.documents, found.embedded, list(found.problems)
    except (IndexFolderError, StorageError) as error:
        if not (index / DATABASE).is_file():
            raise
        # Too damaged to open, which is a finding.
        problems = [str(error)]
    if json:
        body = {"index": str(index), "ok": not problems, "documents": documents, "embedded": embedded}
        print_json(body | {"problems": problems})
    else:
        for problem in problems:
            stderr.print(problem, soft_wrap=True)
        result = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}" if problems else "all is well"
        console.print(
            f"{index}: {result}; {documents:,} documents read, {embedded:,} of them embedded again",
            soft_wrap=True,
        )
    if problems:
        raise typer.Exit(1)


@index_app.command("compact")
def compact(index: IndexPath = Path("index"), bundle: MovedBundle = None, json: Json = False) -> None:
    """Give back the space that removed and replaced documents left, and make the caches anew."""
    from ..runtime import SteerableIndex

    with SteerableIndex.open(index, bundle=bundle) as opened:
        freed, count = opened.compact(), opened.count()
    if json:
        print_json({"index": str(index), "freed_bytes": freed, "documents": count})
    else:
        stderr.print(f"{index}: {freed / 1e6:,.1f} MB given back, {count:,} documents")


@index_app.command("info")
def info(index: IndexPath = Path("index"), bundle: MovedBundle = None, json: Json = False) -> None:
    """Show how many documents an index has, its size, its bundle, and who is writing to it."""
    from ..runtime.maintenance import counted, stats_at

    stats, found = stats_at(index, bundle)
    if json:
        print_json({"index": str(index), **asdict(stats), "bundle_found": found})
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    each = f", {stats.database_bytes / stats.pieces:,.0f} bytes per piece" if stats.pieces else ""
    free = f"; {stats.free_bytes / 1e6:,.1f} MB free for `sae index compact`" if stats.free_bytes else ""
    effort = f"; more effort for nearly equal documents: {stats.effort}" if stats.effort else ""
    latents = f"{stats.n_latents:,}" if stats.n_latents else "?"
    recall = (
        {} if stats.recall is None else {"recall": f"{stats.recall:.3f} of the ten nearest in its own test{effort}"}
    )
    for name, value in {
        "documents": f"{counted(stats.documents, stats.pieces)}, generation {stats.generation:,}",
        "database": f"{stats.database_bytes / 1e6:,.1f} MB{each}{free}",
        "caches": f"{stats.cache_bytes / 1e6:,.1f} MB, {'up to date' if stats.cached else 'made when needed'}",
        "search": f"{stats.backend}; {stats.d_in} numbers, {stats.k} of {latents} latents per document",
        **recall,
        "bundle": stats.bundle + ("" if found else "  (not there: say where it is with --bundle)"),
        "writer": stats.writer or "nobody",
    }.items():
        table.add_row(name, value)
    console.print(table)
