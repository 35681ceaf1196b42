"""Features: what each latent of a bundle is called, how it behaves, and how to find one."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...arrays import FloatArray
from ...errors import BundleError, FormatVersionError, UnknownFeatureError

if TYPE_CHECKING:
    from .bundle import Bundle
    from .feature_search import Finder, Similar

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Feature:
    """A latent and what is known about it from the bundle's reference corpus."""

    id: int
    """Latent id, 0 to n_latents - 1."""
    label: str | None
    """A few words, unique within the bundle; None when the latent has none, when it is unclear, and when a person hid
    it."""
    density: float
    """Share of the reference documents it is active on, 0 to 1."""
    mean: float
    """Mean activation where it is active."""
    p95: float
    """95th percentile of the activation where it is active: the unit of a boost. 0 = it never fires."""
    max: float
    """Largest activation."""
    keywords: tuple[str, ...] = ()
    """Words that its strongest texts share and few others have, most telling first."""
    examples: tuple[str, ...] = ()
    """Beginnings of its strongest texts, strongest first."""
    score: float | None = None
    """How well the label tells on held-out documents where the feature fires, an AUC: 1 always, 0.5 by chance. None
    when it was not measured, and when a person gave the label."""
    pattern_score: float | None = None
    """The same for what Neuron-to-Graph read from the texts."""
    unclear: bool = False
    """Whether no label was found that tells where it fires."""
    guess: str | None = None
    """The best words for an unclear feature."""
    renamed: bool = False
    """Whether a person gave the label."""
    hidden: bool = False
    """Whether a person hid it: it is not listed or found, but its latent still works as a key."""
    note: str = ""
    """What a person wrote about it."""
    family: str | None = None
    """The family that a person put it into."""

    @property
    def name(self) -> str:
        """`f412`, the key that always works."""
        return f"f{self.id}"

    @property
    def title(self) -> str | None:
        """The label with its score, `stem cells, .83`; or `unclear`; None when there is nothing to say."""
        if self.label is None:
            return "unclear" if self.unclear and not self.hidden else None
        return self.label if self.score is None else f"{self.label}, {short(self.score)}"

    def __str__(self) -> str:
        return f"{self.name} ({self.title})" if self.title else self.name


class Features(Sequence[Feature]):
    """The features of a bundle, one per latent, in the order of their ids.

    Args:
        features: One per latent.
        reference_mean: Mean embedding of the reference corpus, shape (d_in,), float32.
        bundle: Embeds phrases, encodes examples and knows the atoms; None searches words only.
        unedited: The features before people edited them; the same ones by default.
    """

    def __init__(
        self,
        features: Sequence[Feature],
        reference_mean: FloatArray,
        bundle: Bundle | None = None,
        *,
        unedited: Sequence[Feature] | None = None,
    ) -> None:
        self._features = tuple(features)
        self.reference_mean = reference_mean
        self.typical: FloatArray = np.array([f.p95 for f in features], np.float32)
        """Typical activation per latent, shape (n_latents,): its 95th percentile; 0 for one that never fires."""
        self.unedited: tuple[Feature, ...] = self._features if unedited is None else tuple(unedited)
        """The features before people edited them."""
        self._by_label = {f.label.casefold(): f for f in features if f.label}
        self._bundle = bundle

    def __len__(self) -> int:
        return len(self._features)

    def __iter__(self) -> Iterator[Feature]:
        return iter(self._features)

    def __getitem__(self, item: Any) -> Any:
        return self._features[item]

    def find(self, key: int | str) -> Feature | None:
        """The feature of a latent id (`412`, `"f412"`, `"412"`) or of a label, in any case; None when no label matches.

        Raises:
            UnknownFeatureError: A latent id outside the bundle.
        """
        latent = latent_id(key)
        if latent is None:
            return self._by_label.get(str(key).strip().casefold())
        if not 0 <= latent < len(self):
            raise UnknownFeatureError(
                f"there is no latent {key!r}: this bundle has {len(self)}, f0 to f{len(self) - 1}; see `sae features`"
            )
        return self._features[latent]

    def get(self, key: int | str) -> Feature:
        """Like `find`, but a label that does not exist raises and names the nearest ones.

        Raises:
            UnknownFeatureError: No such feature.
        """
        feature = self.find(key)
        if feature is None:
            near = ", ".join(str(f) for f in self.nearest(str(key))) or "none"
            raise UnknownFeatureError(f"there is no feature called {key!r}; nearest: {near}")
        return feature

    def nearest(self, text: str, limit: int = 3) -> list[Feature]:
        """Features whose label is spelled like the text or shares words with it."""
        key = text.strip().casefold()
        close = [self._by_label[label] for label in difflib.get_close_matches(key, self._by_label, n=limit, cutoff=0.5)]
        return list({feature.id: feature for feature in close + self._finder.by_words(text)}.values())[:limit]

    def with_words(self, text: str) -> set[int]:
        """Latents that have all words of a text, in any form, in their label or keywords."""
        return self._finder.with_words(text)

    def words_for(self, latents: Iterable[int]) -> list[str]:
        """What latents are about, in a word each: the most telling keyword, else the label or what was guessed."""
        return self._finder.words_for(latents)

    def search(self, text: str, limit: int = 10) -> list[Feature]:
        """Features for a phrase: the one with that label, then by its words and by how near their atoms are to it.

        Args:
            text: A word or phrase.
            limit: Features to return at most.
        """
        return self._finder.search(text, limit)

    def search_examples(self, examples: Sequence[str] | FloatArray, limit: int = 10) -> list[tuple[Feature, float]]:
        """Features that are typical of example documents.

        Args:
            examples: Texts, or unit embeddings of shape (n, d_in).
            limit: Features to return at most.

        Returns:
            Features, most typical first, and how much more active they are on the examples than on the reference
            corpus: the difference of the mean activations, in units of what is typical.

        Raises:
            DataError: No examples, or they are no texts or embeddings of this bundle.
        """
        return self._finder.search_examples(examples, limit)

    def similar(self, key: int | str, limit: int = 10) -> list[Similar]:
        """Features like one: with a near atom or, when the bundle was interpreted, that fire on the same documents.

        Likeness is the cosine of the atoms plus half the share of common firings that chance does not explain.

        Raises:
            UnknownFeatureError: No such feature.
        """
        return self._finder.similar(self.get(key), limit)

    @cached_property
    def _finder(self) -> Finder:
        from .feature_search import Finder  # which needs what is defined here

        return Finder(self, self._bundle)


