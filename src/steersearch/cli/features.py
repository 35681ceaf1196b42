"""`sae features`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from ._common import BundlePath, Json, console, print_json


def features(
    phrase: Annotated[
        str | None, typer.Argument(help="A phrase to find features for, or one feature: f412 or its label.")
    ] = None,
    bundle: BundlePath = Path("bundle"),
    limit: Annotated[int, typer.Option("-n", help="Features to list.")] = 20,
    json: Json = False,
) -> None:
    """List the features of a bundle, find those for a phrase, or show one.

    Examples: `sae features`, `sae features "network sockets"`, `sae features f412`
    """
    from steersearch.runtime import Bundle

    opened = Bundle.load(bundle)
    one = opened.features.find(phrase) if phrase else None
    if phrase is None:
        found = sorted(opened.features, key=lambda f: (-f.density, f.id))[:limit]
    else:
        found = [one] if one else opened.features.search(phrase, limit)
    if json:
        print_json([_as_json(feature) for feature in found])
        return
    for feature in found:
        share = f"{feature.density:.2%} of documents" if feature.p95 else "never fires"
        about = f"[dim]{share}, typical {feature.p95:.2f}[/dim]"
        console.print(f"[bold]{feature.name:>6}[/bold]  {escape(feature.label or '-')}  {about}")
    if one:
        console.print(f"        words: {escape(', '.join(one.keywords))}")
        for example in one.examples:
            console.print(f"        · {escape(example)}")


def _as_json(feature: Any) -> dict[str, Any]:
    names = ("id", "name", "label", "density", "mean", "p95", "max", "keywords", "examples")
    return {name: getattr(feature, name) for name in names}
