"""`sae audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ..errors import ConfigError
from .console import console, stderr
from .embedders import EmbedderDimensions, EmbedderModel, EmbedderUrl, brought
from .options import IndexPath, Json, MovedBundle
from .output import print_json

if TYPE_CHECKING:
    from ..runtime.audit import AuditReport


CARRIES = 0.05
"""How much more often a feature fires on one side, from which it is shown, on pairs that it was not chosen on."""


def audit(
    index: IndexPath = Path("index"),
    bundle: MovedBundle = None,
    field: Annotated[
        str | None,
        typer.Option(
            help="A metadata field, such as source, alone; by default the texts and all fields with few values."
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(help="Queries, one a line. By default the rare words that both documents of a pair share."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the strongest that was found, for `sae search --remove @FILE`."),
    ] = None,
    embedder_url: EmbedderUrl = None,
    embedder_model: EmbedderModel = None,
    embedder_dimensions: EmbedderDimensions = None,
    json: Json = False,
) -> None:
    """Does this retriever reward what it should not: length, reading level, boilerplate, language, source?

    Documents that have an attribute are paired with the nearest that have it not, and found by what both share. In how
    many pairs does the one that has it come first, and what is left of that when it is taken out?

    `sae audit --index my-index --field source --out source.json` measures one field and writes what takes it out

    `sae search "solar storms" --remove @source.json` searches without
    """
    from ..runtime import SteerableIndex
    from ..runtime.audit import audit as audit_index

    asked = None if queries is None else _read(queries)
    embedder = brought(embedder_url, embedder_model, embedder_dimensions)
    with SteerableIndex.open(index, bundle=bundle, embedder=embedder, readonly=True) as opened:
        report = audit_index(opened, field=field, queries=asked)
    if json:
        print_json(report.to_json())
    else:
        _print(report)
    if out is not None:
        chosen = report.rewarded or (list(report.suspicions[:1]) if field is not None else [])
        if not chosen:
            raise ConfigError(
                f"nothing is rewarded, so nothing was written to {out}: name a --field to write it anyway"
            )
        chosen[0].attribute.save(out)
        stderr.print(f"{chosen[0].name}: in {out}, for --remove @{out}", soft_wrap=True)


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read queries from {path}: {error}") from error


def _print(report: AuditReport) -> None:
    """Print a table of what was measured, a sentence for each that is rewarded, and what could not be measured."""
    table = Table(title=f"{report.documents:,} documents: share of pairs about the same in which it comes first")
    for column in ("attribute", "pairs", "first", "p", "without", "features", "random", "stay"):
        left = column == "attribute"
        table.add_column(
            column, justify="left" if left else "right", overflow="fold" if left else "ellipsis", no_wrap=not left
        )
    for one in report.suspicions:
        first, *others = one.checks
        own, random = [f"{check.share:.2f}" for check in others] or ["", ""]
        p = "<.001" if one.p < 0.001 else f"{one.p:.3f}"
        figures = (f"{one.share:.2f}", p, f"{first.share:.2f}", own, random, f"{first.overlap:.2f}")
        table.add_row(one.name, str(one.pairs), *figures)
    if report.suspicions:
        console.print(table)
    for one in report.rewarded:
        console.print(one.verdict, soft_wrap=True)
        carried = [
            f"{carrier.feature} {carrier.high:.0%} : {carrier.low:.0%}"
            for carrier in one.carriers
            if abs(carrier.high - carrier.low) >= CARRIES
        ]
        named = ", ".join(carried) or "none alone"
        console.print(f"  features that carry it, with and without: {named}", style="dim", soft_wrap=True)
    if not report.rewarded:
        console.print("nothing found: no attribute comes first more often than chance")
    for name, why in report.skipped.items():
        console.print(f"not measured: {name} ({why})", style="dim", soft_wrap=True)
