"""Concepts: what a person asks for, as a readable, editable set of weighted latents."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from .._files import replace_file
from ..errors import ConfigError, DataError, StorageError, UnknownFeatureError
from .features import FloatArray
from .pursuit import sparse_direction

if TYPE_CHECKING:
    from .bundle import Bundle

Source = Literal["latents", "text", "examples"]
VectorOf = Callable[[str], FloatArray | None]
MAX_ATOMS = 32


@dataclass(frozen=True)
class Concept:
    """Something to steer towards or away from.

    Make one with `from_text`, `from_examples` or `from_latents`; `resolve` turns the first two into weighted latents.
    """

    name: str
    """What was asked."""
    source: Source
    """How it was asked."""
    weights: Mapping[int, float] = field(default_factory=dict)
    """Latent id -> activation at strength 1, in units of the latent's typical activation (its p95)."""
    more_like: tuple[str, ...] = ()
    """Examples to be near: ids of indexed documents, or texts."""
    less_like: tuple[str, ...] = ()
    """Examples to be far from."""
    fit: float | None = None
    """Cosine between the direction that was asked for and the one that `weights` make; None before `resolve`."""

    def __hash__(self) -> int:
        """Concepts are keys of a boost; the weights are hashed by content."""
        return hash((self.name, self.source, tuple(self.weights.items()), self.more_like, self.less_like))

    @classmethod
    def from_latents(cls, weights: Mapping[int, float], name: str | None = None) -> Concept:
        """A concept from latent ids and weights; weight 1 means the latent's typical activation.

        Raises:
            ConfigError: No latents, or a weight that is not a finite number.
        """
        if not weights:
            raise ConfigError("a concept needs at least one latent, for example Concept.from_latents({412: 1.0})")
        for latent, weight in weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float | np.number) or not math.isfinite(weight):
                raise ConfigError(f"the weight of latent {latent} is {weight!r}: it must be a finite number")
        clean = {int(latent): float(weight) for latent, weight in weights.items()}
        return cls(name or " + ".join(f"f{latent}" for latent in clean), "latents", clean, fit=1.0)

    @classmethod
    def from_text(cls, text: str) -> Concept:
        """A concept from a word or phrase.

        Raises:
            ConfigError: The text is empty.
        """
        if not text.strip():
            raise ConfigError("a concept needs a word or phrase, got an empty text")
        return cls(text.strip(), "text")

    @classmethod
    def from_examples(cls, more_like: Sequence[str], less_like: Sequence[str] = (), name: str | None = None) -> Concept:
        """A concept from example documents.

        Args:
            more_like: Ids of indexed documents, or texts.
            less_like: The contrast; without it, the mean of the bundle's reference corpus.
            name: What to call it.

        Raises:
            ConfigError: No examples.
        """
        if isinstance(more_like, str) or isinstance(less_like, str):
            raise ConfigError("examples are a list of ids or texts, got a single string")
        if not more_like:
            raise ConfigError("a concept from examples needs at least one in more_like")
        default = "like " + "; ".join(text[:40] for text in more_like[:3])
        return cls(name or default, "examples", more_like=tuple(more_like), less_like=tuple(less_like))

    def resolve(self, bundle: Bundle, vector_of: VectorOf | None = None) -> Concept:
        """The same concept with `weights` and `fit` filled in.

        A text becomes ``embed(text) - mean of the reference corpus``, examples become the difference of their means;
        that direction is written as a non-negative combination of at most 32 atoms. The largest weight is 1: at
        strength 1 that latent is as active as it typically is, and the others in proportion.

        Args:
            bundle: Embeds and knows the atoms.
            vector_of: Id of an indexed document -> its vector, or None when there is no such document.

        Raises:
            UnknownFeatureError: A latent that the bundle does not have or that never fires.
            DataError: The examples cancel out.
        """
        if self.weights:
            for latent in self.weights:
                feature = bundle.features.get(latent)
                if feature.p95 <= 0:
                    raise UnknownFeatureError(
                        f"{feature.name} never fires on the bundle's reference corpus, so it has no strength to boost; "
                        "choose another from `sae features`"
                    )
            return self
        if self.source == "text":
            direction = bundle.embed([self.name])[0] - bundle.features.reference_mean
        else:
            far = _mean(self.less_like, bundle, vector_of) if self.less_like else bundle.features.reference_mean
            direction = _mean(self.more_like, bundle, vector_of) - far
        length = float(np.linalg.norm(direction))
        if length < 1e-4:
            raise DataError(f"the examples of {self.name!r} cancel out: give examples that differ from the contrast")
        typical = bundle.features.typical
        latents, coefficients, fit = sparse_direction(direction / length, bundle.atoms, MAX_ATOMS, typical > 0)
        if not len(latents):
            near = ", ".join(str(f) for f in bundle.features.nearest(self.name)) or "none"
            raise UnknownFeatureError(f"no features of this bundle express {self.name!r}; nearest labels: {near}")
        # At strength 1 the most pronounced latent reaches its typical activation. On the documentation of Python that
        # moves a query by .3 to .6 along the direction; the 20 documents nearest to the phrase lie at .2 to .6.
        weights = coefficients / typical[latents]
        weights = weights / weights.max()
        order = np.argsort(-weights * typical[latents], kind="stable")
        return replace(self, weights={int(latents[i]): float(weights[i]) for i in order}, fit=fit)

    def describe(self, bundle: Bundle, limit: int = 8) -> str:
        """What the concept does, in words: one line per latent, strongest first."""
        resolved = self.resolve(bundle)
        fit = f", fit {resolved.fit:.2f}" if resolved.fit is not None else ""
        lines = [f"{resolved.name}: {len(resolved.weights)} features{fit}"]
        for latent, weight in list(resolved.weights.items())[:limit]:
            lines.append(f"  {weight:+.2f}  {bundle.features[latent]}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """A small JSON text that `from_json` reads."""
        weights = {str(latent): weight for latent, weight in self.weights.items()}
        body = {"name": self.name, "source": self.source, "weights": weights, "fit": self.fit}
        return json.dumps(
            body | {"more_like": self.more_like, "less_like": self.less_like}, ensure_ascii=False, indent=1
        )

    @classmethod
    def from_json(cls, text: str) -> Concept:
        """Read what `to_json` wrote; an edited set of weights is taken as it stands.

        Raises:
            ConfigError: Not a concept.
        """
        try:
            raw = json.loads(text)
            weights = {int(latent): float(weight) for latent, weight in raw.get("weights", {}).items()}
            if weights:
                return replace(cls.from_latents(weights, str(raw["name"])), source=raw["source"], fit=raw.get("fit"))
            if raw["source"] == "examples":
                return cls.from_examples(raw["more_like"], raw.get("less_like", ()), str(raw["name"]))
            return cls.from_text(str(raw["name"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"this is not a saved concept ({error}): write one with Concept.save") from error

    def save(self, path: str | Path) -> None:
        """Write the concept as JSON, by rename."""
        try:
            replace_file(Path(path), self.to_json().encode())
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error}") from error

    @classmethod
    def load(cls, path: str | Path) -> Concept:
        """Read a concept from a file.

        Raises:
            ConfigError: The file is missing or not a concept.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read a concept from {path}: {error}") from error


def _mean(examples: Iterable[str], bundle: Bundle, vector_of: VectorOf | None) -> FloatArray:
    """Mean embedding of examples, each an id of an indexed document or else a text."""
    rows, texts = [], []
    for example in examples:
        vector = vector_of(example) if vector_of else None
        if vector is None:
            texts.append(example)
        else:
            rows.append(vector)
    if texts:
        rows.extend(bundle.embed(texts))
    mean: FloatArray = np.mean(rows, axis=0, dtype=np.float32)
    return mean
