"""From documents to an `Interpretation`, and from there to one with other labels.

Labels and patterns are made from the training documents and scored on the held-out ones. Embeddings are cached, so an
interrupted run continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ...arrays import FloatArray, IntArray, unit_rows
from ...embedding_cache import Side, default_cache_dir, embed_cached
from ...errors import ConfigError
from ...sequences import as_list
from ..bundle.bundle import Bundle
from ..bundle.interpretation import Entry, Interpretation, Passage, Pattern, SteeringScore
from .encoded_documents import EncodedDocuments, centred_rows, firing_directions, firing_statistics, largest
from .families import find_families
from .names.candidates import Candidates, find_candidates
from .names.features import name_features, said_of
from .names.label import Label
from .names.namer import Namer
from .names.word_table import WordTable
from .neuron2graph import Calibration, TokenModel, calibrate, fit_token_model
from .occlusion import find_patterns, occlude
from .passages import further_passages, near_miss_passages, select_sentences, sentence_passage
from .positions import map_positions
from .scoring import EvaluationSplit, score, score_directions, select_splits
from .steering_test import NeutralQueries, SteeringTest, steer_all
from .tree import build_tree, name_group

Progress = Callable[[str, int, int], None]
"""Called with (name of the step, done, in all)."""
QUERIES = 3
SIMILAR = 8
BLOCK = 512
TEXTS_PER_LATENT = {False: 5, True: 31}
"""Texts that are embedded for a latent at most, without and with `patterns`, besides documents, phrases and queries:
its label, sentences (`passages`), and with patterns their parts, what is left without a part, and substitutes."""


@dataclass(frozen=True)
class InterpretationResult:
    """The result of `interpret`; `storage.save` puts it into the bundle."""

    interpretation: Interpretation
    token_model: TokenModel
    calibration: Calibration
    documents: EncodedDocuments
    phrases: Candidates
    labels: list[Label | None]
    """One per latent; None for a latent without one."""
    splits: list[EvaluationSplit | None]
    """The documents of each latent's test; None where it fires on no held-out document."""
    steering: SteeringTest
    """What boosting each latent brings, to score other labels by."""


