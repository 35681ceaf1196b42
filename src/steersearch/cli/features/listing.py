"""`sae features list`, `search` and `similar`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ...errors import ConfigError, UnknownFeatureError
from .._common import BundlePath, Json, print_json, stderr
from ._table import as_json, print_features

if TYPE_CHECKING:
    from ...runtime import Bundle, Feature

Limit = Annotated[int, typer.Option("-n", min=1, help="Features to print.")]


def list_features(
    bundle: BundlePath = Path("bundle"),
    by: Annotated[
        Literal["density", "score", "label", "family"],
        typer.Option(help="Order: most frequent first, best label first, or by name."),
    ] = "density",
    unclear: Annotated[
        bool | None, typer.Option("--unclear/--clear", help="Only features without, or with, a label that holds.")
    ] = None,
    hidden: Annotated[bool, typer.Option("--hidden", help="Only those that are hidden.")] = False,
    family: Annotated[str | None, typer.Option(help="Only one family: its name, or any feature of it.")] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List features.

    Examples: `sae features list --by score`, `sae features list --unclear`, `sae features list --family f412`
    """
    from ...runtime import Bundle

    opened = Bundle.load(bundle)
    families = _families(opened) if by == "family" or family is not None else {}
    found = [feature for feature in opened.features if feature.hidden == hidden]
    if unclear is not None:
        found = [feature for feature in found if (feature.label is None) == unclear]
    if family is not None:
        wanted = _family(opened, families, family)
        found = [feature for feature in found if families.get(feature.id) == wanted]
    found.sort(key=lambda feature: (-feature.density, feature.id))
    if by == "score":
        found.sort(key=lambda feature: -1.0 if feature.score is None else feature.score, reverse=True)
    elif by == "label":
        found.sort(key=lambda feature: (feature.label is None, (feature.label or "").casefold()))
    elif by == "family":
        found.sort(key=lambda feature: (feature.id not in families, families.get(feature.id, "").casefold()))
    shown = found[:limit]
    if json:
        print_json([as_json(feature) | ({"family": families.get(feature.id)} if families else {}) for feature in shown])
        return
    print_features(shown, [("family", [families.get(feature.id, "") for feature in shown])] if families else [])
    if len(found) > limit:
        stderr.print(f"[dim]{limit} of {len(found):,}: -n {len(found)} prints all[/dim]")


def search(
    phrase: Annotated[str | None, typer.Argument(help="Words of a label, or what it should be about.")] = None,
    like: Annotated[
        list[str] | None, typer.Option("--like", help="An example text instead of a phrase; may be repeated.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Example documents instead of a phrase: any file that `sae index` takes.")
    ] = None,
    bundle: BundlePath = Path("bundle"),
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """Find features for a phrase, or those that are typical of example documents.

    Examples: `sae features search "network sockets"`, `sae features search --data complaints.jsonl`
    """
    from ...corpus import Corpus
    from ...runtime import Bundle

    examples = [*(like or []), *([] if data is None else (d.text for d in Corpus.open(data).documents()))]
    if (phrase is None) == (not examples):
        raise ConfigError("search takes a phrase, or examples with --like or --data: give one of the two")
    features = Bundle.load(bundle).features
    if phrase is not None:
        found = features.search(phrase, limit)
        _print(found, [], json)
        return
    typical = features.search_examples(examples, limit)
    _print([feature for feature, _ in typical], [("excess", [round(excess, 3) for _, excess in typical])], json)


def similar(
    feature: Annotated[str, typer.Argument(help="One feature: f412 or its label.")],
    bundle: BundlePath = Path("bundle"),
    limit: Limit = 10,
    json: Json = False,
) -> None:
    """Features that point the same way, or fire on the same documents.

    `cosine` compares their directions; `together` is how many times more often than by chance both fire, known once the
    bundle was interpreted. Example: `sae features similar f412`
    """
    from ...runtime import Bundle

    found = Bundle.load(bundle).features.similar(feature, limit)
    cosines = [round(each.cosine, 3) for each in found]
    lifts = [None if each.lift is None else round(each.lift, 1) for each in found]
    _print([each.feature for each in found], [("cosine", cosines), ("together", lifts)], json)


def _print(
    found: list[Feature], figures: list[tuple[str, list[float]] | tuple[str, list[float | None]]], json: bool
) -> None:
    if json:
        further = [{name: values[i] for name, values in figures} for i in range(len(found))]
        print_json([as_json(feature) | more for feature, more in zip(found, further, strict=True)])
        return
    print_features(found, [(name, ["" if v is None else f"{v:g}" for v in values]) for name, values in figures])


def _families(opened: Bundle) -> dict[int, str]:
    """Latent -> the name of its family."""
    from ...runtime.interpret.families import named_families

    found = opened.interpretation
    named = named_families(opened.features, found.families if found else ())
    return {latent: name for name, latents in named.items() for latent in latents}


def _family(opened: Bundle, families: dict[int, str], asked: str) -> str:
    names = {name.casefold(): name for name in families.values()}
    if asked.strip().casefold() in names:
        return names[asked.strip().casefold()]
    feature = opened.features.find(asked)
    if feature is None or feature.id not in families:
        raise UnknownFeatureError(f"there is no family {asked!r}: see `sae features list --by family`")
    return families[feature.id]
