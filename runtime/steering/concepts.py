"""Concepts: readable and editable sets of weighted latents that queries are steered by."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from ...errors import ConfigError, DataError, StorageError, UnknownFeatureError
from ...files import absolute, replace_file
from ...steering_warnings import warn
from ...text import described, one_line, shown
from ..bundle.bundle import Bundle
from ..bundle.feature import Feature, format_share, latent_id
from .change import MAX_STRENGTH, check_strength
from .concept_directions import direction_of_examples, direction_of_text, weights_of
from .documents import Documents

Source: TypeAlias = Literal["latents", "label", "text", "examples", "profile"]
MAX_BYTES = 16_000_000
"""Of a file with a concept. One that weighs 100,000 latents takes 3 MB."""
LARGEST_SHARE = 1000
"""Far above what `fit` and `evidence` can be."""
SOURCES: Mapping[Source, str] = {
    **{"latents": "latents", "label": "a label", "text": "a phrase", "examples": "examples", "profile": "a profile"}
}
"""Source -> its name in descriptions."""
LATENT = re.compile(r"f?(\d+)( \(.*\))?", re.DOTALL | re.ASCII)
"""`412`, `f412`, and `f412 (stem cells, .83)` as a feature prints."""


class FeatureWeights(list[tuple[Feature, float]]):
    """(Feature, weight) pairs that print one per line."""

    def __str__(self) -> str:
        return "\n".join(f"{weight:+.2f}  {feature}" for feature, weight in self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from ...display.explanations import feature_name, weights_html

        return weights_html("", [(feature_name(feature), weight) for feature, weight in self])


@dataclass(frozen=True, repr=False)
class Concept:
    """A concept to steer towards or away from.

    Created by `from_text`, `from_examples` or `from_latents`; `resolve` turns the first two into weighted latents. To
    edit one, change its weights in the file that `save` wrote, or use ``dataclasses.replace(concept, weights={...})``.
    """

    name: str
    """The text of the request."""
    source: Source
    """Its interpretation: latents, the label of one, a text, examples, or what a `Profile` learned."""
    weights: Mapping[int, float] = field(default_factory=dict)
    """Latent id -> activation at strength 1, in units of the latent's typical activation (its p95)."""
    more_like: tuple[str, ...] = ()
    """Positive examples: ids of indexed documents, or texts."""
    less_like: tuple[str, ...] = ()
    """Negative examples."""
    phrase: str = ""
    """Description of what the examples have in common; may be empty."""
    fit: float | None = None
    """Cosine between the requested direction and the one that the weights made when they were resolved; None before
    `resolve`."""
    evidence: float | None = None
    """Evidence for a text in the documents of the index, 0 to 1 (`Evidence.of`); None if it was not measured."""
    model: str | None = None
    """sha256 of the decoder that the latents belong to; None if they were given by hand."""
    titles: Mapping[int, str] = field(default_factory=dict, compare=False)
    """Latent -> its label when the concept was resolved or read with a bundle, to be shown; not saved or compared."""

    def __repr__(self) -> str:
        strongest = sorted(self.weights.items(), key=lambda pair: -abs(pair[1]))
        titles = {latent: f" ({title})" for latent, title in self.titles.items()}
        named = [f"f{latent}{titles.get(latent, '')} {weight:+.2f}" for latent, weight in strongest[:2]]
        return described("Concept", shown(self.name, 60), self._facts(), *named, "…" if len(strongest) > 2 else "")

    def _repr_html_(self) -> str:
        from ...display.explanations import weights_html
        from ...display.html import plain

        pairs = [(f"f{latent} {plain(self.titles.get(latent, ''), 60)}", w) for latent, w in self.weights.items()]
        return weights_html(plain(f"{one_line(self.name, 80)} ({self._facts()})"), pairs)

    def _facts(self) -> str:
        """Return where it comes from and, once resolved, how many features it has and how sure that is."""
        count = "1 feature" if len(self.weights) == 1 else f"{len(self.weights)} features"
        measured = {"fit": self.fit, "evidence": self.evidence} if self.weights else {}
        sure = [f"{name} {format_share(value)}" for name, value in measured.items() if value is not None]
        return ", ".join([SOURCES[self.source], count if self.weights else "not resolved yet", *sure])

    def __hash__(self) -> int:
        """Hash the weights by content, because concepts are keys of a boost."""
        return hash((self.name, self.source, tuple(self.weights.items()), self.more_like, self.less_like, self.phrase))

    @classmethod
    def from_latents(cls, weights: Mapping[int, float], name: str | None = None) -> Concept:
        """Make a concept of latent ids and weights; weight 1 is the latent's typical activation.

        Raises:
            ConfigError: There are no latents, a key is not a latent id, or a weight is not a finite number.
        """
        if not isinstance(weights, Mapping) or not weights:
            raise ConfigError("a concept needs at least one latent, for example Concept.from_latents({412: 1.0})")
        clean: dict[int, float] = {}
        for key, weight in weights.items():
            latent = latent_id(key) if isinstance(key, int | np.integer | str) else None
            if latent is None:
                raise ConfigError(f"{shown(key)} is not a latent id, for example 412")
            clean[latent] = check_strength(f"f{latent}", weight)
        return cls(name or " + ".join(f"f{latent}" for latent in clean), "latents", clean, fit=1.0)

    @classmethod
    def from_text(cls, text: str) -> Concept:
        """Make a concept of a word or phrase; a ConfigError if it is empty."""
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"a concept needs a word or phrase, got {shown(text)}")
        return cls(text.strip(), "text")

    @classmethod
    def from_examples(
        cls, more_like: Sequence[str], less_like: Sequence[str] = (), name: str | None = None, phrase: str = ""
    ) -> Concept:
        """Make a concept of example documents.

        Args:
            more_like: Ids of indexed documents, or texts.
            less_like: The contrast; by default the mean of all documents.
            name: By default the phrase, if there is one.
            phrase: Description of what the examples have in common, which helps if they are few.

        Raises:
            ConfigError: There are no examples, or one is empty.
            DataError: Both sides have the same examples.
        """
        if isinstance(more_like, str) or isinstance(less_like, str):
            raise ConfigError("examples are a list of ids or texts, got a single string")
        more_like, less_like = tuple(more_like), tuple(less_like)
        if not more_like:
            raise ConfigError("a concept from examples needs at least one in more_like")
        for example in (*more_like, *less_like):
            if not isinstance(example, str) or not example.strip():
                raise ConfigError(f"the example {shown(example)} is not an id or a text")
        if set(more_like) == set(less_like):
            raise DataError("more_like and less_like hold the same examples, so they cancel out: give a contrast")
        default = "like " + "; ".join(text[:40] for text in more_like[:3])
        phrase = phrase.strip()
        return cls(name or phrase or default, "examples", {}, more_like, less_like, phrase)

    def resolve(self, bundle: Bundle, documents: Documents | None = None) -> Concept:
        """Return the concept with `weights` and `fit` filled in. The result is deterministic.

        A text or examples become a direction (`direction_of_text`, `direction_of_examples`), which is decomposed into a
        non-negative combination of at most 32 atoms (`weights_of`).

        Args:
            bundle: The bundle that embeds texts and has the atoms.
            documents: Examples may name them by id, and what all of a sample share is not part of a concept. Without
                them examples are texts, and the mean of the bundle's reference corpus is used.

        Raises:
            UnknownFeatureError: A latent does not exist or never fires, or nothing in the bundle expresses the concept.
            DataError: The examples cancel out.
        """
        model = str(bundle.manifest.files["decoder.onnx"]["sha256"])
        if self.weights:
            self._check(bundle, model)
            return self
        if self.source == "examples":
            direction = direction_of_examples(self.name, self.more_like, self.less_like, self.phrase, bundle, documents)
        else:
            direction = direction_of_text(self.name, bundle, documents)
        weights, fit = weights_of(direction, bundle)
        if not weights:
            near = ", ".join(str(f) for f in bundle.features.nearest(self.name)) or "none"
            raise UnknownFeatureError(f"no features of this bundle express {shown(self.name)}; nearest labels: {near}")
        return replace(self, weights=weights, fit=fit, model=model, titles=_titles(weights, bundle))

    def features(self, bundle: Bundle) -> FeatureWeights:
        """Return (feature, weight) pairs in the order of `weights`; they print one per line."""
        weights = self.resolve(bundle).weights
        return FeatureWeights((bundle.features[latent], weight) for latent, weight in weights.items())

    def describe(self, bundle: Bundle, strength: float = 1.0, limit: int = 8) -> str:
        """Return a description of the effect at a strength of a boost, the `limit` largest changes first."""
        resolved = self.resolve(bundle)
        strength = check_strength(self.name, strength)
        pairs = sorted(resolved.features(bundle), key=lambda pair: -abs(pair[1]))
        count = "1 feature" if len(pairs) == 1 else f"{len(pairs)} features"
        measured = {"fit": resolved.fit, "evidence": resolved.evidence}
        sure = [f"{name} {format_share(value)}" for name, value in measured.items() if value is not None]
        lines = [f"{self.name} ({SOURCES[self.source]}): {', '.join([count, *sure])}"]
        if not strength:
            return f"{lines[0]}\nat strength 0: changes nothing"
        lines.append(f"at strength {strength:g}, in typical activations:")
        for feature, weight in pairs[:limit]:
            lines.append(f"  {'up  ' if weight * strength > 0 else 'down'} {abs(weight * strength):.2f}  {feature}")
        if len(pairs) > limit:
            lines.append(f"  and {len(pairs) - limit} more, each by at most {abs(pairs[limit][1] * strength):.2f}")
        return "\n".join(lines)

    def to_json(self, bundle: Bundle | None = None) -> str:
        """Return the JSON that `from_json` reads; with a bundle, features are keyed by name."""
        body = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "titles"}
        weights = {
            f"f{latent}" if bundle is None else str(bundle.features.get(latent)): weight
            for latent, weight in self.weights.items()
        }
        return json.dumps(body | {"weights": weights}, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str, bundle: Bundle | None = None) -> Concept:
        """Read the output of `to_json`, possibly edited by hand.

        A key of `weights` is a latent (`f412`, optionally followed by its label) or a label, which takes the bundle.

        Raises:
            ConfigError: The text is not a concept.
            UnknownFeatureError: A key is a label that the bundle does not have.
        """
        weights, values = _parse(text, bundle)
        if weights:
            return replace(cls.from_latents(weights), **values, titles=_titles(weights, bundle) if bundle else {})
        if values["source"] == "examples":
            return cls.from_examples(values["more_like"], values["less_like"], values["name"], values["phrase"])
        return cls.from_text(values["name"])

    def save(self, path: str | Path, bundle: Bundle | None = None) -> None:
        """Write the concept as JSON, by rename; with a bundle, features are keyed by name.

        Raises:
            StorageError: The file cannot be written.
        """
        path = absolute(path)
        try:
            # Half of a character pair, which UTF-8 lacks, is written as JSON's own escape.
            replace_file(path, self.to_json(bundle).encode(errors="backslashreplace"))
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error}") from error

    @classmethod
    def load(cls, path: str | Path, bundle: Bundle | None = None) -> Concept:
        """Read a concept from a file; errors as in `from_json`, and a ConfigError when it is missing."""
        path = absolute(path)
        # A pipe may never end, and gigabytes are no concept.
        if os.path.exists(path) and not (os.path.isfile(path) and os.path.getsize(path) <= MAX_BYTES):
            raise ConfigError(
                f"{path} is no saved concept: name a file that `Concept.save` wrote, of at most {MAX_BYTES:,} bytes"
            )
        try:
            text = path.read_text(encoding="utf-8")
        # ValueError: bytes that are no text, and a path that cannot be one.
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read a concept from {path}: {error}") from error
        return cls.from_json(text, bundle)

    def _check(self, bundle: Bundle, model: str) -> None:
        for latent, weight in self.weights.items():
            if not abs(weight) <= MAX_STRENGTH:  # also for NaN
                raise ConfigError(
                    f"the weight of f{latent} in {shown(self.name)} is {weight}: it must be within +-{MAX_STRENGTH:g}"
                )
            feature = bundle.features.get(latent)
            if feature.p95 <= 0:
                raise UnknownFeatureError(
                    f"{feature.name} never fires on the bundle's reference corpus, so it has no strength to boost; "
                    "choose another from `sae features`"
                )
        if self.model not in (None, model):
            if self.source == "profile":
                raise ConfigError(
                    "the profile was learned with another model, whose latents mean other things: search with the "
                    "bundle it was learned with, or start another profile for this one"
                )
            warn(
                f"the concept {shown(self.name)} was made with another model, whose latents mean other things: make it "
                "anew",
                "model",
            )