def read_features(path: Path, *, n_latents: int, d_in: int, bundle: Bundle | None = None) -> Features:
    """Read features.json.

    Raises:
        FormatVersionError: It was written by a newer steersearch.
        BundleError: It cannot be read, or does not fit the bundle.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version = raw["format_version"]
        if version > FORMAT_VERSION:
            raise FormatVersionError(
                f"{path} has format_version {version}, this steersearch reads up to {FORMAT_VERSION}: "
                "pip install -U steersearch"
            )
        features = [_feature(entry) for entry in raw["latents"]]
        mean = np.array(raw["reference"]["mean"] or [0.0] * d_in, np.float32)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
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
    return Features(features, mean, bundle)


def _feature(entry: dict[str, Any]) -> Feature:
    density, mean, p95, largest = (float(entry[name]) for name in ("density", "mean", "p95", "max"))
    if not np.isfinite([density, mean, p95, largest]).all():
        raise ValueError(f"latent {entry['id']} has statistics that are not finite")
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
        score=_score(entry, "score"),  # a bundle that was never interpreted has none of these
        pattern_score=_score(entry, "pattern_score"),
        unclear=bool(entry.get("unclear", False)),
        guess=_text(entry, "guess"),
    )


def _text(entry: dict[str, Any], name: str) -> str | None:
    text = entry["label"] if name == "label" else entry.get(name)
    if text is not None and not isinstance(text, str):
        raise TypeError(f"{name} of latent {entry['id']} is {text!r}")
    return text


def _score(entry: dict[str, Any], name: str) -> float | None:
    score = entry.get(name)
    if score is not None and not 0 <= score <= 1:
        raise ValueError(f"{name} of latent {entry['id']} is {score!r}, expected 0 to 1")
    return None if score is None else float(score)


def latent_id(key: int | str) -> int | None:
    """The latent that a key names, `412` of `412`, `"f412"` and `"412"`; None for any other text.

    Raises:
        UnknownFeatureError: True or False.
    """
    if isinstance(key, bool):
        raise UnknownFeatureError(f"{key!r} is not a feature: give a latent id, a label or a phrase")
    if isinstance(key, int | np.integer):
        return int(key)
    digits = key.strip().casefold().removeprefix("f")
    return int(digits) if digits.isascii() and digits.isdigit() else None


def short(share: float) -> str:
    """A share of at most 1 with two decimals, as it stands behind labels: `.83`."""
    return f"{share:.2f}".removeprefix("0")
