"""`sae features export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...errors import BundleError
from ..console import stderr
from ..options import BundlePath, Json
from ..output import print_json


def export(
    feature: Annotated[
        str | None, typer.Argument(help="One feature: f412 or its label. Without one, all of them.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="All features: .csv or .jsonl. What makes one fire: .json, .dot or .svg."),
    ] = Path("features.csv"),
    bundle: BundlePath = Path("bundle"),
    json: Json = False,
) -> None:
    """Write all features as a table, or the words that make one feature fire as a graph.

    Examples: `sae features export --out features.csv`, `sae features export f412 --out f412.svg`
    """
    from ...runtime import Bundle
    from ...runtime.interpret.export import export_feature, export_features

    opened = Bundle.load(bundle)
    if feature is None:
        export_features(opened.features, out)
        written = len(opened.features)
    else:
        export_feature(opened, feature, out)
        written = 1
    if json:
        print_json({"out": str(out), "features": written})
        return
    stderr.print(f"{out}: {written:,} features" if feature is None else f"{out}: {opened.features.get(feature)}")


def report(
    bundle: BundlePath = Path("bundle"),
    out: Annotated[Path, typer.Option("--out", "-o", help="The page; it is replaced when it is there.")] = Path(
        "report.html"
    ),
    json: Json = False,
) -> None:
    """Write one page with all features: a table, a map, and a section for each. It needs no network to be read.

    Example: `sae features report --out report.html`
    """
    from ...runtime import Bundle
    from ...runtime.interpret.report import write_report

    opened = Bundle.load(bundle)
    if opened.interpretation is None:
        raise BundleError(f"{bundle} was never interpreted: sae features label --bundle {bundle} --data docs.jsonl")
    write_report(opened.interpretation, opened.features, out, title=f"Features on {opened.interpretation.corpus}")
    if json:
        print_json({"report": str(out), "bytes": out.stat().st_size})
        return
    stderr.print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, open it in a browser")
