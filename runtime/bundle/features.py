"""The features of a bundle: reading, lookup by key, and search by words, meaning or examples."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import FloatArray, unit_rows
from ...errors import BundleError, ConfigError, DataError, UnknownFeatureError
from ...text import described, shown
from .autoencoder import Autoencoder
from .feature import Feature, latent_id
from .passage_words import PassageWords
from .reading import MALFORMED, check_version, read_json
from .word_index import WordIndex, words_of

FORMAT_VERSION = 1
CO_FIRING = 0.5
"""Similarity of latents that only ever fire together; equal atoms have 1."""
MAX_BYTES, BYTES_PER_LATENT = 2**20, 2**16
"""Of features.json: a latent with ten examples takes some 2,000."""
LARGEST = 1e30
"""Of a statistic; float32 ends at 3.4e38."""
CONTRAST_WORDS = 64
"""Words whose mean embedding represents what all short texts have in common."""
WORDS = 0.5
"""Weight of the words of labels in a search for a phrase, beside 1 for the passages and 1 for the atom."""
UNSURE = 0.6
"""What the findings for a feature count whose label does not hold, beside 1 for one whose label surely does; and for
one that is rare."""
RARE = 3
"""Documents on which a feature fires that is no longer rare."""
LONGEST_KEY = 200
"""Characters of a text that are compared with the spelling of labels."""


@dataclass(frozen=True)
class Similar:
    """A feature that is similar to another one."""

    feature: Feature
    cosine: float
    """Of the two atoms, -1 to 1."""
    lift: float | None
    """How many times more often than by chance the two fire together; None where unknown."""


class Features(Sequence[Feature]):
    """The features of a bundle, one per latent, in the order of their ids. Searches do not find hidden ones.

    Args:
        features: One per latent.
        reference_mean: Mean embedding of the reference corpus, shape (d_in,), float32.
        embed: Embeds texts as documents, (n, d_in) unit float32; without it, searches compare words only.
        autoencoder: Encoder and atoms; given together with `embed`.
        companions: Latent -> latents that fire with it -> how many times more often than by chance; none by default.
        passages: Returns the strongest passages of every latent, which searches for a phrase look through; None
            without an interpretation.
        unedited: The features without the users' edits; the same ones by default.
        by_meaning: False where `embed` has no embedder behind it: then searches for a phrase compare words only.
    """

    def __init__(
        self,
        features: Sequence[Feature],
        reference_mean: FloatArray,
        embed: Callable[[list[str]], FloatArray] | None = None,
        autoencoder: Autoencoder | None = None,
        companions: Callable[[int], Mapping[int, float]] | None = None,
        *,
        passages: Callable[[], PassageWords | None] | None = None,
        unedited: Sequence[Feature] | None = None,
        by_meaning: bool = True,
    ) -> None:
        self._by_meaning = by_meaning
        self._features = tuple(features)
        self.reference_mean = reference_mean
        self.typical: FloatArray = np.array([f.p95 for f in features], np.float32)
        """Typical activation per latent, shape (n_latents,): its 95th percentile; 0 for one that is never active."""
        self.inert = frozenset(f.id for f in features if f.inert)
        """Latents that were measured not to bring what their labels say."""
        self.unedited: tuple[Feature, ...] = self._features if unedited is None else tuple(unedited)
        """The features without the users' edits."""
        self._by_label = {f.label.casefold(): f for f in features if f.label}
        self._embed, self._autoencoder, self._companions = embed, autoencoder, companions
        self._passages = passages

    def __len__(self) -> int:
        return len(self._features)

    def __iter__(self) -> Iterator[Feature]:
        return iter(self._features)

    def __getitem__(self, item: Any) -> Any:
        return self._features[item]

    def __repr__(self) -> str:
        return described("Features", f"{len(self):,} latents", f"{len(self._by_label):,} with a label")

    def _repr_html_(self) -> str:
        from ...display.features import features_html

        return features_html(self, f"{len(self):,} latents, {len(self._by_label):,} with a label")

    def find(self, key: int | str) -> Feature | None:
        """Return the feature of a latent id (`412`, `"f412"`, `"412"`) or of a label in any case; None without one.

        Raises:
            UnknownFeatureError: A latent id outside the bundle.
        """
        latent = latent_id(key)
        if latent is None:
            return self._by_label.get(str(key).strip().casefold())
        if not 0 <= latent < len(self):
            raise UnknownFeatureError(
                f"there is no latent {shown(key)}: this bundle has {len(self)}, f0 to f{len(self) - 1}; see "
                "`sae features`"
            )
        return self._features[latent]

    def get(self, key: int | str) -> Feature:
        """Return the feature of a key, as `find` does.

        Raises:
            UnknownFeatureError: No such feature; the message names the nearest ones.
        """
        feature = self.find(key)
        if feature is None:
            near = ", ".join(str(f) for f in self.nearest(str(key))) or "none"
            raise UnknownFeatureError(f"there is no feature called {shown(key)}; nearest: {near}")
        return feature

    def nearest(self, text: str, limit: int = 3) -> list[Feature]:
        """Return features whose label is spelled similarly to the text or shares words with it."""
        # The comparison takes time for every character, and no label is as long.
        key = text.strip()[:LONGEST_KEY].casefold()
        close = [self._by_label[label] for label in difflib.get_close_matches(key, self._by_label, n=limit, cutoff=0.5)]
        close += self._ranked(self._words.scores(text))
        return list({feature.id: feature for feature in close}.values())[:limit]

    def with_words(self, text: str) -> set[int]:
        """Return the latents that have all words of a text, in any form, in their label or keywords."""
        latents = [{f.id for f in self._ranked(self._words.scores(word))} for word in words_of(text)]
        return set.intersection(*latents) if latents else set()

    def words_for(self, latents: Iterable[int]) -> list[str]:
        """Return a word for each latent that has any: its first keyword, else its label or guess."""
        unedited = (self.unedited[latent] for latent in latents)
        texts = [text for f in unedited for text in (f.keywords[:1] or (f.label, f.guess)) if text]
        return [text.split(",")[0] for text in texts]

    def search(self, text: str, limit: int = 10) -> list[Feature]:
        """Find features for a phrase: the one with that label, then those that are most about it.

        What counts is the cosine of a feature's atom to the phrase, the words that its label shares with it, and the
        share of its strongest passages that have them. Features whose label holds come before those that are unclear.
        """
        if not text.strip():
            return []
        scores = {latent: WORDS * score for latent, score in self._words.scores(text).items()}
        passages = self._passages() if self._passages is not None else None
        if passages is not None:
            shares = passages.shares(text)
            for latent in np.flatnonzero(shares).tolist():
                scores[latent] = scores.get(latent, 0.0) + float(shares[latent])
        if self._by_meaning and self._embed is not None and self._autoencoder is not None:
            # Without the contrast, the latents for "a short text" would win for every phrase.
            direction = self._embed([text])[0] - self._contrast
            cosines = self._autoencoder.atoms @ unit_rows(direction[None])[0]  # (n_latents,)
            for latent in np.flatnonzero((cosines > 0) & (self.typical > 0)).tolist():
                scores[latent] = scores.get(latent, 0.0) + float(cosines[latent])
        for latent in scores:
            feature = self._features[latent]
            scores[latent] *= UNSURE + (1 - UNSURE) * feature.reads
            if feature.fires is not None and feature.fires < RARE:
                scores[latent] *= UNSURE
        named = self.find(text) if latent_id(text) is None else None
        if named is not None:
            scores[named.id] = math.inf
        return self._ranked(scores)[:limit]

    def search_examples(self, examples: Sequence[str] | FloatArray, limit: int = 10) -> list[tuple[Feature, float]]:
        """Find features that are typical of example documents: texts, or unit embeddings of shape (n, d_in).

        Returns:
            Features, most typical first, and how much more active they are on the examples than on the reference
            corpus: the difference of the mean activations, in units of the typical activation.

        Raises:
            DataError: No examples, or not texts or embeddings of this bundle.
        """
        embed, autoencoder = self._model()
        if isinstance(examples, str) or not len(examples):
            raise DataError(f"examples are {examples!r}: give a list of texts, or embeddings of shape (n, d_in)")
        rows = unit_rows(examples) if isinstance(examples, np.ndarray) else embed(list(examples))
        indices, values = autoencoder.encode(rows)
        sums = np.bincount(indices.ravel(), values.ravel().astype(np.float64), minlength=len(self))
        excess: dict[int, float] = {}
        for latent in np.flatnonzero((sums > 0) & (self.typical > 0)):
            feature = self._features[latent]
            difference = float(sums[latent]) / len(rows) - feature.density * feature.mean
            if difference > 0:
                excess[feature.id] = difference / feature.p95
        return [(feature, excess[feature.id]) for feature in self._ranked(excess)[:limit]]

    def similar(self, key: int | str, limit: int = 10) -> list[Similar]:
        """Find similar features: by their atoms and, in an interpreted bundle, by the documents on which they fire.

        The similarity is the cosine of the atoms plus half the share of common firings that chance does not explain.

        Raises:
            UnknownFeatureError: No such feature.
        """
        feature, (_, autoencoder) = self.get(key), self._model()
        cosines = autoencoder.atoms @ autoencoder.atoms[feature.id]  # (n_latents,)
        lifts = self._companions(feature.id) if self._companions else {}
        similarity = {other.id: float(cosines[other.id]) for other in self if other.p95 > 0}
        similarity.pop(feature.id, None)
        for latent in lifts.keys() & similarity.keys():
            similarity[latent] += CO_FIRING * (1 - 1 / max(lifts[latent], 1.0))
        ranked = self._ranked(similarity)[:limit]
        return [Similar(other, float(cosines[other.id]), lifts.get(other.id)) for other in ranked]

    def with_edited(self, edited: Sequence[Feature]) -> Features:
        """Return a copy with edited features; its `unedited` is the same."""
        return Features(
            edited,
            self.reference_mean,
            self._embed,
            self._autoencoder,
            self._companions,
            passages=self._passages,
            unedited=self.unedited,
            by_meaning=self._by_meaning,
        )

    def _ranked(self, scores: Mapping[int, float]) -> list[Feature]:
        """Return the features that have a score and are not hidden, best first."""
        latents = sorted(scores, key=lambda latent: (-scores[latent], latent))
        return [self._features[latent] for latent in latents if not self._features[latent].hidden]

    def _model(self) -> tuple[Callable[[list[str]], FloatArray], Autoencoder]:
        if self._embed is None or self._autoencoder is None:
            raise ConfigError("these features belong to no bundle: use those of Bundle.load(...).features")
        return self._embed, self._autoencoder

    @cached_property
    def _words(self) -> WordIndex:
        return WordIndex(self._features)

    @cached_property
    def _contrast(self) -> FloatArray:
        """Mean embedding of words of the features, shape (d_in,); of the reference corpus when there are too few."""
        words = self.words_for(range(len(self)))
        if len(words) < CONTRAST_WORDS:
            return self.reference_mean
        mean: FloatArray = self._model()[0](words[:: len(words) // CONTRAST_WORDS]).mean(0, dtype=np.float32)
        return mean


def read_features(path: Path, *, n_latents: int, d_in: int) -> tuple[list[Feature], FloatArray]:
    """Read features.json.

    Returns:
        One feature per latent, and the mean embedding of the reference corpus, shape (d_in,), float32.

    Raises:
        FormatVersionError: It was written by a newer steersearch.
        BundleError: It cannot be read, or does not fit the bundle.
    """
    try:
        raw = read_json(path, MAX_BYTES + BYTES_PER_LATENT * n_latents + 32 * d_in)
        check_version(path, raw["format_version"], FORMAT_VERSION)
        features = [_feature(entry) for entry in raw["latents"]]
        mean = np.array([_finite(number) for number in raw["reference"]["mean"] or [0.0] * d_in], np.float32)
    except MALFORMED as error:
        raise BundleError(
            f"{path} cannot be read ({type(error).__name__}: {error}): export the bundle again"
        ) from error
    if [feature.id for feature in features] != list(range(n_latents)):
        raise BundleError(
            f"{path} describes {len(features)} latents, the bundle has {n_latents}: export the bundle again"
        )
    if mean.shape != (d_in,) or not np.isfinite(mean).all():
        raise BundleError(
            f"{path} has a reference mean of shape {mean.shape}, the bundle has d_in {d_in}: export it again"
        )
    return features, mean


def _feature(entry: dict[str, Any]) -> Feature:
    density, mean, p95, largest = (_finite(entry[name]) for name in ("density", "mean", "p95", "max"))
    if not (0 <= density <= 1 and min(mean, p95, largest) >= 0):
        raise ValueError(f"latent {entry['id']} has density {density}, mean {mean}, p95 {p95}, max {largest}")
    keywords, examples = (tuple(str(text) for text in entry.get(name, ())) for name in ("keywords", "examples"))
    return Feature(
        int(entry["id"]),
        _text(entry, "label"),
        density,
        mean,
        p95,
        largest,
        keywords,
        examples,
        # A bundle that was never interpreted has none of these.
        score=_score(entry, "score"),
        support=_count(entry, "support"),
        fires=_count(entry, "fires"),
        share=_score(entry, "share"),
        pattern_score=_score(entry, "pattern_score"),
        steers=_score(entry, "steers"),
        inert=bool(entry.get("inert", False)),
        description=str(entry.get("description") or ""),
        unclear=bool(entry.get("unclear", False)),
        guess=_text(entry, "guess"),
    )


def _finite(number: Any) -> float:
    """Return a number that float32 can hold."""
    if type(number) not in (int, float) or not abs(number) < LARGEST:
        raise ValueError(f"{str(number)[:40]} is not a number below {LARGEST:g}")
    return float(number)


def _text(entry: dict[str, Any], name: str) -> str | None:
    text = entry["label"] if name == "label" else entry.get(name)
    if text is not None and not isinstance(text, str):
        raise TypeError(f"{name} of latent {entry['id']} is {text!r}")
    return text


def _count(entry: dict[str, Any], name: str) -> int | None:
    count = entry.get(name)
    if count is not None and (type(count) is not int or not 0 <= count < 2**53):
        raise ValueError(f"{name} of latent {entry['id']} is {str(count)[:40]}, expected a count")
    return count


def _score(entry: dict[str, Any], name: str) -> float | None:
    score = entry.get(name)
    if score is not None and not 0 <= score <= 1:
        raise ValueError(f"{name} of latent {entry['id']} is {score!r}, expected 0 to 1")
    return None if score is None else float(score)
