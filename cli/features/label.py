"""`sae features label`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ...errors import ConfigError
from ..console import stderr
from ..embedders import (
    EmbedderDimensions,
    EmbedderModel,
    EmbedderUrl,
    MaxTexts,
    announce,
    brought,
    report_calls,
)
from ..live import progress_bars
from ..options import BundlePath, Json
from ..output import print_json

if TYPE_CHECKING:
    from ...arrays import FloatArray
    from ...runtime import Bundle
    from ...runtime.bundle.interpretation import Entry
    from ...runtime.interpret.pipeline import InterpretationResult

Data = Annotated[
    Path | None, typer.Option("--data", help="Documents: .jsonl(.gz), .csv, .txt, a folder of texts, or a BEIR folder.")
]
Index = Annotated[
    Path | None, typer.Option("--index", "-i", help="An index of this bundle: its documents are embedded already.")
]
KINDS = ("reads_and_steers", "only_reads", "only_steers", "neither")
"""Shares of features: what their labels say is where they fire, what a boost of them brings, both or neither."""
Model = Annotated[
    str | None,
    typer.Option(help="Let a language model propose labels, as provider:name. It is sent passages of your documents."),
]


def label(
    bundle: BundlePath = Path("bundle"),
    data: Data = None,
    index: Index = None,
    model: Model = None,
    candidates: Annotated[int, typer.Option(help="With --model: labels to propose per feature.")] = 3,
    max_calls: Annotated[int | None, typer.Option(help="With --model: stop after so many calls.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="With --model: stop before using more tokens.")] = None,
    timeout: Annotated[float, typer.Option(help="With --model: seconds to wait for an answer.")] = 60.0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the search for decisive words, which takes most of the time.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Chooses the random documents that labels are tested on.")] = 0,
    embedder_url: EmbedderUrl = None,
    embedder_model: EmbedderModel = None,
    embedder_dimensions: EmbedderDimensions = None,
    max_texts: MaxTexts = None,
    json: Json = False,
) -> None:
    """Find out what every latent stands for: labels, patterns, examples, each with a score on held-out documents.

    Runs where the bundle runs, without torch or a network. Labels are made from one half of the documents and tested
    on the other; a latent whose label does not pass is called unclear. Stopped runs go on where they were. Edits that
    people made stay.

    Examples: `sae features label --data docs.jsonl`, `sae features label --index index`,
    `sae features label --data docs.jsonl --model openai:gpt-5-mini --max-calls 500`
    """
    from ...runtime import Bundle
    from ...runtime.interpret import interpret, save

    if (data is None) == (index is None):
        raise ConfigError("give the documents either with --data FILE or with --index FOLDER")
    embedder = brought(embedder_url, embedder_model, embedder_dimensions, max_texts)
    opened = Bundle.load(bundle, embedder=embedder)
    documents = _from_index(opened, index) if index else _from_data(data)
    most = _most_texts(opened, documents, quick) + (0 if model is None else candidates * opened.n_latents)
    announce(opened, most, "documents, phrases and sentences")
    with progress_bars() as show:
        found = interpret(
            opened,
            documents.ids,
            documents.texts,
            corpus=documents.name,
            queries=documents.queries,
            embeddings=documents.embeddings,
            seed=seed,
            patterns=not quick,
            progress=show,
        )
    summary: dict[str, Any] = {}
    if model is not None:
        found, summary = _relabel(opened, found, model, candidates, max_calls, max_tokens, timeout)
    save(opened, found)
    report_calls(opened)
    _report(bundle, found, summary, json)


class _Documents(NamedTuple):
    """The documents that latents are interpreted on."""

    ids: list[str]
    texts: list[str]
    name: str
    queries: list[str]
    """Queries of the corpus; may be empty."""
    embeddings: FloatArray | None
    """Unit rows, shape (n, d_in), where they are known already."""


def _from_data(data: Path | None) -> _Documents:
    from ...corpus import Corpus

    corpus = Corpus.open(data or "")
    documents = list(corpus.documents())
    queries = list(dict.fromkeys(query for query, _ in corpus.pairs()))
    return _Documents([d.id for d in documents], [d.text for d in documents], corpus.name, queries, None)


def _from_index(bundle: Bundle, path: Path) -> _Documents:
    from ...runtime import SteerableIndex

    with SteerableIndex.open(path, bundle=bundle) as index:
        ids, texts, rows = index.documents()
    return _Documents(ids, texts, path.resolve().name, [], rows)


def _most_texts(bundle: Bundle, documents: _Documents, quick: bool) -> int:
    """Return an upper estimate of the texts that labelling embeds; see `interpret.pipeline`."""
    from ...noun_phrases.nouns import common_nouns
    from ...runtime.interpret.names.candidates import MOST
    from ...runtime.interpret.pipeline import TEXTS_PER_LATENT
    from ...runtime.interpret.steering_test import QUERIES

    whole = 0 if documents.embeddings is not None else len(documents.texts)
    phrases = MOST + len(common_nouns())
    return whole + phrases + TEXTS_PER_LATENT[not quick] * bundle.n_latents + len(documents.queries) + QUERIES


def _relabel(
    bundle: Bundle,
    found: InterpretationResult,
    model: str,
    candidates: int,
    max_calls: int | None,
    max_tokens: int | None,
    timeout: float,
) -> tuple[InterpretationResult, dict[str, Any]]:
    """Return the interpretation with the labels of a language model where they are better, and what that took."""
    from ...embedding_cache import default_cache_dir
    from ...integrations.labeling.run import label_with_model
    from ...runtime.interpret.pipeline import (
        can_be_scored,
        prepare_labels,
        training_auc,
        with_labels,
        with_training_scores,
    )

    with progress_bars() as show:
        outcome = label_with_model(
            model,
            # The most frequent first, so that a cap leaves out the rarest.
            sorted(with_training_scores(found), key=lambda entry: -entry.fires),
            lambda latent, text: training_auc(bundle, found, latent, text),
            candidates=candidates,
            cache=default_cache_dir() / "labels.jsonl",
            max_calls=max_calls,
            max_tokens=max_tokens,
            timeout=timeout,
            on_progress=lambda done, total: show("ask the model", done, total),
            prepare=lambda texts: prepare_labels(bundle, texts),
            can_score=lambda latent: can_be_scored(found, latent),
        )
    labels = {latent: candidate.text for latent, candidate in outcome.labels.items()}
    counts = {name: getattr(outcome, name) for name in ("calls", "cached", "input_tokens", "output_tokens", "stopped")}
    return with_labels(bundle, found, labels, outcome.model), {
        "model": outcome.model,
        "labels": len(labels),
        **counts,
        "skipped": {f"f{latent}": why for latent, why in outcome.skipped.items()},
    }


def _report(bundle: Path, found: InterpretationResult, model: dict[str, Any], json: bool) -> None:
    """Print how many latents have a label, and what a language model did; `model` is empty without one."""
    entries = found.interpretation.entries
    alive = [entry for entry in entries if entry.active]
    clear = [entry for entry in alive if not entry.unclear]
    figures = {
        "bundle": str(bundle),
        "documents": found.interpretation.documents,
        "latents": len(entries),
        "alive": len(alive),
        "clear": len(clear),
        "unclear": len(alive) - len(clear),
        "median_label_auc": _median([entry.score.auc for entry in alive if entry.score]),
        "median_pattern_auc": _median([entry.pattern_score.auc for entry in alive if entry.pattern_score]),
        "median_steers": _median([entry.steers.score for entry in alive if entry.steers]),
        **_reading_and_steering(alive),
        "families": len(found.interpretation.families),
    }
    if json:
        print_json(figures | ({"asked": model} if model else {}))
        return
    stderr.print(
        f"{bundle}: {figures['alive']:,} of {figures['latents']:,} latents fire on {figures['documents']:,} documents; "
        f"{figures['clear']:,} have a label that tells where, {figures['unclear']:,} are unclear"
    )
    if figures["median_label_auc"] is not None:
        stderr.print(
            f"held-out AUC, median: {figures['median_label_auc']:.2f} from the label, "
            f"{figures['median_pattern_auc']:.2f} from the words of a text (Neuron-to-Graph)"
        )
    if figures["median_steers"] is not None:
        both, reads, steers, neither = (f"{figures[name]:.0%}".replace("%", " %") for name in KINDS)
        stderr.print(
            f"steers, median: {figures['median_steers']:.2f} with a boost; of those that could be tested {both} read "
            f"and steer, {reads} only read, {steers} only steer, {neither} do neither"
        )
    if model:
        skipped = model["skipped"]
        stderr.print(
            f"{model['model']}: {model['labels']:,} better labels; {model['calls']:,} calls, {model['cached']:,} from "
            f"the cache, {model['input_tokens'] + model['output_tokens']:,} tokens"
        )
        if model["stopped"]:
            stderr.print(model["stopped"])
        for name, why in list(skipped.items())[:5]:
            stderr.print(f"skipped {name}: {why}")
        if len(skipped) > 5:
            stderr.print(f"and {len(skipped) - 5:,} more; all with --json")
    stderr.print(f"next: sae features --bundle {bundle}, sae features report --bundle {bundle} --out report.html")


def _reading_and_steering(entries: Sequence[Entry]) -> dict[str, float]:
    """Return the shares of the features that read, steer, or both, of those of which both was measured."""
    measured = [(not entry.unclear, entry.steers.holds) for entry in entries if entry.score and entry.steers]
    kinds = ((True, True), (True, False), (False, True), (False, False))
    counts = {name: measured.count(kind) for name, kind in zip(KINDS, kinds, strict=True)}
    return {name: round(count / max(len(measured), 1), 4) for name, count in counts.items()}


def _median(values: Sequence[float]) -> float | None:
    return round(float(median(values)), 4) if values else None
