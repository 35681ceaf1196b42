"""From documents to an `Interpretation`: the steps in their order.

What labels and patterns are made of comes from one half of the documents, what they are scored on from the other.
Embeddings are cached, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ...arrays import FloatArray, unit_rows
from ...embedding_cache import default_cache_dir, embed_cached
from ..bundle.bundle import Bundle
from ..bundle.interpretation import Entry, Interpretation, Passage, Pattern
from .families import find_families
from .labels import Label, Phrases, frequent_phrases, label_direction, make_unique
from .neuron2graph import Calibration, TokenModel, calibrate, fit_token_model
from .occlusion import find_patterns, occlude
from .passages import as_passage, choose_sentences, more_passages, near_passages
from .positions import map_positions
from .reading import Evidence, Reading, centred_rows, gather, mean_documents
from .scoring import Pair, choose_trials, score, score_directions


def as_candidates_see_them(found: Interpreted) -> Iterable[Entry]:
    """The entries with the AUC of their labels on the documents that labels are made from.

    Whoever proposes several labels and keeps the best must choose there: the best of many on the held-out documents
    would look better than it is.
    """
    for entry, label, pair in zip(found.interpretation.entries, found.labels, found.trials, strict=True):
        known = None
        if label is not None and pair is not None and len(pair.seen.positives):
            known = score(pair.along(found.reading.centred, label.direction), pair.seen, pair.held_out)
        yield replace(entry, score=known)


def score_candidate(bundle: Bundle, found: Interpreted, latent: int, text: str) -> float | None:
    """AUC of a text as label on the documents that labels are made from; None where it fires on none of them."""
    pair = found.trials[latent]
    if pair is None or not len(pair.seen.positives):
        return None
    return score(pair.along(found.reading.centred, direction_of(bundle, found, text)), pair.seen, pair.held_out).auc


def direction_of(bundle: Bundle, found: Interpreted, text: str) -> FloatArray:
    """What a label stands for, shape (d_in,): the sum of its parts between commas, as with automatic labels."""
    parts = [part.strip() for part in text.split(",") if part.strip()] or [text]
    total: FloatArray = unit_rows(bundle.embed(parts) - found.phrases.mean).sum(0)
    return total


def with_labels(bundle: Bundle, found: Interpreted, labels: Mapping[int, str], source: str) -> Interpreted:
    """The interpretation with other labels for some latents, scored on the held-out documents.

    Args:
        bundle: Embeds.
        found: What `interpret` gave.
        labels: Latent -> its new label.
        source: Who made them.
    """
    entries = list(found.interpretation.entries)
    for latent, text in labels.items():
        pair = found.trials[latent]
        measured = None
        if pair is not None:
            predicted = pair.along(found.reading.centred, direction_of(bundle, found, text))
            measured = score(predicted, pair.held_out, pair.seen)
        entries[latent] = replace(entries[latent], label=text, phrases=(text,), source=source, score=measured)
    changed = replace(found.interpretation, entries=tuple(entries), covered=coverage(entries, found.reading))
    return replace(found, interpretation=changed)


Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, in all)."""
QUERIES = 3
SIMILAR = 8


