"""`/api/info`: what the index is, and the fields of its documents' metadata by which they can be filtered."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from .... import __version__
from ....runtime.search.views import VIEWS
from ..studio import Studio

MOST_FIELDS, MOST_VALUES = 40, 50
READ = 200_000
"""Documents whose metadata is counted; of a larger index the first."""
LONGEST_VALUE = 200
"""Characters. Longer values are texts of their own and no facet."""
RARE = 0.5
"""A field whose values are different on more than this share of the documents is a name or a text, no facet."""


def info(studio: Studio) -> dict[str, Any]:
    """Return what a page needs before the first search, as JSON values."""
    index = studio.index
    features = studio.features
    return {
        "name": studio.name,
        "documents": len(index),
        "latents": len(features),
        "labelled": sum(feature.label is not None for feature in features),
        "views": [*VIEWS],
        "fields": fields(studio),
        "write": studio.allow_write,
        "exact_words": studio.exact_words,
        "interpreted": index.bundle.interpretation is not None,
        "version": __version__,
    }


def fields(studio: Studio) -> list[dict[str, Any]]:
    """Return the fields of the metadata, the commonest first: ``{name, kind, documents, values?, range?}``.

    `values` are the commonest with their counts, of fields that have few; `range` is that of numbers.
    """
    key = ("fields", *studio.revision[:2])
    return studio.kept.get_or_make(key, lambda: _count(studio))  # type: ignore[no-any-return]


def _count(studio: Studio) -> list[dict[str, Any]]:
    counts: dict[str, Counter[Any]] = {}
    held: Counter[str] = Counter()
    kinds: dict[str, set[str]] = {}
    bounds: dict[str, tuple[float, float]] = {}
    read = 0
    store = studio.index.store
    with store.snapshot():
        for _, texts in store.iter_metadata():
            for text in texts:
                for name, value in json.loads(text).items():
                    if name not in counts and len(counts) >= 4 * MOST_FIELDS:
                        continue
                    values = counts.setdefault(name, Counter())
                    held[name] += 1
                    for one in value if isinstance(value, list) else [value]:
                        kind = _kind(one)
                        if kind is None:
                            continue
                        kinds.setdefault(name, set()).add(kind)
                        if kind == "number":
                            low, high = bounds.get(name, (one, one))
                            bounds[name] = min(low, one), max(high, one)
                        # Names that are all different need not be counted to the end.
                        if len(values) <= 5_000 or one in values:
                            values[one] += 1
            read += len(texts)
            if read >= READ:
                break
    made = [
        _field(name, kinds[name], values, held[name], bounds.get(name)) for name, values in counts.items() if values
    ]
    return sorted(made, key=lambda field: (-field["documents"], field["name"]))[:MOST_FIELDS]


def _field(
    name: str, kinds: set[str], values: Counter[Any], documents: int, bounds: tuple[float, float] | None
) -> dict[str, Any]:
    kind = kinds.pop() if len(kinds) == 1 else "mixed"
    field: dict[str, Any] = {"name": name, "kind": kind, "documents": documents}
    if kind == "number" and bounds is not None:
        field["range"] = [*bounds]
    few = len(values) <= MOST_VALUES or (len(values) <= RARE * documents and kind != "number")
    if few and len(values) <= 5_000:
        common = sorted(values.items(), key=lambda pair: (-pair[1], str(pair[0])))[:MOST_VALUES]
        field["values"] = [{"value": value, "count": count} for value, count in common]
    return field


def _kind(value: object) -> str | None:
    """Return the kind of a value that can be filtered by; None for what is nested, empty or long."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) and 0 < len(value) <= LONGEST_VALUE else None