def interpret(
    bundle: Bundle,
    ids: Sequence[str],
    texts: Sequence[str],
    *,
    corpus: str,
    queries: Sequence[str] = (),
    embeddings: FloatArray | None = None,
    cache_dir: Path | None = None,
    seed: int = 0,
    patterns: bool = True,
    progress: Progress | None = None,
) -> InterpretationResult:
    """Find out what every latent of a bundle means on a corpus, and how certain that is.

    Args:
        bundle: The bundle.
        ids: Ids of the documents; they decide which documents are held out.
        texts: The documents, at least 20.
        corpus: Name of the corpus.
        queries: Real queries, to show those on which a latent is strongest.
        embeddings: Of the documents by this bundle, unit rows of shape (n, d_in), where they are known.
        cache_dir: Where embeddings are kept between runs; the user's cache folder by default.
        seed: Chooses the random negatives of the tests.
        patterns: Search for salient words in the strongest sentences, which takes most of the time. Labels, scores and
            the predictions of `Neuron2Graph` do not depend on it.
        progress: Called during every step.

    Raises:
        ConfigError: `seed` is negative.
        DataError: Too few documents, or documents that are not texts.
        StorageError: The cache cannot be written.
    """
    if seed < 0:
        raise ConfigError(f"seed is {seed}: it must be a whole number of at least 0")
    report = progress or (lambda step, done, total: None)
    ids, texts, queries = as_list(ids, "ids"), as_list(texts, "texts"), as_list(queries, "queries")
    embed = CachedEmbedder(bundle, cache_dir or default_cache_dir(), report)
    rows = embed(texts, "read documents") if embeddings is None else embeddings
    documents = EncodedDocuments.encode(bundle, ids, texts, rows)
    statistics = list(firing_statistics(documents))
    training = ~documents.held_out
    phrases = find_candidates(documents.texts, training, partial(embed, step="read phrases"))
    splits = select_splits(documents, seed)
    words = WordTable(documents.texts)
    namer = Namer(phrases, words, documents.centred)
    labels = name_features(documents, splits, bundle.atoms, namer, report)
    tokens = bundle.tokenise(documents.texts)
    fit = partial(
        fit_token_model, [row for row, on in zip(tokens, training, strict=True) if on], documents.centred[training]
    )
    report("weigh words", 0, 2)
    model = fit([], np.empty((0, bundle.d_in), np.float32))
    report("weigh words", 1, 2)
    tested = [split is not None for split in splits]
    selection = select_sentences(bundle, model, documents, statistics, tested, embed, report)
    sentences = [sentence for _, sentence in selection.selected]
    patterns_of: dict[int, tuple[Pattern, ...]] = {}
    if patterns:
        sentences = occlude(bundle, model, sentences, embed)
        patterns_of = find_patterns(bundle, sentences, phrases, documents.typical, embed)
    passages: dict[int, list[Passage]] = {}
    for (row, _), sentence in zip(selection.selected, sentences, strict=True):
        shown = passages.setdefault(sentence.latent, [])
        # Documents that repeat each other have the same sentence.
        if all(passage.text != sentence.text for passage in shown):
            shown.append(sentence_passage(documents, row, sentence))
    model = fit(bundle.tokenise(selection.texts), centred_rows(selection.embeddings), selection.means)
    report("weigh words", 2, 2)
    predicted = model.directions(tokens)
    directions = [label.direction if label else None for label in labels]
    label_scores = [
        replace(found, said=said) if found else None
        for found, said in zip(
            score_directions(splits, documents.centred, directions), said_of(labels, documents, words), strict=True
        )
    ]
    pattern_scores = score_directions(splits, predicted, bundle.atoms)
    neutral = NeutralQueries.choose(bundle, documents, queries, partial(embed, step="read queries", side="queries"))
    steering = steer_all(bundle, documents, splits, predicted, neutral, seed, partial(report, "boost features"))
    names = [label.text if label else None for label in labels]
    steers = _score_steering(steering, names, partial(embed, step="read labels"))
    strongest_queries = _strongest_queries(bundle, queries, embed, documents)
    similar = _similar(bundle.atoms)
    entries = tuple(
        Entry(
            latent=f,
            phrases=label.phrases if (label := labels[f]) else (),
            label=label.text if label else None,
            description=label.description if label else "",
            score=label_scores[f],
            pattern_score=pattern_scores[f],
            steers=steers[f],
            fires=statistics[f].fires,
            active=statistics[f].active,
            quantiles=statistics[f].quantiles,
            top=(*(top := passages.get(f, [])), *further_passages(documents, statistics[f], top)),
            near_misses=near_miss_passages(documents, statistics[f].near_misses),
            queries=strongest_queries.get(f, ()),
            companions=statistics[f].companions,
            similar=similar[f],
            patterns=patterns_of.get(f, ()),
        )
        for f in range(bundle.n_latents)
    )
    means = firing_directions(documents, range(bundle.n_latents))
    means = unit_rows(np.where(np.abs(means).max(1, keepdims=True) > 0, means, bundle.atoms))
    families = find_families([rows for rows, _ in documents.firing], bundle.atoms)
    interpretation = Interpretation(
        corpus=corpus,
        documents=len(documents),
        covered=coverage(entries, documents),
        families=families,
        positions=tuple((round(float(x), 4), round(float(y), 4)) for x, y in map_positions(means)),
        entries=entries,
        settings={"seed": seed},
        tree=build_tree(means, documents, families, partial(_name_group, means, phrases)),
    )
    calibration = _calibrate(bundle, documents, splits, predicted)
    return InterpretationResult(interpretation, model, calibration, documents, phrases, labels, splits, steering)