@dataclass(frozen=True)
class CachedEmbedder:
    """A bundle's embedder with the cache of embeddings in front of it; `embed_cached` wants these names."""

    bundle: Bundle
    folder: Path
    progress: Progress

    @property
    def fingerprint(self) -> str:
        """What an embedding depends on besides the text."""
        return f"bundle {self.bundle.manifest.embedder_digest}"

    @property
    def d_in(self) -> int:
        """Width of the embeddings."""
        return self.bundle.d_in

    @property
    def max_length(self) -> int:
        """Tokens that are read of a text."""
        return self.bundle.manifest.max_length

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Unit rows, shape (n, d_in), float32."""
        return self.bundle.embed(list(texts))

    def __call__(self, texts: Sequence[str], stage: str) -> FloatArray:
        """The same from the cache, or into it."""
        return embed_cached(self, texts, cache_dir=self.folder, progress=partial(self.progress, stage))


@dataclass(frozen=True)
class Interpreted:
    """What `interpret` finds; `storage.save` puts it into the bundle."""

    interpretation: Interpretation
    token_model: TokenModel
    calibration: Calibration
    reading: Reading
    phrases: Phrases
    labels: list[Label | None]
    trials: list[Pair | None]


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
) -> Interpreted:
    """Find out what every latent of a bundle stands for on a corpus, and how sure that is.

    Args:
        bundle: The bundle.
        ids: Ids of the documents; they decide which half a document is in.
        texts: The documents, at least 20.
        corpus: What people call the corpus.
        queries: Queries that people have asked, to show those a latent answers to.
        embeddings: Of the documents by this bundle, unit rows of shape (n, d_in), where they are known.
        cache_dir: Where embeddings are kept between runs; the user's cache folder by default.
        seed: Chooses the random negatives of the trials.
        patterns: Look for the words that matter in the strongest sentences, which takes most of the time. Labels,
            scores and what `Neuron2Graph` predicts are the same without.
        progress: Told about every step.

    Raises:
        DataError: Too few documents, or documents that are not texts.
        StorageError: The cache cannot be written.
    """
    say = progress or (lambda stage, done, total: None)
    embed = CachedEmbedder(bundle, cache_dir or default_cache_dir(), say)
    reading = Reading.of(bundle, ids, texts, embed(texts, "read documents") if embeddings is None else embeddings)
    evidence = list(gather(reading))
    seen = ~reading.held_out
    names = frequent_phrases([text for text, on in zip(reading.texts, seen, strict=True) if on])
    rows = embed(names, "read phrases")
    phrases = Phrases(names, centred_rows(rows), rows.mean(0, dtype=np.float32))
    trials = choose_trials(reading, seed)
    labels = _labels(bundle, phrases, evidence, say)
    tokens = bundle.tokenise(reading.texts)
    fit = partial(fit_token_model, [row for row, on in zip(tokens, seen, strict=True) if on], reading.centred[seen])
    say("weigh words", 0, 2)
    model = fit([], np.empty((0, bundle.d_in), np.float32))
    say("weigh words", 1, 2)
    chosen = choose_sentences(bundle, model, reading, evidence, [pair is not None for pair in trials], embed)
    founds = [found for _, found in chosen.places]
    tries: dict[int, tuple[Pattern, ...]] = {}
    if patterns:
        founds = occlude(bundle, model, founds, embed)
        tries = find_patterns(bundle, founds, phrases, reading.typical, embed)
    passages: dict[int, list[Passage]] = {}
    for (row, _), found in zip(chosen.places, founds, strict=True):
        passages.setdefault(found.latent, []).append(as_passage(reading, row, found))
    model = fit(bundle.tokenise(chosen.texts), centred_rows(chosen.embeddings))
    say("weigh words", 2, 2)
    predicted = model.directions(tokens)
    label_scores = score_directions(trials, reading.centred, [label.direction if label else None for label in labels])
    pattern_scores = score_directions(trials, predicted, bundle.atoms)
    order = sorted(range(bundle.n_latents), key=lambda f: (-evidence[f].fires, f))
    unique = make_unique(labels, order)
    asked = _queries(bundle, queries, embed, reading)
    similar = _similar(bundle.atoms)
    entries = tuple(
        Entry(
            latent=f,
            phrases=label.phrases if (label := labels[f]) else (),
            label=unique[f],
            score=label_scores[f],
            pattern_score=pattern_scores[f],
            fires=evidence[f].fires,
            active=evidence[f].active,
            quantiles=evidence[f].quantiles,
            top=(*(mine := passages.get(f, [])), *more_passages(reading, evidence[f], mine)),
            near_misses=near_passages(reading, evidence[f].near_misses),
            queries=asked.get(f, ()),
            companions=evidence[f].companions,
            similar=similar[f],
            patterns=tries.get(f, ()),
        )
        for f in range(bundle.n_latents)
    )
    firing = [rows for rows, _ in reading.firing]
    middles = mean_documents(reading, range(bundle.n_latents))
    middles = unit_rows(np.where(np.abs(middles).max(1, keepdims=True) > 0, middles, bundle.atoms))
    interpretation = Interpretation(
        corpus=corpus,
        documents=len(reading),
        covered=coverage(entries, reading),
        families=find_families(firing, bundle.atoms),
        positions=tuple((round(float(x), 4), round(float(y), 4)) for x, y in map_positions(middles)),
        entries=entries,
        settings={"seed": seed},
    )
    calibration = _calibrate(bundle, reading, trials, predicted)
    return Interpreted(interpretation, model, calibration, reading, phrases, labels, trials)


def _labels(bundle: Bundle, phrases: Phrases, evidence: Sequence[Evidence], say: Progress) -> list[Label | None]:
    labels: list[Label | None] = []
    for f in range(bundle.n_latents):
        labels.append(label_direction(bundle.atoms[f], phrases) if evidence[f].fires and phrases.texts else None)
        if f % 64 == 63 or f == bundle.n_latents - 1:
            say("name features", f + 1, bundle.n_latents)
    return labels


def _calibrate(bundle: Bundle, reading: Reading, trials: list[Pair | None], predicted: FloatArray) -> Calibration:
    slope, offset = np.zeros(bundle.n_latents, np.float32), np.zeros(bundle.n_latents, np.float32)
    for f, pair in enumerate(trials):
        if pair is not None and len(pair.seen.positives):
            activations = np.zeros(len(reading), np.float32)
            rows, values = reading.active[f]
            activations[rows] = values / reading.typical[f]
            slope[f], offset[f] = calibrate(pair.along(predicted, bundle.atoms[f]), activations, pair.seen)
    return Calibration(slope, offset)


def _queries(
    bundle: Bundle, queries: Sequence[str], embed: CachedEmbedder, reading: Reading
) -> dict[int, tuple[tuple[str, float], ...]]:
    """Latent -> the queries on which it is strongest."""
    if not queries:
        return {}
    indices, values = bundle.encode(embed(queries, "read queries"))
    strengths = values / np.maximum(reading.typical[indices], 1e-12)
    found: dict[int, list[tuple[float, str]]] = {}
    for query, latents, row in zip(queries, indices, strengths, strict=True):
        for latent, strength in zip(latents, row, strict=True):
            if strength > 0 and reading.typical[latent] > 0:
                found.setdefault(int(latent), []).append((-float(strength), query))
    return {f: tuple((q, round(-s, 3)) for s, q in sorted(mine)[:QUERIES]) for f, mine in found.items()}


def _similar(atoms: FloatArray, block: int = 512) -> list[tuple[tuple[int, float], ...]]:
    """Per latent those with the nearest atoms, and the cosines."""
    found = []
    for start in range(0, len(atoms), block):
        cosines = atoms[start : start + block] @ atoms.T
        for i, row in enumerate(cosines):
            row[start + i] = -np.inf
            best = np.argpartition(-row, min(SIMILAR, len(row) - 1))[:SIMILAR]
            best = best[np.argsort(-row[best], kind="stable")]
            found.append(tuple((int(f), round(float(row[f]), 3)) for f in best if np.isfinite(row[f])))
    return found


def coverage(entries: Sequence[Entry], reading: Reading) -> tuple[float, float, float]:
    """Shares of the documents on which at least 1, 3 and 10 features with a clear label fire."""
    counts = np.zeros(len(reading), np.int64)
    for entry, (rows, _) in zip(entries, reading.firing, strict=True):
        if not entry.unclear:
            counts[rows] += 1
    one, three, ten = (round(float((counts >= n).mean()), 4) for n in (1, 3, 10))
    return one, three, ten
