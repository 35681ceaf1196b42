"""Features: what each latent of a bundle is called, how it behaves, and how to find one."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, FormatVersionError, UnknownFeatureError

FORMAT_VERSION = 1
FloatArray = NDArray[np.float32]
Encode = Callable[[str], tuple[NDArray[np.int64], FloatArray]]


@dataclass(frozen=True)
class Feature:
    """A latent and what is known about it from the bundle's reference corpus."""

    id: int
    """Latent id, 0 to n_latents - 1."""
    label: str | None
    """A few words, unique within the bundle; None when the latent has none."""
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

    @property
    def name(self) -> str:
        """`f412`, the key that always works."""
        return f"f{self.id}"

    def __str__(self) -> str:
        return f"{self.name} ({self.label})" if self.label else self.name


class Features(Sequence[Feature]):
    """The features of a bundle, one per latent, in the order of their ids.

    Args:
        features: One per latent.
        reference_mean: Mean embedding of the reference corpus, shape (d_in,), float32.
        encode: Text -> (indices (k,), values (k,)), for searching features by phrase; None searches words only.
    """

    def __init__(self, features: Sequence[Feature], reference_mean: FloatArray, encode: Encode | None = None) -> None:
        self._features = tuple(features)
        self.reference_mean = reference_mean
        self.typical: FloatArray = np.array([f.p95 for f in features], np.float32)
        """Typical activation per latent, shape (n_latents,): its 95th percentile; 0 for one that never fires."""
        self._by_label = {f.label.casefold(): f for f in features if f.label}
        self._encode = encode

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
        latent = _latent_id(key)
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
        return _unique(close + self._by_words(text))[:limit]

    def search(self, text: str, limit: int = 10) -> list[Feature]:
        """Features for a phrase: those whose words hold it, then those that are most active on it.

        Args:
            text: A word or phrase.
            limit: Features to return at most.
        """
        active: list[Feature] = []
        if self._encode is not None and text.strip():
            indices, values = self._encode(text)
            # Activation in units of what is typical: otherwise latents that always fire strongly win every phrase.
            strength = values / np.maximum(self.typical[indices], 1e-6)
            active = [self._features[indices[i]] for i in np.argsort(-strength, kind="stable") if values[i] > 0]
        by_words = self._by_words(text)
        both = [feature for feature in active if feature in by_words]
        exact = self.find(text) if text.strip() and _latent_id(text) is None else None
        return _unique(([exact] if exact else []) + both + by_words[: max(1, limit // 2)] + active)[:limit]

    def _by_words(self, text: str) -> list[Feature]:
        wanted = set(text.casefold().split())
        scored = []
        for feature in self._features:
            score = sum(1.0 / (rank + 2) for rank, word in enumerate(feature.keywords) if word in wanted)
            if score:
                scored.append((-score, feature.id))
        return [self._features[latent] for _, latent in sorted(scored)]


def read_features(path: Path, *, n_latents: int, d_in: int, encode: Encode | None = None) -> Features:
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
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
    return Features(features, mean, encode)


def _feature(entry: dict[str, Any]) -> Feature:
    density, mean, p95, largest = (float(entry[name]) for name in ("density", "mean", "p95", "max"))
    if not np.isfinite([density, mean, p95, largest]).all():
        raise ValueError(f"latent {entry['id']} has statistics that are not finite")
    label = entry["label"]
    if label is not None and not isinstance(label, str):
        raise TypeError(f"label of latent {entry['id']} is {label!r}")
    keywords, examples = (tuple(str(text) for text in entry.get(name, ())) for name in ("keywords", "examples"))
    return Feature(int(entry["id"]), label, density, mean, p95, largest, keywords, examples)


def _latent_id(key: int | str) -> int | None:
    if isinstance(key, bool):
        raise UnknownFeatureError(f"{key!r} is not a feature: give a latent id, a label or a phrase")
    if isinstance(key, int | np.integer):
        return int(key)
    digits = key.strip().casefold().removeprefix("f")
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _unique(features: list[Feature]) -> list[Feature]:
    return list({feature.id: feature for feature in features}.values())