def with_labels(
    bundle: Bundle, result: InterpretationResult, labels: Mapping[int, str], source: str
) -> InterpretationResult:
    """Return the result with other labels for some latents, scored on the held-out documents.

    `source` says where the labels come from, for example the name of a language model.
    """
    entries = list(result.interpretation.entries)
    prepare_labels(bundle, labels.values())
    names = [labels.get(latent) for latent in range(len(entries))]
    steers = _score_steering(result.steering, names, bundle.embed_documents)
    for latent, text in labels.items():
        split = result.splits[latent]
        measured = None
        if split is not None:
            predicted = split.project(result.documents.centred, label_direction(bundle, result, text))
            measured = score(predicted, split.held_out, split.training)
        entries[latent] = replace(
            entries[latent], label=text, phrases=(text,), source=source, score=measured, steers=steers[latent]
        )
    changed = replace(result.interpretation, entries=tuple(entries), covered=coverage(entries, result.documents))
    return replace(result, interpretation=changed)


def with_training_scores(result: InterpretationResult) -> Iterable[Entry]:
    """Yield the entries with the scores of their labels on the training documents.

    The best of several labels must be chosen by these scores: chosen on the held-out documents, its score there would
    be too high.
    """
    for entry, label, split in zip(result.interpretation.entries, result.labels, result.splits, strict=True):
        measured = None
        if label is not None and split is not None and len(split.training.positives):
            predicted = split.project(result.documents.centred, label.direction)
            measured = score(predicted, split.training, split.held_out)
        yield replace(entry, score=measured)


def can_be_scored(result: InterpretationResult, latent: int) -> bool:
    """Return whether a latent fires on any of the training documents."""
    split = result.splits[latent]
    return split is not None and len(split.training.positives) > 0


def training_auc(bundle: Bundle, result: InterpretationResult, latent: int, text: str) -> float | None:
    """Return the AUC of a text as a latent's label on the training documents; None where it fires on none of them."""
    split = result.splits[latent]
    if split is None or not can_be_scored(result, latent):
        return None
    predicted = split.project(result.documents.centred, label_direction(bundle, result, text))
    return score(predicted, split.training, split.held_out).auc


def label_direction(bundle: Bundle, result: InterpretationResult, text: str) -> FloatArray:
    """Return the direction of a label, shape (d_in,): the sum of its parts between commas, as for automatic labels."""
    total: FloatArray = unit_rows(bundle.embed_documents(_parts(text)) - result.phrases.mean).sum(0)
    return total


def prepare_labels(bundle: Bundle, labels: Iterable[str]) -> None:
    """Embed labels that are scored in a moment together, where each call of the embedder costs."""
    bundle.prefetch([part for label in labels for part in (label, *_parts(label))], [])


def _parts(label: str) -> list[str]:
    return [part.strip() for part in label.split(",") if part.strip()] or [label]


def coverage(entries: Sequence[Entry], documents: EncodedDocuments) -> tuple[float, float, float]:
    """Return the shares of the documents on which at least 1, 3 and 10 features with a clear label fire."""
    counts = np.zeros(len(documents), np.int64)
    for entry, (rows, _) in zip(entries, documents.firing, strict=True):
        if not entry.unclear:
            counts[rows] += 1
    one, three, ten = (round(float((counts >= n).mean()), 4) for n in (1, 3, 10))
    return one, three, ten


