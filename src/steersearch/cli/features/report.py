"""`sae features report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...errors import BundleError
from .._common import BundlePath, Json, print_json, stderr


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
