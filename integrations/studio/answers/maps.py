"""`/api/map`: documents or features on a plane, coloured by a concept or by a field of the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....arrays import FloatArray, IntArray
from ....errors import ConfigError
from ....text import one_line, shown
from ..requests import Wish
from ..sample import MOST
from ..studio import Studio, Warned
from .layout import plane
from .search import title_of

POINTS = MOST
TITLE = 100
"""Characters of a point's title."""
NAMES = 7
"""Values of a field that have a colour of their own; the others share one."""
DECIMALS = 4


def draw(
    studio: Studio, kind: str, limit: int, *, key: Mapping[str, Any] | None = None, field: str | None = None
) -> dict[str, Any]:
    """Return ``{kind, points, ids, titles, values, legend, of}``.

    `points` are between 0 and 1; `values` are numbers from 0 to 1 for a concept (how far a document is about it), the
    field's numbers or texts for a field, and null without a colour; `of` is how many there are of which these are an
    even sample.

    Raises:
        ConfigError: The kind or field is none, or the concept cannot be used.
    """
    if kind == "features":
        return _features(studio, limit)
    if kind != "documents":
        raise ConfigError(f"kind is {shown(kind)}: choose documents or features")
    sample = studio.sample
    places = np.unique(np.linspace(0, len(sample.rows) - 1, min(limit, len(sample.rows))).astype(np.int64))
    made = studio.kept.get_or_make(("map", *studio.revision[:2]), lambda: _documents(studio))
    values: list[Any] | None = None
    legend: dict[str, Any] | None = None
    if key is not None:
        values, legend = _about(studio, key, sample.vectors[places])
    elif field is not None:
        values, legend = _field(studio, field, sample.rows[places])
    return {
        "kind": kind,
        "points": made["points"][places].tolist(),
        "ids": [made["ids"][place] for place in places],
        "titles": [made["titles"][place] for place in places],
        "values": values,
        "legend": legend,
        "of": sample.documents,
    }


def _documents(studio: Studio) -> dict[str, Any]:
    sample = studio.sample
    points = np.round(plane(sample.vectors).astype(np.float64), DECIMALS)
    found = {record.rowid: record for record in studio.index.store.by_rowid(sample.rows)}
    ids, titles = [], []
    for row in sample.rows.tolist():
        record = found.get(row)
        ids.append(record.id if record else "")
        titles.append(one_line(title_of(record.metadata) or record.text[: 4 * TITLE], TITLE) if record else "")
    return {"points": points, "ids": ids, "titles": titles}


def _features(studio: Studio, limit: int) -> dict[str, Any]:
    bundle, features = studio.index.bundle, studio.features
    shown_ones = [one.id for one in features if one.p95 > 0 and not one.hidden][:limit]

    def make() -> FloatArray:
        found = bundle.interpretation
        if found is not None and found.positions:
            return np.array(found.positions, np.float32)
        return plane(bundle.atoms)

    places = np.round(studio.kept.get_or_make(("feature map",), make).astype(np.float64), DECIMALS)
    sample = studio.sample
    return {
        "kind": "features",
        "points": places[shown_ones].tolist(),
        "ids": shown_ones,
        "titles": [features[latent].label or features[latent].guess or f"f{latent}" for latent in shown_ones],
        "labels": [features[latent].label for latent in shown_ones],
        "values": [round(sample.share(latent), 5) for latent in shown_ones],
        "legend": {"kind": "number", "name": "share of the documents"},
        "of": len(features),
    }


def _about(studio: Studio, key: Mapping[str, Any], rows: FloatArray) -> tuple[list[float], dict[str, Any]]:
    """Return how far documents are about a concept, 0 to 1, by their vectors alone."""
    made = studio.resolve(Wish(key))
    if isinstance(made, Warned):
        raise ConfigError(made.text)
    # The condition of a concept does not depend on the query that it stands beside.
    text = made.whole.name
    steered = studio.index.steer(text, boost={made.key: 1.0})
    term = steered.terms[-1]
    met = term.met(term.presence(rows))
    return [round(float(value), 3) for value in met], {"kind": "number", "name": text}


def _field(studio: Studio, field: str, rows: IntArray) -> tuple[list[Any], dict[str, Any]]:
    """Return a field's values: numbers, or texts of which the commonest stay and the others are `other`."""
    found = {record.rowid: record.metadata for record in studio.index.store.by_rowid(rows)}
    held = [found.get(row, {}).get(field) for row in rows.tolist()]
    first = [value[0] if isinstance(value, list) and value else value for value in held]
    if all(value is None for value in first):
        raise ConfigError(f"no document of the map has the field {shown(field)}: choose one that `info` lists")
    if all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in first):
        return first, {"kind": "number", "name": field}
    names = [None if value is None or isinstance(value, dict | list) else one_line(str(value), 60) for value in first]
    counts: dict[str, int] = {}
    for name in names:
        if name is not None:
            counts[name] = counts.get(name, 0) + 1
    common = sorted(counts, key=lambda name: (-counts[name], name))
    kept = set(common[:NAMES])
    values = [name if name is None or name in kept else "other" for name in names]
    return values, {"kind": "text", "name": field, "values": [{"value": n, "count": counts[n]} for n in common[:NAMES]]}