@dataclass(frozen=True)
class CachedEmbedder:
    """A bundle's embedder behind the embedding cache; the names are those that `embed_cached` expects."""

    bundle: Bundle
    folder: Path
    progress: Progress

    @property
    def fingerprint(self) -> str:
        """Everything but the text that an embedding depends on."""
        return f"bundle {self.bundle.manifest.embedder_digest}"

    @property
    def d_in(self) -> int:
        """Width of the embeddings."""
        return self.bundle.d_in

    @property
    def max_length(self) -> int:
        """Tokens of a text that are read."""
        return self.bundle.manifest.max_length

    @property
    def query_prefix(self) -> str:
        """Prefix of every query."""
        return self.bundle.manifest.query_prefix

    @property
    def document_prefix(self) -> str:
        """Prefix of every document."""
        return self.bundle.manifest.document_prefix

    def embed_queries(self, texts: Sequence[str]) -> FloatArray:
        """Embed queries: unit rows, shape (n, d_in), float32."""
        return self.bundle.embed_queries(list(texts))

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Embed documents: unit rows, shape (n, d_in), float32."""
        return self.bundle.embed_documents(list(texts))

    def __call__(self, texts: Sequence[str], step: str, side: Side = "documents") -> FloatArray:
        """Embed texts through the cache; phrases and parts of documents count as documents."""
        return embed_cached(self, texts, side=side, cache_dir=self.folder, progress=partial(self.progress, step))


def _score_steering(
    steering: SteeringTest, labels: Sequence[str | None], embed: Callable[[list[str]], FloatArray]
) -> list[SteeringScore | None]:
    """Score what boosting each latent does, by its label; None without one."""
    texts = sorted({label for label in labels if label})
    if not texts:
        return [None] * len(labels)
    rows, places = embed(texts), {text: i for i, text in enumerate(texts)}
    return steering.scores(labels, rows[[places[label] if label else 0 for label in labels]])


def _name_group(means: FloatArray, phrases: Candidates, latents: IntArray, taken: frozenset[str], branch: bool) -> str:
    """Name a group of latents; one for which there is no phrase is called after its first latent."""
    direction = unit_rows(means[latents].sum(0)[None])[0]
    return name_group(direction, phrases, taken, branch=branch) or f"like f{latents[0]}"


def _calibrate(
    bundle: Bundle, documents: EncodedDocuments, splits: Sequence[EvaluationSplit | None], predicted: FloatArray
) -> Calibration:
    slope, offset = np.zeros(bundle.n_latents, np.float32), np.zeros(bundle.n_latents, np.float32)
    for f, split in enumerate(splits):
        if split is not None and len(split.training.positives):
            activations = np.zeros(len(documents), np.float32)
            rows, values = documents.active[f]
            activations[rows] = values / documents.typical[f]
            slope[f], offset[f] = calibrate(split.project(predicted, bundle.atoms[f]), activations, split.training)
    return Calibration(slope, offset)


def _strongest_queries(
    bundle: Bundle, queries: Sequence[str], embed: CachedEmbedder, documents: EncodedDocuments
) -> dict[int, tuple[tuple[str, float], ...]]:
    """Return latent -> the queries on which it is strongest, with its activations in typical units."""
    if not queries:
        return {}
    indices, values = bundle.encode(embed(queries, "read queries", "queries"))
    strengths = values / np.maximum(documents.typical[indices], 1e-12)
    active: dict[int, list[tuple[float, str]]] = {}
    for query, latents, row in zip(queries, indices, strengths, strict=True):
        for latent, strength in zip(latents, row, strict=True):
            if strength > 0 and documents.typical[latent] > 0:
                active.setdefault(int(latent), []).append((-float(strength), query))
    return {f: tuple((q, round(-s, 3)) for s, q in sorted(ranked)[:QUERIES]) for f, ranked in active.items()}


def _similar(atoms: FloatArray) -> list[tuple[tuple[int, float], ...]]:
    """Return the latents with the nearest atoms and their cosines, for each latent."""
    similar = []
    for start in range(0, len(atoms), BLOCK):
        cosines = atoms[start : start + BLOCK] @ atoms.T
        for i, row in enumerate(cosines):
            row[start + i] = -np.inf
            similar.append(tuple((int(f), round(float(row[f]), 3)) for f in largest(row, SIMILAR)))
    return similar
