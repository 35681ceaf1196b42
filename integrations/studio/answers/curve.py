"""`/api/curve`: what the strength of one concept does to the first ten results of this query."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ....errors import ConfigError
from ..requests import State
from ..studio import Studio, Warned, signed
from .search import explanations_of, found_ids, kept_topic

STRENGTHS = tuple(step / 4 for step in range(-8, 9))
"""From -2 to 2, where the slider ends."""
MET = 0.5
"""A document is about a concept whose condition is half met."""


def curve(studio: Studio, state: State, at: int) -> dict[str, Any]:
    """Return ``{points: [{strength, concept, topic, overlap}], now}`` for the concept at a place of the state.

    Of the first ten results: `concept`, the share that is about the concept; `topic`, how much of the plain results'
    similarity to the query is kept (`search.kept_topic`); `overlap`, the share that are plain results too. No judgments
    are needed, so these are what the index itself says, where docs/steering.md counts documents that people labelled.

    Raises:
        ConfigError: There is no such concept, or it has no strength.
    """
    if at >= len(state.wishes):
        raise ConfigError(f"index is {at}: the state has {len(state.wishes)} concepts")
    wish = state.wishes[at]
    made = studio.resolve(wish)
    if isinstance(made, Warned):
        raise ConfigError(made.text)
    if wish.exclude:
        raise ConfigError("what is excluded has no strength: boost it to see its curve")
    present = signed(wish.strength, 1.0)
    now = {"auto": 1.0, "-auto": -1.0}[present] if isinstance(present, str) else present
    plain = found_ids(studio, state, unsteered=True)
    found = {}
    for strength in sorted({*STRENGTHS, now}):
        wishes = [replace(each, strength=strength, on=True) if i == at else each for i, each in enumerate(state.wishes)]
        found[strength] = found_ids(studio, replace(state, wishes=tuple(wishes)).asking(state.query))
    about = _about(studio, state, at, made.sign, list(dict.fromkeys(id for ids in found.values() for id in ids)))
    original = studio.ask(state).steered
    points = [
        {
            "strength": strength,
            "concept": round(sum(about.get(id, False) for id in ids) / max(len(ids), 1), 4),
            "topic": kept_topic(studio, original, plain, ids),
            "overlap": round(len(set(ids) & set(plain)) / max(len(plain), 1), 4),
        }
        for strength, ids in found.items()
    ]
    return {"points": points, "now": next(point for point in points if point["strength"] == now)}


def _about(studio: Studio, state: State, at: int, sign: float, ids: list[str]) -> dict[str, bool]:
    """Return which documents meet the condition of a concept, as it is at strength 1 beside the query alone."""
    alone = replace(state, wishes=(replace(state.wishes[at], strength=sign, on=True),)).asking(state.query)
    steered = studio.ask(alone).steered
    if len(steered.terms) < 2:
        return {}
    place = len(steered.terms) - 1  # what was read in the text comes first
    term = steered.terms[place]
    return {
        id: bool(term.met(np.array(explanation.terms[place].presence)) >= MET)
        for id, explanation in explanations_of(studio, steered, ids).items()
    }
