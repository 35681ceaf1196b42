"""Concepts: what a person asks for, as a readable, editable set of weighted latents."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...errors import ConfigError, DataError, StorageError, UnknownFeatureError
from ...files import replace_file
from ...steering_warnings import warn
from ..bundle.features import Feature, latent_id, short
from .change import MAX_STRENGTH, check_strength
from .concept_directions import Sample, VectorOf, direction_of_examples, direction_of_text, weights_of

if TYPE_CHECKING:
    from ..bundle.bundle import Bundle

    pass

SOURCES = ("latents", "label", "text", "examples")
KEY = re.compile(r"f?(\d+)( \(.*\))?", re.DOTALL | re.ASCII)
"""`412`, `f412`, and `f412 (stem cells, .83)` as a feature prints."""


def concept_json(concept: Concept, bundle: Bundle | None) -> str:
    """See `Concept.to_json`."""
    weights = {
        f"f{latent}" if bundle is None else str(bundle.features.get(latent)): weight
        for latent, weight in concept.weights.items()
    }
    body = {
        "name": concept.name,
        "source": concept.source,
        "weights": weights,
        "more_like": concept.more_like,
        "less_like": concept.less_like,
        "phrase": concept.phrase,
        "fit": concept.fit,
        "evidence": concept.evidence,
        "model": concept.model,
    }
    return json.dumps(body, ensure_ascii=False, indent=1)


def concept_fields(text: str, bundle: Bundle | None) -> tuple[dict[int, float], dict[str, Any]]:
    """The weights, and the other fields of a `Concept`, see `Concept.from_json`."""
    try:
        raw = json.loads(text)
        fields = {"name": raw["name"], "source": raw["source"]}
        fields |= {name: tuple(raw.get(name, ())) for name in ("more_like", "less_like")}
        fields |= {"phrase": raw.get("phrase", "")} | {name: raw.get(name) for name in ("fit", "evidence", "model")}
        entries = list(raw.get("weights", {}).items())
        numbers = [fields["fit"], fields["evidence"]]
        strings = [fields["name"], fields["phrase"], fields["model"] or "", *fields["more_like"], *fields["less_like"]]
        if not all(isinstance(string, str) for string in strings):
            raise TypeError("name, phrase, model and examples are strings")
        if not all(number is None or type(number) in (int, float) for number in numbers):
            raise TypeError("fit and evidence are numbers")
        if fields["source"] not in SOURCES:
            raise ValueError(f"source is {fields['source']!r}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"this is not a saved concept ({type(error).__name__}: {error}): write one with Concept.save"
        ) from error
    weights: dict[int, float] = {}
    for key, weight in entries:
        latent = _latent(key, bundle)
        if latent in weights:
            raise ConfigError(
                f"the weights of the concept {fields['name']!r} name f{latent} twice, as {key!r}: keep one"
            )
        weights[latent] = weight
    return weights, fields


def write_text(path: Path, text: str) -> None:
    """Write a small file by rename."""
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}") from error


def read_text(path: Path) -> str:
    """Read a small file."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read a concept from {path}: {error}") from error


def _latent(key: str, bundle: Bundle | None) -> int:
    found = KEY.fullmatch(key.strip())
    if found:
        return int(found[1])
    if bundle is None:
        raise ConfigError(f"{key!r} is not a latent like f412: give the bundle, which knows the labels")
    latent: int = bundle.features.get(key).id
    return latent


Source = Literal["latents", "label", "text", "examples"]
KINDS: Mapping[Source, str] = {"latents": "latents", "label": "a label", "text": "a phrase", "examples": "examples"}


class FeatureWeights(list[tuple[Feature, float]]):
    """(Feature, weight) pairs that print one per line."""

    def __str__(self) -> str:
        return "\n".join(f"{weight:+.2f}  {feature}" for feature, weight in self)

    __repr__ = __str__


