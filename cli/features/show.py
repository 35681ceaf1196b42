"""`sae features list`, `search`, `similar`, and `show`, which puts one feature on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer
from rich.table import Table
from rich.text import Text

from ...errors import ConfigError, UnknownFeatureError
from ...text import one_line, visible
from ..console import console, harmless, stderr
from ..options import BundlePath, Json
from ..output import print_json
from .output import feature_json, frequency_bar, passage_line, print_features

if TYPE_CHECKING:
    from ...runtime import Bundle, Feature, Features
    from ...runtime.bundle.interpretation import Interpretation, Pattern, Score, SteeringScore

TOP, NEAR_MISSES, QUERIES, PATTERNS, OTHERS = 8, 3, 3, 5, 3
"""Lines of a block: strongest passages, near misses, queries, patterns, and other features."""
MARGIN = 13
"""Columns of the headings at the left."""
Row: TypeAlias = tuple[str, Text]
"""A heading, empty below the first line of a block, and a line."""

Limit = Annotated[int, typer.Option("-n", min=1, help="Features to print.")]


def list_features(
    bundle: BundlePath = Path("bundle"),
    by: Annotated[
        Literal["usefulness", "density", "score", "label", "family"],
        typer.Option(
            help="Order: most useful first, which is how surely the label reads, times how well the feature steers, "
            "times how often it fires; most frequent first; best label first; or by name."
        ),
    ] = "usefulness",
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
    found.sort(key=lambda feature: (-feature.frequency, feature.id))
    if by == "usefulness":
        found.sort(key=lambda feature: feature.usefulness, reverse=True)
    elif by == "score":
        # By what the score is at least: from one document, 1.00 means little.
        found.sort(key=lambda feature: feature.reads, reverse=True)
    elif by == "label":
        found.sort(key=lambda feature: (feature.label is None, (feature.label or "").casefold()))
    elif by == "family":
        found.sort(key=lambda feature: (feature.id not in families, families.get(feature.id, "").casefold()))
    shown = found[:limit]
    if json:
        further = [{"family": families.get(feature.id)} if families else {} for feature in shown]
        print_json([feature_json(feature) | more for feature, more in zip(shown, further, strict=True)])
        return
    print_features(shown, [("family", [families.get(feature.id, "") for feature in shown])] if families else [])
    if len(found) > limit:
        stderr.print(f"{limit} of {len(found):,}: -n {len(found)} prints all", style="dim")


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
        _print(features.search(phrase, limit), json)
        return
    typical = features.search_examples(examples, limit)
    _print([feature for feature, _ in typical], json, excess=[round(excess, 3) for _, excess in typical])


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
    _print([each.feature for each in found], json, cosine=cosines, together=lifts)


def show(
    feature: Annotated[str, typer.Argument(metavar="FEATURE", help="f412, or its label.")],
    bundle: BundlePath = Path("bundle"),
    json: Json = False,
) -> None:
    """What is known about one feature: how well its label holds, how often it fires, and on what.

    In passages the words are marked without which it would fire less, and underlined the shortest span that makes it
    fire. `--json` has all of it. Example: `sae features show f412`
    """
    from ...runtime import Bundle
    from ...runtime.bundle.interpretation import entry_to_json

    opened = Bundle.load(bundle)
    shown = opened.features.get(feature)
    found = opened.interpretation
    if json:
        print_json(feature_json(shown) | {"interpretation": entry_to_json(found.entries[shown.id]) if found else None})
        return
    rows = [*_names(shown, opened.features), *(_interpreted(shown, found, opened.features) if found else _plain(shown))]
    if not found and shown.p95:
        near = opened.features.similar(shown.id, OTHERS)
        rows += _block("similar", [harmless(f"{each.cosine:5.2f} {each.feature}") for each in near])
    console.print(str(shown), style="bold")
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", width=MARGIN - 1, no_wrap=True)
    # Without a limit, rich makes room for long lines by cutting the headings.
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(20, console.width - MARGIN))
    for heading, text in rows:
        table.add_row(heading, text)
    console.print(table)
    if not found:
        stderr.print(f"more: sae features label --bundle {bundle} --data docs.jsonl", style="dim")


def _print(found: list[Feature], json: bool, **figures: Sequence[float | None]) -> None:
    """Print features with further figures, each a column with a number per feature."""
    if json:
        further = [{name: values[i] for name, values in figures.items()} for i in range(len(found))]
        print_json([feature_json(feature) | more for feature, more in zip(found, further, strict=True)])
        return
    columns = [(name, ["" if v is None else f"{v:g}" for v in values]) for name, values in figures.items()]
    print_features(found, columns)


def _families(opened: Bundle) -> dict[int, str]:
    """Return latent -> the name of its family."""
    from ...runtime.interpret.families import named_families

    found = opened.interpretation
    named = named_families(opened.features, found)
    return {latent: name for name, latents in named.items() for latent in latents}


def _family(opened: Bundle, families: dict[int, str], key: str) -> str:
    """Return the name of a family, given by its name or by a feature of it; raise when there is none."""
    names = {name.casefold(): name for name in families.values()}
    if key.strip().casefold() in names:
        return names[key.strip().casefold()]
    feature = opened.features.find(key)
    if feature is None or feature.id not in families:
        raise UnknownFeatureError(f"there is no family {key!r}: see `sae features list --by family`")
    return families[feature.id]


def _names(feature: Feature, features: Features) -> Iterator[Row]:
    """Yield what people changed about a feature, and what it is called without that."""
    before = features.unedited[feature.id]
    if feature.renamed or feature.hidden:
        yield (
            "hidden" if feature.hidden else "renamed",
            harmless(f"before: {before.label or before.guess or 'no label'}"),
        )
    elif feature.guess:
        yield "best guess", harmless(feature.guess)
    if feature.family:
        yield "family", harmless(feature.family)
    if feature.note:
        yield "note", harmless(one_line(feature.note, 400))


def _plain(feature: Feature) -> Iterator[Row]:
    """Yield what is known from the reference corpus of the export alone."""
    yield "frequency", _frequency(feature.density, "documents of the reference corpus")
    if feature.p95:
        yield "activation", harmless(f"mean {feature.mean:.2f}, typical {feature.p95:.2f}, largest {feature.max:.2f}")
    yield from _block("words", [harmless(", ".join(feature.keywords))] if feature.keywords else [])
    yield from _block("strongest", [harmless(one_line(example, 400)) for example in feature.examples])


def _interpreted(feature: Feature, found: Interpretation, features: Features) -> Iterator[Row]:
    """Yield what an interpretation found."""
    entry = found.entries[feature.id]
    if entry.description and not feature.renamed:
        yield "about", harmless(entry.description)
    if not feature.renamed:
        yield "label", _score(entry.score)
        if entry.steers is not None:
            yield from _block("steers", _steers(entry.steers))
    yield "patterns", _score(entry.pattern_score)
    fires = f"documents of {found.corpus}; fires on {entry.fires:,} of {found.documents:,}"
    yield "frequency", _frequency(entry.active / max(found.documents, 1), fires)
    if entry.active:
        median, upper, high, typical, largest = entry.quantiles
        parts = f"half {median:.2f}, 75 % {upper:.2f}, 90 % {high:.2f}, typical {typical:.2f}, largest {largest:.2f}"
        yield "activation", harmless(parts)
    yield from _block("fires on", [_pattern(pattern) for pattern in entry.patterns[:PATTERNS]])
    width, marks = console.width - MARGIN - 6, console.is_terminal
    top = [harmless(f"{p.activation:5.2f} ").append(passage_line(p, width, styled=marks)) for p in entry.top[:TOP]]
    yield from _block("strongest", top)
    near = [harmless("      ").append(passage_line(p, width, styled=marks)) for p in entry.near_misses[:NEAR_MISSES]]
    yield from _block("not on", near)
    yield from _block("queries", [harmless(f"{value:5.2f} {one_line(q, 400)}") for q, value in entry.queries[:QUERIES]])
    yield from _block("fires with", _others(entry.companions, features, "×{:.1f}"))
    yield from _block("similar", _others(entry.similar, features, "{:.2f}"))


def _score(score: Score | None) -> Text:
    from ...runtime.bundle.feature import format_share
    from ...runtime.bundle.interpretation import CHANCE

    if score is None:
        return harmless("not measured: it fires on no held-out document")
    found = (
        f"AUC {format_share(score.auc)} on held-out documents: {score.positives} on which it fires, against near "
        f"misses {format_share(score.auc_near)}, against random ones {format_share(score.auc_random)}"
    )
    return harmless(found if score.p_value <= CHANCE else f"{found}; may be chance, p = {score.p_value:.2f}")


def _steers(found: SteeringScore) -> list[Text]:
    from ...runtime.bundle.feature import format_share

    def share(value: float) -> str:
        return f"{100 * value:.0f} %"

    lines = [
        f"{format_share(found.score)}: so often a boost brings more of it than a boost of another feature does",
        f"of the first ten {share(found.boosted)} have it with a boost, {share(found.plain)} without, "
        f"{share(found.random)} with another feature, {share(found.text)} with its name added to the query",
    ]
    if found.before is not None and found.after is not None:
        lines.append(f"of the nearest to texts that have it {share(found.before)}, clamped to 0 {share(found.after)}")
    return [harmless(line) for line in lines]


def _frequency(share: float, of: str) -> Text:
    if not share:
        return harmless(f"{frequency_bar(0)} never active on the {of}")
    return harmless(f"{frequency_bar(share)} active on {share:.2%} of the {of}")


def _pattern(pattern: Pattern) -> Text:
    support = f"  in {pattern.support}" if pattern.support > 1 else ""
    return harmless(f"{pattern.weight:5.2f} ").append(visible(str(pattern)), "bold").append(support, "dim")


def _others(others: tuple[tuple[int, float], ...], features: Features, form: str) -> list[Text]:
    shown = [(features[latent], value) for latent, value in others if not features[latent].hidden]
    return [harmless(f"{form.format(value):>5} {feature}") for feature, value in shown[:OTHERS]]


def _block(heading: str, lines: list[Text]) -> Iterator[Row]:
    """Yield lines under one heading, which is printed beside the first."""
    yield from ((heading if i == 0 else "", line) for i, line in enumerate(lines))
