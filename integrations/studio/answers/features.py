"""`/api/features`: all features, one of them, and their edits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ....errors import ConfigError, UnknownFeatureError
from ....runtime import Feature, SteeredQuery
from ....runtime.bundle.feature_editor import FeatureEditor
from ....runtime.bundle.feature_edits import Edit
from ....runtime.bundle.feature_tree import FeatureGroup
from ....runtime.bundle.interpretation import Passage
from ....runtime.interpret.families import edited_tree, named_families
from ....text import shown
from ..requests import as_text, as_whole
from ..studio import Studio
from .search import feature_facts, title_of

EXAMPLES, NEAR_MISSES, COFIRING, PATTERNS, BINS = 8, 5, 12, 8, 20
FOUND = 500
"""Features that a search by words finds at most."""
LONGEST = 320
"""Characters of an example that is no passage of an interpretation."""
UNDONE = 100
"""Edits that can be taken back one by one."""
BEST_FIRST = "usefulness"
SORTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "usefulness": lambda row: (-row["usefulness"], -row["documents"], row["latent"]),
    "documents": lambda row: (-row["documents"], row["latent"]),
    "score": lambda row: (row["score"] is None, -(row["score"] or 0.0), row["latent"]),
    "label": lambda row: (row["label"] is None, (row["label"] or "").casefold(), row["latent"]),
    "family": lambda row: (row["family"] is None, (row["family"] or "").casefold(), row["latent"]),
    "latent": lambda row: row["latent"],
}


def features(studio: Studio, q: str, sort: str, limit: int, offset: int) -> dict[str, Any]:
    """Return ``{total, features}``: a page of the features, hidden ones last.

    What is found for words comes best first, unless they are sorted by something other than the usefulness.

    Raises:
        ConfigError: There is no such order.
    """
    if sort not in SORTS:
        raise ConfigError(f"sort is {shown(sort)}: choose {', '.join(SORTS)}")
    key = ("features", *studio.revision)
    rows: list[dict[str, Any]] = studio.kept.get_or_make(key, lambda: _rows(studio))
    found = rows
    if q.strip():
        number = q.strip().casefold().removeprefix("f")
        if number.isascii() and number.isdigit() and len(number) < 10:
            found = [rows[int(number)]] if int(number) < len(rows) else []
        else:
            found = [rows[feature.id] for feature in studio.features.search(q, FOUND)]
    if not q.strip() or sort != BEST_FIRST:
        found = sorted(found, key=SORTS[sort])
    found = sorted(found, key=lambda row: row["hidden"])
    return {"total": len(found), "features": found[offset : offset + limit]}


def feature(studio: Studio, latent: int) -> dict[str, Any]:
    """Return what is known about a feature, on the documents of this index and where it was interpreted.

    Raises:
        UnknownFeatureError: There is no such feature.
    """
    if not 0 <= latent < len(studio.features):
        raise UnknownFeatureError(f"there is no feature {latent}: this bundle has 0 to {len(studio.features) - 1}")
    key = ("feature", latent, *studio.revision)
    return studio.kept.get_or_make(key, lambda: _feature(studio, latent))  # type: ignore[no-any-return]


def tree(studio: Studio) -> dict[str, Any]:
    """Return ``{tree}``: branches, families in them, and the latents of each, most useful first; see `FeatureGroup`."""
    key = ("tree", *studio.revision)
    found = studio.kept.get_or_make(key, lambda: edited_tree(studio.features, studio.index.bundle.interpretation))
    return {"tree": [_group(studio, group) for group in found]}


def _group(studio: Studio, group: FeatureGroup) -> dict[str, Any]:
    plain: dict[str, Any] = {"name": group.name, "share": group.share, "count": len(group.members)}
    if group.children:
        return plain | {"children": [_group(studio, child) for child in group.children]}
    members = sorted((studio.features[latent] for latent in group.latents), key=lambda one: (-one.usefulness, one.id))
    return plain | {"features": [feature_facts(studio.features, one.id) | {"guess": one.guess} for one in members]}


def exported(studio: Studio, latent: int) -> dict[str, Any]:
    """Return what `feature` returns without the words that carry its examples, which take a second; nothing is kept."""
    return _feature(studio, latent, words=False)


def edit(studio: Studio, latent: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """Change what people see of a feature, as `sae features` does, and return `feature`.

    The body is ``{"action": "rename", "label"}``, ``{"action": "note", "note"}``, ``{"action": "hide"}``,
    ``{"action": "show"}``, ``{"action": "merge", "into"}`` with another feature or the name of a family, or
    ``{"action": "undo"}``, which takes back the last edit of the feature, or all that an earlier studio made of it.

    Raises:
        ConfigError: The action is none, or a name cannot be used.
        UnknownFeatureError: There is no such feature.
        StorageError: The edits cannot be written.
    """
    studio.features.get(latent)
    action = body.get("action")
    with studio.editing:
        editor = FeatureEditor.load(studio.index.bundle)
        touched = {latent: editor[latent]}
        if action == "rename":
            editor.rename(latent, as_text(body.get("label"), "label", 1_000))
        elif action == "note":
            editor.note(latent, as_text(body.get("note"), "note", 10_000, empty=True))
        elif action == "hide":
            editor.hide(latent)
        elif action == "show":
            editor.show(latent)
        elif action == "merge":
            others, family = _family(studio, latent, body.get("into"))
            touched |= {other: editor[other] for other in others}
            editor.merge([latent, *others], family)
        elif action == "undo":
            touched = {}
            _undo(studio, editor, latent)
        else:
            raise ConfigError(f"action is {shown(action)}: choose rename, note, hide, show, merge or undo")
        editor.save()
        if touched:
            studio.edited.append(touched)
            del studio.edited[:-UNDONE]
    return feature(studio, latent)


def _rows(studio: Studio) -> list[dict[str, Any]]:
    named, documents = _families(studio), len(studio.index)
    families = {latent: name for name, latents in named.items() for latent in latents}
    sample = studio.sample
    return [
        feature_facts(studio.features, one.id)
        | {
            "documents": round(sample.share(one.id) * documents),
            "share": round(sample.share(one.id), 6),
            "support": one.support,
            "steers": one.steers,
            "usefulness": round(one.usefulness, 4),
            "family": families.get(one.id),
            "hidden": one.hidden,
            "note": one.note,
            "guess": one.guess,
        }
        for one in studio.features
    ]


def _families(studio: Studio) -> dict[str, tuple[int, ...]]:
    return named_families(studio.features, studio.index.bundle.interpretation)


def _feature(studio: Studio, latent: int, *, words: bool = True) -> dict[str, Any]:
    bundle, sample, one = studio.index.bundle, studio.sample, studio.features[latent]
    row: dict[str, Any] = features(studio, f"f{latent}", "latent", 1, 0)["features"][0]
    places, values = sample.active(latent)
    entry = bundle.interpretation.entries[latent] if bundle.interpretation else None
    near = [_passage(passage) for passage in entry.near_misses] if entry else []
    examples = _documents(studio, places[:EXAMPLES].tolist(), values[:EXAMPLES] / max(one.p95, 1e-12), latent, words)
    family = next((pair for pair in _families(studio).items() if latent in pair[1]), None)
    together = entry.companions if entry and entry.companions else sample.companions(latent, COFIRING)
    strengths = values / max(one.p95, 1e-12)
    counts, edges = np.histogram(strengths, BINS, (0.0, max(1.0, float(strengths.max(initial=0.0)))))
    return row | {
        "guess": one.guess,
        "unclear": one.unclear,
        "description": one.description,
        "renamed": one.renamed,
        "keywords": [*one.keywords],
        "examples": examples or [_passage(passage) for passage in (entry.top if entry else ())],
        "learned_from": [_passage(passage) for passage in (entry.top if entry else ())] if examples else [],
        "near_misses": near or _near_misses(studio, latent),
        "histogram": {"edges": [round(float(edge), 3) for edge in edges], "counts": counts.tolist()},
        "patterns": [str(pattern) for pattern in (entry.patterns[:PATTERNS] if entry else ())],
        "family": None if family is None else {"name": family[0], "members": _others(studio, family[1], latent)},
        "cofiring": [
            feature_facts(studio.features, other) | {"value": round(lift, 2)}
            for other, lift in together[:COFIRING]
            if not studio.features[other].hidden
        ],
        "similar": [
            feature_facts(studio.features, near.feature.id) | {"value": round(near.cosine, 3)}
            for near in studio.features.similar(latent, COFIRING)
        ],
        "edits": _edits(one),
    }


def _documents(studio: Studio, places: list[int], values: Any, latent: int, words: bool) -> list[dict[str, Any]]:
    """Return documents of the sample as examples of a feature, if wanted with the words that carry it."""
    records = _records(studio, places)
    carrying = _carrying(studio, [record["id"] for record in records], latent) if words else {}
    return [
        record | {"value": round(float(value), 3), "words": carrying.get(record["id"], [])}
        for record, value in zip(records, values, strict=True)
    ]


def _records(studio: Studio, places: list[int]) -> list[dict[str, Any]]:
    rows = studio.sample.rows[places]
    found = {record.rowid: record for record in studio.index.store.by_rowid(rows)}
    there = [found[row] for row in rows.tolist() if row in found]
    return [{"id": record.id, "title": title_of(record.metadata), "text": record.text} for record in there]


def _carrying(studio: Studio, ids: list[str], latent: int) -> dict[str, list[dict[str, Any]]]:
    """Return id -> the words of a document that lie along a feature's direction."""
    if not ids:
        return {}
    # The atom as a query: its score is how much of it a document has.
    atom = studio.index.bundle.atoms[latent]
    query: SteeredQuery = studio.index.steer(atom)
    made = {}
    for explanation in studio.index.explain_all(query, ids, words=True):
        found = explanation.words
        made[explanation.id] = [
            {"start": word.start, "end": word.end, "value": round(word.value, 4)} for word in (found or ())
        ]
    return made


