"""`sae search` and `sae explain`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .choices import choice
from .console import console, harmless, stderr
from .embedders import EmbedderDimensions, EmbedderModel, EmbedderUrl, brought
from .highlights import marked_sentence, words_json
from .options import (
    BlendOption,
    BoostOption,
    ClampOption,
    ExcludeOption,
    IndexPath,
    Json,
    KeepOption,
    MovedBundle,
    ProfileOption,
    ProtectOption,
    QueriesOption,
    RemoveOption,
    UnderstandOption,
    parse_boost,
    parse_clamp,
    parse_exclude,
    parse_fusion,
    read_steering,
)
from .output import (
    concept_json,
    hit_json,
    part_json,
    print_concepts,
    print_hits,
    print_json,
    print_request,
    print_side_by_side,
    term_json,
)

if TYPE_CHECKING:
    from ..runtime import Bundle, Hit, SteerableIndex, SteeredQuery, TermValue

Query = Annotated[str, typer.Argument(help="What to look for.")]


def search(
    query: Query,
    index: IndexPath = Path("index"),
    bundle: MovedBundle = None,
    k: Annotated[int, typer.Option("-k", help="Results.")] = 5,
    boost: BoostOption = None,
    exclude: ExcludeOption = None,
    remove: RemoveOption = None,
    understand: UnderstandOption = False,
    clamp: ClampOption = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            help="Boost what this document (an id of the index, or a text) is about; may be repeated, and all of them "
            "are one concept."
        ),
    ] = None,
    unlike: Annotated[
        list[str] | None, typer.Option(help="With --like: what the concept is not, an id or a text; may be repeated.")
    ] = None,
    blend: BlendOption = "both",
    keep: KeepOption = None,
    protect: ProtectOption = False,
    save_concept: Annotated[
        Path | None,
        typer.Option(help="Write what the one --boost, or --like, became as JSON: edit it, then --boost @FILE."),
    ] = None,
    filter: Annotated[
        str | None, typer.Option(help='Metadata conditions as JSON: \'{"year": {"$gte": 2025}}\'.')
    ] = None,
    view: Annotated[
        str, choice("VIEW", help="What is compared; words is BM25, hybrid is dense, latent and words together.")
    ] = "dense",
    fusion: Annotated[
        str,
        typer.Option(help="How hybrid joins its views: rrf, by rank, or weights like dense=.4,latent=.2,words=.4."),
    ] = "rrf",
    idf: Annotated[
        bool, typer.Option("--idf", help="In the latent view, let features that few documents have count more.")
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Plain and steered results side by side, with what moved and which features did."
        ),
    ] = False,
    highlight: Annotated[
        bool,
        typer.Option("--highlight", help="The sentence of each result that made it match, its strongest words marked."),
    ] = False,
    group: Annotated[
        str | None,
        typer.Option(
            help="One result for each `document`, its best chunk, or for each value of a metadata field such as "
            "`source`."
        ),
    ] = None,
    profile: ProfileOption = "fast",
    embedder_url: EmbedderUrl = None,
    embedder_model: EmbedderModel = None,
    embedder_dimensions: EmbedderDimensions = None,
    queries: QueriesOption = "transformer",
    json: Json = False,
) -> None:
    """Search an index, and steer what comes first.

    `sae search "solar storms" --boost "radio astronomy" --compare`

    `sae search "solar storms" --boost "radio astronomy=.5" --exclude satellites` makes it count half, and leaves out
    what is about satellites

    `sae search "solar storms, but not satellites" --understand` reads of the words what should be less

    `sae search "solar storms" --like doc-7 --like doc-9 --unlike doc-2 --save-concept radio.json` makes a concept of
    examples, and `--boost @radio.json` uses it again
    """
    from ..runtime import SteerableIndex
    from ..runtime.store.filters import read_filter

    boosts, clamps, where = parse_boost(boost), parse_clamp(clamp), read_filter(filter, "--filter")
    excluded, removed = parse_exclude(exclude), parse_exclude(remove, "--remove")
    how = parse_fusion(fusion)
    if not query.strip():
        raise ConfigError('the query is empty: give what you look for, as in sae search "solar storms"')
    if unlike and not like:
        raise ConfigError("--unlike is the contrast of --like: give at least one --like")
    embedder = brought(embedder_url, embedder_model, embedder_dimensions)
    how_to_open: dict[str, Any] = {"profile": profile, "embedder": embedder, "queries": queries}
    with SteerableIndex.open(index, bundle=bundle, **how_to_open) as opened:
        how_to: dict[str, Any] = {
            "exclude": excluded,
            "remove": removed,
            "blend": blend,
            "keep": keep,
            "protect": protect,
        }
        steering = read_steering(opened.bundle, boosts, clamps, like=like or (), unlike=unlike or (), **how_to)
        steered = opened.steer(query, steering=steering, understand=understand)
        search_with = partial(opened.search, k=k, filter=where, view=view, fusion=how, idf=idf, group=group)
        hits = search_with(steered, compare=compare, highlight=highlight)
        plain = search_with(steered.unsteered) if compare else []
        if save_concept:
            _save(save_concept, steered, opened.bundle)
        terms = _terms(opened, steered, hits, view)
        if json:
            concepts = [concept_json(*pair) for pair in (*steered.boosted, *steered.clamped)]
            body: dict[str, Any] = {"query": query, "kept": steered.alone.kept, "concepts": concepts}
            body["excluded"] = [concept_json(concept) for concept in steered.excluded]
            body["removed"] = [one.name for one in steered.removed]
            body["request"] = steered.request.to_dict() if steered.request else None
            body["hits"] = [
                hit_json(hit) | {"terms": [term_json(term) for term in terms.get(hit.id, ())]} for hit in hits
            ]
            print_json(body | ({"plain": [hit_json(hit) for hit in plain]} if compare else {}))
            return
        print_request(steered)
        print_concepts(steered, opened.bundle.features)
        if compare:
            print_side_by_side(plain, hits)
        else:
            print_hits(hits, terms)


def explain(
    query: Query,
    id: Annotated[str, typer.Argument(help="The document's id, as `sae search` prints it.")],
    index: IndexPath = Path("index"),
    bundle: MovedBundle = None,
    boost: BoostOption = None,
    exclude: ExcludeOption = None,
    remove: RemoveOption = None,
    understand: UnderstandOption = False,
    clamp: ClampOption = None,
    blend: BlendOption = "both",
    keep: KeepOption = None,
    protect: ProtectOption = False,
    words: Annotated[bool, typer.Option("--words", help="Also what each word of the document adds.")] = False,
    profile: ProfileOption = "fast",
    embedder_url: EmbedderUrl = None,
    embedder_model: EmbedderModel = None,
    embedder_dimensions: EmbedderDimensions = None,
    queries: QueriesOption = "transformer",
    json: Json = False,
) -> None:
    """Take a document's dense score apart: what the query, each concept and each feature adds to it.

    The parts of the query and the concepts add up to the score, and so do those of the features, and of the words.
    """
    from ..runtime import SteerableIndex

    boosts, clamps, excluded = parse_boost(boost), parse_clamp(clamp), parse_exclude(exclude)
    removed = parse_exclude(remove, "--remove")
    embedder = brought(embedder_url, embedder_model, embedder_dimensions)
    how_to_open: dict[str, Any] = {"profile": profile, "embedder": embedder, "queries": queries}
    with SteerableIndex.open(index, bundle=bundle, **how_to_open) as opened:
        how_to: dict[str, Any] = {
            "exclude": excluded,
            "remove": removed,
            "blend": blend,
            "keep": keep,
            "protect": protect,
        }
        steering = read_steering(opened.bundle, boosts, clamps, **how_to)
        steered = opened.steer(query, steering=steering, understand=understand)
        explanation = opened.explain(steered, id, words=words)
    if json:
        parts, terms = [part_json(part) for part in explanation.parts], [term_json(term) for term in explanation.terms]
        body = {"id": id, "score": explanation.score, "rest": explanation.rest, "parts": parts, "terms": terms}
        body["removed"] = [{"name": one.name, "contribution": one.value} for one in explanation.removed]
        body["request"] = steered.request.to_dict() if steered.request else None
        print_json(body | ({} if explanation.words is None else {"words": words_json(explanation.words)}))
        return
    print_request(steered)
    for line in str(explanation).split("\n"):
        console.print(line)
    if explanation.words and explanation.words.sentence:
        console.print(harmless("best sentence: ").append_text(marked_sentence(explanation.words)), soft_wrap=True)


def _terms(
    index: SteerableIndex, steered: SteeredQuery, hits: Sequence[Hit], view: str
) -> dict[str, Sequence[TermValue]]:
    """Return by id what the query and each concept add to the scores; only concepts do so alike in every view."""
    if not steered.terms:
        return {}
    found = index.explain_all(steered, [hit.id for hit in hits])
    return {one.id: one.terms if view == "dense" else one.terms[1:] for one in found}


def _save(path: Path, steered: SteeredQuery, bundle: Bundle) -> None:
    """Write the one concept that is boosted; that none is, or several are, is a `ConfigError`."""
    if len(steered.boosted) != 1:
        raise ConfigError(
            f"--save-concept writes one concept, and this search boosts {len(steered.boosted)}: boost one"
        )
    concept = steered.boosted[0][0]
    concept.save(path, bundle)
    stderr.print(f"{concept.name}: {len(concept.weights)} features in {path}")
