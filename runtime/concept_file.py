"""A concept as JSON that a person can read and edit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import replace_file
from ..errors import ConfigError, StorageError

if TYPE_CHECKING:
    from .bundle import Bundle
    from .concepts import Concept

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
