"""`sae get`, `sae update` and `sae delete`: documents of an index, long ones whole. None needs the bundle."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError, DataError
from ..text import shown
from .console import console, harmless, stderr
from .options import IndexPath, Json
from .output import print_json

if TYPE_CHECKING:
    from ..runtime.ingest.selecting import Selection
    from ..runtime.store.documents import DocumentStore

Ids = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of documents, or of chunks like guide.md#3.")
]
SourceOption = Annotated[
    str | None,
    typer.Option("--source", help="Documents with this `source`, or of this indexed file or folder, in place of ids."),
]
FilterOption = Annotated[
    str | None, typer.Option("--filter", help='Documents that match: \'{"year": {"$lt": 2020}}\', in place of ids.')
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which documents these are.")]
_NAMED = 5
"""Documents that are named on a line."""


def get(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of documents, or of chunks like guide.md#3.")],
    index: IndexPath = Path("index"),
    json: Json = False,
) -> None:
    """Print documents of an index: text and metadata, a long one put together of its chunks.

    `sae get guide.md` prints all of it, `sae get guide.md#3` its third chunk, and `sae get guide.md --json` also the
    ids of its chunks.
    """
    from ..runtime.opening import open_store
    from ..runtime.store.pieces import get_documents

    with open_store(index, readonly=True) as store:
        records = get_documents(store, ids)
        _check_known(store, [id for id, record in zip(ids, records, strict=True) if record is None])
    found = [record for record in records if record is not None]
    if json:
        names = ("id", "text", "metadata", "pieces")
        print_json([{name: getattr(record, name) for name in names} for record in found])
        return
    for record in found:
        pieces = f"  ({len(record.pieces):,} chunks)" if record.pieces else ""
        console.print(harmless((record.id, "bold"), pieces))
        for name, value in record.metadata.items():
            written = json_module.dumps(value, ensure_ascii=False)
            console.print(f"{name}: {written}", style="dim", soft_wrap=True)
        for line in record.text.split("\n"):
            console.print(line, soft_wrap=True)


def delete(
    ids: Ids = None,
    index: IndexPath = Path("index"),
    source: SourceOption = None,
    filter: FilterOption = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Remove documents from an index, with all their chunks, in one transaction.

    `sae delete guide.md` removes a document, `sae delete guide.md#3` one chunk of it

    `sae delete --source notes` removes what was indexed from that folder

    `sae delete --filter '{"year": {"$lt": 2020}}' --dry-run` says what would go

    An unknown id ends it with 1, and nothing is removed. `sae index compact` gives the space back to the disk.
    """
    from ..runtime.ingest.selecting import delete as remove
    from ..runtime.opening import open_store

    with open_store(index, readonly=dry_run) as store:
        where = _where(ids, source, filter)
        if dry_run:
            found = _select(store, where)
        else:
            with store.writing():
                found = _select(store, where)
                remove(store, [id for pieces in found.values() for id in pieces])
        left = len(store)
    _report("would remove" if dry_run else "removed", index, found, left, json, dry_run=dry_run, verb="removed")


def update(
    ids: Ids = None,
    index: IndexPath = Path("index"),
    put: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="KEY=VALUE, may be repeated. A value that is JSON is read as such: year=2024, tags='[\"a\"]'."
        ),
    ] = None,
    unset: Annotated[list[str] | None, typer.Option(help="A key that is taken away; may be repeated.")] = None,
    source: SourceOption = None,
    filter: FilterOption = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Change the metadata of documents, on all their chunks, without embedding anything, in one transaction.

    `sae update guide.md --set year=2024 --set status=checked`

    `sae update --filter '{"status": "draft"}' --unset status`
    """
    from ..runtime.opening import open_store
    from ..runtime.store.pieces import change_metadata

    new, gone = _assignments(put or ()), list(unset or ())
    if not new and not gone:
        raise ConfigError("nothing to change: give --set KEY=VALUE or --unset KEY")
    with open_store(index, readonly=dry_run) as store:
        where = _where(ids, source, filter)
        if dry_run:
            found = _select(store, where)
        else:
            with store.writing():
                found = _select(store, where)
                names = [id for pieces in found.values() for id in pieces]
                change_metadata(store, names, [new] * len(names), without=gone)
        left = len(store)
    _report("would change" if dry_run else "changed", index, found, left, json, dry_run=dry_run, verb="changed")


def _where(ids: Sequence[str] | None, source: str | None, filter: str | None) -> dict[str, Any]:
    """Return which documents are meant, as arguments of `select`."""
    from ..runtime.store.filters import read_filter

    given = {"ids": list(ids) if ids else None, "source": source, "filter": read_filter(filter, "--filter")}
    if sum(value is not None for value in given.values()) != 1:
        raise ConfigError("say which documents by one of ID..., --source and --filter")
    return given


def _select(store: DocumentStore, where: dict[str, Any]) -> Selection:
    """Return the documents that are meant; a DataError where an id, or anything, is not there."""
    from ..runtime.ingest.selecting import select
    from ..runtime.store.pieces import get_documents

    found = select(store, **where)
    if where["ids"] is not None:
        known = get_documents(store, where["ids"])
        _check_known(store, [id for id, record in zip(where["ids"], known, strict=True) if record is None])
    elif not found and where["source"] is not None:
        raise DataError(
            f"no document of {store.path.parent} has the source {shown(where['source'])}: the documents of a file that "
            "gives them ids are found by these, or by --filter"
        )
    return found


def _check_known(store: DocumentStore, unknown: Sequence[str]) -> None:
    from ..runtime.ingest.selecting import nearest_ids

    if not unknown:
        return
    near = nearest_ids(store, unknown[0])
    hint = f"; did you mean {', '.join(map(shown, near))}?" if near else ""
    more = f", nor {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
    raise DataError(f"there is no document {shown(unknown[0])}{more} in {store.path.parent}{hint}")


def _assignments(options: Sequence[str]) -> dict[str, Any]:
    """Return `["year=2024"]` as `{"year": 2024}`; a ConfigError where there is no key."""
    found: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {shown(option)} sets nothing: write it like --set year=2024")
        try:
            found[key.strip()] = json_module.loads(value)
        except (ValueError, RecursionError):
            found[key.strip()] = value
    return found


def _report(done: str, index: Path, found: Selection, left: int, json: bool, *, dry_run: bool, verb: str) -> None:
    from ..runtime.maintenance import counted

    pieces = sum(map(len, found.values()))
    if json:
        print_json({"index": str(index), verb: [*found], "pieces": pieces, "left_pieces": left, "dry_run": dry_run})
        return
    names = ", ".join([*found][:_NAMED]) + (" …" if len(found) > _NAMED else "")
    stderr.print(f"{index}: {done} {counted(len(found), pieces)}" + (f": {names}" if names else ""), soft_wrap=True)