@dataclass(frozen=True)
class Concept:
    """Something to steer towards or away from.

    Make one with `from_text`, `from_examples` or `from_latents`; `resolve` turns the first two into weighted latents.
    To edit one, change its weights in the file that `save` wrote, or take
    ``dataclasses.replace(concept, weights={...})``.
    """

    name: str
    """What was asked."""
    source: Source
    """What it was taken as: latents, the label of one, a text, or examples."""
    weights: Mapping[int, float] = field(default_factory=dict)
    """Latent id -> activation at strength 1, in units of the latent's typical activation (its p95)."""
    more_like: tuple[str, ...] = ()
    """Examples to be near: ids of indexed documents, or texts."""
    less_like: tuple[str, ...] = ()
    """Examples to be far from."""
    phrase: str = ""
    """Words for what the examples have in common, or empty."""
    fit: float | None = None
    """How sure: cosine between the direction that was asked for and the one that the weights made when they were
    resolved; None before `resolve`."""
    evidence: float | None = None
    """How much the documents of the index say about a text, 0 to 1: the share of words that they are about to which no
    document is nearer. None where it was not measured. Below a third there is a warning."""
    model: str | None = None
    """sha256 of the decoder that the latents belong to; None when they were given by hand."""

    def __hash__(self) -> int:
        """Concepts are keys of a boost; the weights are hashed by content."""
        return hash((self.name, self.source, tuple(self.weights.items()), self.more_like, self.less_like, self.phrase))

    @classmethod
    def from_latents(cls, weights: Mapping[int, float], name: str | None = None) -> Concept:
        """A concept from latent ids and weights; weight 1 means the latent's typical activation.

        Raises:
            ConfigError: No latents, a key that is no latent id, or a weight that is not a finite number.
        """
        if not isinstance(weights, Mapping) or not weights:
            raise ConfigError("a concept needs at least one latent, for example Concept.from_latents({412: 1.0})")
        clean: dict[int, float] = {}
        for key, weight in weights.items():
            latent = latent_id(key) if isinstance(key, int | np.integer | str) else None
            if latent is None:
                raise ConfigError(f"{key!r} is not a latent id, for example 412")
            clean[latent] = check_strength(f"f{latent}", weight)
        return cls(name or " + ".join(f"f{latent}" for latent in clean), "latents", clean, fit=1.0)

    @classmethod
    def from_text(cls, text: str) -> Concept:
        """A concept from a word or phrase.

        Raises:
            ConfigError: The text is empty.
        """
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"a concept needs a word or phrase, got {text!r}")
        return cls(text.strip(), "text")

    @classmethod
    def from_examples(
        cls, more_like: Sequence[str], less_like: Sequence[str] = (), name: str | None = None, phrase: str = ""
    ) -> Concept:
        """A concept from example documents.

        Args:
            more_like: Ids of indexed documents, or texts.
            less_like: The contrast; without it, the mean of all documents.
            name: What to call it; the phrase, where there is one.
            phrase: Words for what the examples have in common, which helps where they are few.

        Raises:
            ConfigError: No examples, or an empty one.
            DataError: The same examples on both sides.
        """
        if isinstance(more_like, str) or isinstance(less_like, str):
            raise ConfigError("examples are a list of ids or texts, got a single string")
        if not more_like:
            raise ConfigError("a concept from examples needs at least one in more_like")
        for example in (*more_like, *less_like):
            if not isinstance(example, str) or not example.strip():
                raise ConfigError(f"the example {example!r} is not an id or a text")
        if set(more_like) == set(less_like):
            raise DataError("more_like and less_like hold the same examples, so they cancel out: give a contrast")
        default = "like " + "; ".join(text[:40] for text in more_like[:3])
        phrase = phrase.strip()
        return cls(name or phrase or default, "examples", {}, tuple(more_like), tuple(less_like), phrase)

    def resolve(self, bundle: Bundle, vector_of: VectorOf | None = None, sample: Sample | None = None) -> Concept:
        """The same concept with `weights` and `fit` filled in.

        A text or examples become a direction (`direction_of_text`, `direction_of_examples`), and that a non-negative
        combination of at most 32 atoms (`weights_of`). The same question gives the same answer.

        Args:
            bundle: Embeds and knows the atoms.
            vector_of: Id of an indexed document -> its vector, or None when there is no such document. Without it
                examples are texts.
            sample: Vectors of documents spread over an index: what all of them share is no part of a concept, and what
                those nearest to a phrase share says what it means. Without it the bundle's reference corpus is all
                there is.

        Raises:
            UnknownFeatureError: A latent that the bundle does not have or that never fires, or nothing in the bundle
                expresses what was asked.
            DataError: The examples cancel out.
        """
        model = str(bundle.manifest.files["decoder.onnx"]["sha256"])
        if self.weights:
            self._check(bundle, model)
            return self
        if self.source == "examples":
            direction = direction_of_examples(
                self.name, self.more_like, self.less_like, self.phrase, bundle, vector_of, sample
            )
        else:
            direction = direction_of_text(self.name, bundle, sample)
        weights, fit = weights_of(direction, bundle)
        if not weights:
            near = ", ".join(str(f) for f in bundle.features.nearest(self.name)) or "none"
            raise UnknownFeatureError(f"no features of this bundle express {self.name!r}; nearest labels: {near}")
        return replace(self, weights=weights, fit=fit, model=model)

    def features(self, bundle: Bundle) -> FeatureWeights:
        """What the concept consists of: (feature, weight) pairs as `weights` has them, one per line when printed."""
        weights = self.resolve(bundle).weights
        return FeatureWeights((bundle.features[latent], weight) for latent, weight in weights.items())

    def describe(self, bundle: Bundle, strength: float = 1.0, limit: int = 8) -> str:
        """What the concept does to a query at a strength, in words, the largest changes first.

        Args:
            bundle: Names the features.
            strength: As in a boost.
            limit: Features to list.
        """
        resolved = self.resolve(bundle)
        strength = check_strength(self.name, strength)
        pairs = sorted(resolved.features(bundle), key=lambda pair: -abs(pair[1]))
        count = "1 feature" if len(pairs) == 1 else f"{len(pairs)} features"
        sure = [
            f"{name} {short(value)}" for name in ("fit", "evidence") if (value := getattr(resolved, name)) is not None
        ]
        lines = [f"{self.name} ({KINDS[self.source]}): {', '.join([count, *sure])}"]
        if not strength:
            return f"{lines[0]}\nat strength 0: changes nothing"
        lines.append(f"at strength {strength:g}, in typical activations:")
        for feature, weight in pairs[:limit]:
            lines.append(f"  {'up  ' if weight * strength > 0 else 'down'} {abs(weight * strength):.2f}  {feature}")
        if len(pairs) > limit:
            lines.append(f"  and {len(pairs) - limit} more, each by at most {abs(pairs[limit][1] * strength):.2f}")
        return "\n".join(lines)

    def to_json(self, bundle: Bundle | None = None) -> str:
        """A small JSON text that `from_json` reads; with a bundle, the features stand in it by name."""
        return concept_json(self, bundle)

    @classmethod
    def from_json(cls, text: str, bundle: Bundle | None = None) -> Concept:
        """Read what `to_json` wrote, or what a person made of it: edited weights are taken as they stand.

        Args:
            text: JSON. A key of `weights` is a latent (`f412`, also with its label behind it) or a label.
            bundle: Knows the labels; needed only when a key is one.

        Raises:
            ConfigError: Not a concept.
            UnknownFeatureError: A key is a label that the bundle does not have.
        """
        weights, fields = concept_fields(text, bundle)
        if weights:
            return replace(cls.from_latents(weights), **fields)
        if fields["source"] == "examples":
            return cls.from_examples(fields["more_like"], fields["less_like"], fields["name"], fields["phrase"])
        return cls.from_text(fields["name"])

    def save(self, path: str | Path, bundle: Bundle | None = None) -> None:
        """Write the concept as JSON, by rename; with a bundle, the features stand in it by name.

        Raises:
            StorageError: The file cannot be written.
        """
        write_text(Path(path), self.to_json(bundle))

    @classmethod
    def load(cls, path: str | Path, bundle: Bundle | None = None) -> Concept:
        """Read a concept from a file, see `from_json`.

        Raises:
            ConfigError: The file is missing or not a concept.
        """
        return cls.from_json(read_text(Path(path)), bundle)

    def _check(self, bundle: Bundle, model: str) -> None:
        for latent, weight in self.weights.items():
            if not abs(weight) <= MAX_STRENGTH:  # also for NaN
                raise ConfigError(
                    f"the weight of f{latent} in {self.name!r} is {weight}: it must be within +-{MAX_STRENGTH:g}"
                )
            feature = bundle.features.get(latent)
            if feature.p95 <= 0:
                raise UnknownFeatureError(
                    f"{feature.name} never fires on the bundle's reference corpus, so it has no strength to boost; "
                    "choose another from `sae features`"
                )
        if self.model not in (None, model):
            warn(
                f"the concept {self.name!r} was made with another model, whose latents mean other things: make it anew"
            )