def _titles(weights: Mapping[int, float], bundle: Bundle) -> dict[int, str]:
    known = (bundle.features[latent] for latent in weights if 0 <= latent < len(bundle.features))
    return {feature.id: feature.title for feature in known if feature.title}


def _parse(text: str, bundle: Bundle | None) -> tuple[dict[int, float], dict[str, Any]]:
    try:
        raw = json.loads(text)
        values = {"name": raw["name"], "source": raw["source"]}
        values |= {name: tuple(raw.get(name, ())) for name in ("more_like", "less_like")}
        values |= {"phrase": raw.get("phrase", "")} | {name: raw.get(name) for name in ("fit", "evidence", "model")}
        entries = list(raw.get("weights", {}).items())
        numbers = [values["fit"], values["evidence"]]
        strings = [values["name"], values["phrase"], values["model"] or "", *values["more_like"], *values["less_like"]]
        if not all(isinstance(string, str) for string in strings):
            raise TypeError("name, phrase, model and examples are strings")
        if not all(number is None or type(number) in (int, float) for number in numbers):
            raise TypeError("fit and evidence are numbers")
        # Both are shares. One of a thousand digits could not even be shown.
        if not all(number is None or abs(number) <= LARGEST_SHARE for number in numbers):
            raise ValueError(f"fit and evidence are shares of at most {LARGEST_SHARE}")
        if values["source"] not in [*SOURCES]:  # it may be unhashable
            raise ValueError(f"source is {shown(values['source'])}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"this is not a saved concept ({type(error).__name__}: {one_line(str(error), 200)}): write one with "
            "Concept.save"
        ) from error
    weights: dict[int, float] = {}
    for key, weight in entries:
        latent = _latent(key, bundle)
        if latent in weights:
            raise ConfigError(
                f"the weights of the concept {shown(values['name'])} name f{latent} twice, as {shown(key)}: keep one"
            )
        weights[latent] = weight
    return weights, values


def _latent(key: str, bundle: Bundle | None) -> int:
    found = LATENT.fullmatch(key.strip())
    if found:
        latent = latent_id(found[1])
        assert latent is not None, "digits"
        return latent
    if bundle is None:
        raise ConfigError(f"{shown(key)} is not a latent like f412: give the bundle, which knows the labels")
    return bundle.features.get(key).id