def _near_misses(studio: Studio, latent: int) -> list[dict[str, Any]]:
    """Return documents that lie most in the direction of a feature and that it is not active on."""
    sample = studio.sample
    cosines = sample.vectors @ studio.index.bundle.atoms[latent]
    cosines[sample.active(latent)[0]] = -np.inf
    best = np.argsort(-cosines, kind="stable")[:NEAR_MISSES]
    places = [int(place) for place in best if np.isfinite(cosines[place])]
    return [record | {"value": 0.0, "words": []} for record in _records(studio, places)]


def _passage(passage: Passage) -> dict[str, Any]:
    spans = [{"start": start, "end": end, "value": round(value, 4)} for start, end, value in passage.spans]
    return {"id": passage.document, "title": "", "text": passage.text, "value": passage.activation, "words": spans}


def _others(studio: Studio, latents: tuple[int, ...], latent: int) -> list[dict[str, Any]]:
    return [feature_facts(studio.features, other) for other in latents if other != latent]


def _edits(one: Feature) -> list[dict[str, Any]]:
    """Return what people changed about a feature."""
    made: list[dict[str, Any]] = []
    made += [{"action": "rename", "label": one.label}] if one.renamed else []
    made += [{"action": "merge", "into": one.family}] if one.family else []
    made += [{"action": "hide"}] if one.hidden else []
    return made + ([{"action": "note", "note": one.note}] if one.note else [])


def _family(studio: Studio, latent: int, into: object) -> tuple[list[int], str]:
    """Return the other features that a merge touches, and the name of the family."""
    if isinstance(into, str):
        return [], as_text(into, "into", 1_000)
    other = studio.features[as_whole(into, "into", 0, len(studio.features) - 1)]
    if other.id == latent:
        raise ConfigError(f"f{latent} cannot be merged into itself: name another feature, or a family")
    name = other.label or other.guess or f"like {other.name}"
    return [other.id], other.family or name[:80]


def _undo(studio: Studio, editor: FeatureEditor, latent: int) -> None:
    """Take back the last edit of this studio that touched a feature; without one, all edits of it."""
    place = next((i for i in reversed(range(len(studio.edited))) if latent in studio.edited[i]), None)
    if place is None:
        if editor[latent] == Edit():
            raise ConfigError(f"f{latent} was not edited, so there is nothing to take back")
        editor.clear(latent)
        return
    before = studio.edited.pop(place)
    editor.clear(*before)
    for one, old in before.items():
        if old.label is not None:
            editor.rename(one, old.label)
        if old.note:
            editor.note(one, old.note)
        if old.hidden:
            editor.hide(one)
        if old.family is not None:
            editor.merge([one], old.family)
