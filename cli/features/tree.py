"""`sae features tree`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ...errors import UnknownFeatureError
from ...text import visible
from ..console import console, harmless, stderr
from ..options import BundlePath, Json
from ..output import print_json
from .output import feature_json, print_features

if TYPE_CHECKING:
    from ...runtime import Features
    from ...runtime.bundle.feature_tree import FeatureGroup, Tree

INDENT = 3
"""Columns by which a level stands to the right."""


def tree(
    node: Annotated[
        str | None, typer.Argument(help="A branch or a family to open; a feature opens the family it is in.")
    ] = None,
    bundle: BundlePath = Path("bundle"),
    depth: Annotated[int, typer.Option(min=1, max=3, help="Levels to print: branches, families, features.")] = 1,
    json: Json = False,
) -> None:
    """Browse the features: a few dozen branches, families in each, features in those.

    The share is that of the documents that belong to a branch or a family; together they are all documents.

    Examples: `sae features tree`, `sae features tree --depth 2`, `sae features tree "heart disease"`
    """
    from ...runtime import Bundle
    from ...runtime.bundle.feature_tree import find_group, group_of
    from ...runtime.interpret.families import edited_tree

    opened = Bundle.load(bundle)
    found = edited_tree(opened.features, opened.interpretation)
    if not found:
        raise UnknownFeatureError(
            f"{bundle} has no tree: make one with `sae features label --bundle {bundle} --data docs.jsonl`"
        )
    if node is not None:
        group = find_group(found, node)
        if group is None:
            feature = opened.features.find(node)
            group = None if feature is None else group_of(found, feature.id)
        if group is None:
            raise UnknownFeatureError(
                f"the tree has no branch, family or feature called {node!r}: see `sae features tree --depth 2`"
            )
        found = (group,)
        # What was asked for is opened: its children are shown.
        depth = max(depth, 2)
    if json:
        print_json([_json(group, opened.features, depth) for group in found])
        return
    if node is not None and found[0].latents:
        _print_family(found[0], opened.features)
        return
    _print(found, opened.features, depth)
    if node is None and depth == 1:
        stderr.print(f'open one: sae features tree "{visible(found[0].name)}" --bundle {bundle}', style="dim")


def _print(groups: Tree, features: Features, depth: int) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", overflow="fold")
    table.add_column("features", justify="right", no_wrap=True)
    table.add_column("documents", justify="right", no_wrap=True)
    for level, name, count, share in _rows(groups, features, depth):
        style = "bold" if level == 0 else "" if count else "dim"
        table.add_row(harmless((" " * INDENT * level, ""), (name, style)), f"{count:,}" if count else "", _share(share))
    console.print(table)


def _rows(groups: Tree, features: Features, depth: int, level: int = 0) -> Iterator[tuple[int, str, int, float | None]]:
    """Yield level, name, number of features and share of documents; a feature has no number."""
    for group in groups:
        yield level, group.name, len(group.members), group.share
        if depth > level + 1:
            yield from _rows(group.children, features, depth, level + 1)
            for latent in group.latents:
                feature = features[latent]
                yield level + 1, str(feature), 0, feature.frequency


def _print_family(group: FeatureGroup, features: Features) -> None:
    console.print(_heading(group))
    print_features(sorted((features[latent] for latent in group.latents), key=lambda one: (-one.usefulness, one.id)))


def _heading(group: FeatureGroup) -> Text:
    of = "" if group.share is None else f", {group.share:.2%} of the documents"
    return harmless((group.name, "bold"), (f"  {len(group.latents)} features{of}", "dim"))


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def _json(group: FeatureGroup, features: Features, depth: int) -> dict[str, Any]:
    """Return a group as JSON values, to `depth` levels; deeper ones are counted only."""
    plain: dict[str, Any] = {"name": group.name, "share": group.share, "features": len(group.members)}
    if depth > 1:
        plain |= {"children": [_json(child, features, depth - 1) for child in group.children]} if group.children else {}
        plain |= {"members": [feature_json(features[latent]) for latent in group.latents]} if group.latents else {}
    return plain
