"""`sae index`: put documents into a searchable folder, and look after the folder.

`sae index --data docs.jsonl` is short for `sae index build --data docs.jsonl`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from ._common import Json, ProfileOption, print_json, progress_bars, stderr
from .index_care import compact, info, verify


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
    "`sae index --data docs.jsonl --bundle bundle --out index` is short for `sae index build …`, whose options "
    "`sae index build --help` lists. A document whose id is there already is replaced; one that is unchanged is not "
    "embedded again, so an interrupted run goes on where it was when it is repeated.\n\n"
    'Then: `sae search "your words" --index index`.',
)


@index_app.command("build")
def build(
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
        Literal["auto", "exact", "hnsw", "usearch", "usearch-f32", "usearch-i8"],
        typer.Option(
            help="`hnsw` and `usearch` are faster on large corpora and need steersearch[hnsw] (a compiler) or "
            "steersearch[usearch] (none); `usearch` holds 16 bits a number, `-i8` 8. An index remembers what it was "
            "made for."
        ),
    ] = "auto",
    profile: ProfileOption = "fast",
    json: Json = False,
) -> None:
    """Embed documents and put them into a searchable folder; the default.

    A document whose id is already there is replaced; one that is unchanged is not embedded again, so an interrupted run
    goes on where it was when it is repeated. Further fields of .jsonl and .csv become metadata for
    `sae search --filter`. Then: `sae search "your words" --index index`.
    """
    from steersearch.corpus import Corpus
    from steersearch.runtime import Bundle, SteerableIndex

    corpus = Corpus.open(data)
    total = len(corpus)
    loaded = Bundle.load(bundle, profile=profile)
    open_or_create = SteerableIndex.open if out.exists() else SteerableIndex.create
    opened = open_or_create(out, bundle=loaded, backend=backend)
    with opened, progress_bars() as show:
        added = opened.add_from(
            ((d.id, d.text, d.metadata) for d in corpus.documents()),
            total=total,
            progress=lambda done, _: show("index documents", done, total),
        )
        count = len(opened)
    if json:
        print_json({"index": str(out), "added": total, "unchanged": added.unchanged, "documents": count})
        return
    already = f" ({added.unchanged:,} of them were there already)" if added.unchanged else ""
    stderr.print(f"{out}: added {total:,}{already}, now {count:,} documents")
    stderr.print(f'next: sae search "your words" --index {out}')


index_app.command("verify")(verify)
index_app.command("compact")(compact)
index_app.command("info")(info)
