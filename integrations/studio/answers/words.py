"""`/api/words`: which words and sentences of documents carry their scores, and each bar and feature of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....errors import DataError
from ....runtime import Explanation
from ..studio import Asked, Studio
from .search import PARTS, ROUND

MOST = 200
"""Documents of one request."""
FAINT = 0.02
"""What a feature has of a word is told from this share of its largest on."""


def words(studio: Studio, asked: Asked, ids: Sequence[str]) -> dict[str, Any]:
    """Return id -> ``{exact, words, sentences}``, without documents that are not there.

    Places are characters of the text, as Python counts them. `by` of a word has what the query (``query``), each
    concept of the state (``c0``, ``c1``, ...) and the features that the bars show (``f412``) have of its value.
    """
    there = [id for id, record in zip(ids, studio.index.get(list(ids)), strict=True) if record is not None]
    try:
        found = studio.index.explain_all(asked.steered, there, words=True)
    except DataError:  # one was deleted a moment ago
        there = [id for id in there if id in studio.index]
        found = studio.index.explain_all(asked.steered, there, words=True)
    names = _names_of_terms(asked)
    return {explanation.id: _words(explanation, names) for explanation in found}


def _names_of_terms(asked: Asked) -> list[str]:
    """Return for each condition of the steered query what `by` calls it."""
    at = {id(made.concept): f"c{place}" for place, made in enumerate(asked.found) if made is not None}
    by_name = {made.concept.name: f"c{place}" for place, made in enumerate(asked.found) if made is not None}
    names = []
    for term in asked.steered.terms:
        if term.concept is None:
            names.append("query")
        else:
            names.append(at.get(id(term.concept)) or by_name.get(term.concept.name) or term.concept.name)
    return names


def _words(explanation: Explanation, names: Sequence[str]) -> dict[str, Any]:
    found = explanation.words
    if found is None or not len(found):
        return {"exact": found is not None and found.exact, "words": [], "sentences": []}
    bars = [explanation.parts, *(term.parts for term in explanation.terms)]
    shown = {part.feature.id for parts in bars for part in parts[:PARTS]}
    columns = [i for i, latent in enumerate(found.latents.tolist()) if latent in shown]
    features = found.by_feature[:, columns]
    told = np.abs(features) >= FAINT * np.maximum(np.abs(features).max(0, initial=0.0), 1e-12)
    latents = found.latents[columns].tolist()
    made = []
    for i, ((start, end), value) in enumerate(zip(found.spans.tolist(), found.values.tolist(), strict=True)):
        by = {name: round(float(part), ROUND) for name, part in zip(names, found.by_term[i].tolist(), strict=True)}
        by |= {f"f{latents[j]}": round(float(features[i, j]), ROUND) for j in np.flatnonzero(told[i]).tolist()}
        made.append({"start": start, "end": end, "value": round(value, ROUND), "by": by})
    sentences = [{"start": s.start, "end": s.end, "value": round(s.value, ROUND)} for s in found.sentences]
    return {"exact": found.exact, "words": made, "sentences": sentences}
