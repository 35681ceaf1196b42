"""Which latents belong together: those that fire on the same documents, or whose atoms point the same way."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from ...arrays import FloatArray, IntArray
from ..bundle.features import Features

COSINE = 0.4
"""Atoms this close are one thing said twice. The nearest of 4,096 random directions in 384 dimensions is at .2."""
JACCARD = 0.1
"""Firing documents shared by two latents, as a share of those on which either fires. On SciFact one latent in three has
another that near; pairs just above it are of one subject, such as histones and their deacetylases."""
TOGETHER = 3
"""Fewer common documents than this are an accident."""
LINKAGE = 0.6
"""Two groups join while their mean likeness is at least this; 1 is the likeness at either threshold."""
LARGEST = 12
BLOCK = 512


def find_families(
    firing: Sequence[IntArray],
    atoms: FloatArray,
    *,
    cosine: float = COSINE,
    jaccard: float = JACCARD,
    largest: int = LARGEST,
) -> tuple[tuple[int, ...], ...]:
    """Group latents by average linkage over the pairs that are alike.

    Two latents are alike as their atoms' cosine or their documents' Jaccard overlap is, whichever is more, in units of
    its threshold; below both thresholds they are not alike at all. The mean over all pairs of two groups decides
    whether they join, so that a chain of neighbours does not become one family.

    Args:
        firing: Per latent the rows of the documents on which it fires, in any order.
        atoms: Unit rows, shape (n_latents, d_in), float32.
        cosine: Threshold for atoms, above 0.
        jaccard: Threshold for documents, above 0.
        largest: Latents in one family at most.

    Returns:
        Families of at least two latents, largest first, then by their first latent; ascending within a family.
    """
    alike: dict[int, dict[int, float]] = defaultdict(dict)
    for a, b, likeness in _pairs(firing, atoms, cosine, jaccard):
        alike[a][b] = alike[b][a] = max(likeness, alike[a].get(b, 0.0))
    groups = _merge({latent: dict(near) for latent, near in alike.items()}, largest)
    return tuple(sorted((tuple(sorted(group)) for group in groups), key=lambda group: (-len(group), group)))


def _pairs(
    firing: Sequence[IntArray], atoms: FloatArray, cosine: float, jaccard: float
) -> Iterator[tuple[int, int, float]]:
    """Pairs (a < b) that are alike, and how much; a pair may come twice."""
    for start in range(0, len(atoms), BLOCK):
        near = atoms[start : start + BLOCK] @ atoms.T  # (BLOCK, n_latents)
        for i, b in zip(*np.nonzero(near >= cosine), strict=True):
            if start + i < b:
                yield start + int(i), int(b), float(near[i, b]) / cosine
    counts = np.array([len(rows) for rows in firing], np.int64)
    latents_of, starts = _by_document(firing, counts)
    for a, rows in enumerate(firing):
        if len(rows) < TOGETHER:
            continue
        beside = np.concatenate([latents_of[starts[row] : starts[row + 1]] for row in rows])
        together = np.bincount(beside, minlength=len(firing))  # (n_latents,)
        overlap = together / (counts[a] + counts - together)
        for b in np.flatnonzero((overlap >= jaccard) & (together >= TOGETHER)):
            if a < b:
                yield a, int(b), float(overlap[b]) / jaccard


def _by_document(firing: Sequence[IntArray], counts: IntArray) -> tuple[IntArray, IntArray]:
    """The latents that fire on each document, one after another, and where each document's begin."""
    rows = np.concatenate([*firing, np.empty(0, np.int64)]).astype(np.int64)
    latents = np.repeat(np.arange(len(firing)), counts)
    documents = int(rows.max()) + 1 if len(rows) else 0
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=documents))])
    return latents[np.argsort(rows, kind="stable")], starts


def _merge(between: dict[int, dict[int, float]], largest: int) -> list[list[int]]:
    """Join the two most alike groups until none are alike enough.

    Args:
        between: Group -> other group -> sum of the likenesses of their pairs; is used up.
        largest: Members of one group at most.
    """
    members = {group: [group] for group in between}
    heap = [(-likeness, a, b) for a, near in between.items() for b, likeness in near.items() if a < b]
    heapq.heapify(heap)
    newest = max(between, default=0)
    while heap:
        _, a, b = heapq.heappop(heap)
        if a not in members or b not in members or len(members[a]) + len(members[b]) > largest:
            continue  # one of them has joined another since
        newest += 1
        members[newest] = members.pop(a) + members.pop(b)
        joined: dict[int, float] = defaultdict(float)
        for old in (a, b):
            for other, likeness in between.pop(old).items():
                if other in members:
                    joined[other] += likeness
        between[newest] = joined
        for other, likeness in joined.items():
            between[other][newest] = likeness
            mean = likeness / (len(members[newest]) * len(members[other]))
            if mean >= LINKAGE:
                heapq.heappush(heap, (-mean, other, newest))
    return [group for group in members.values() if len(group) > 1]


def named_families(features: Features, found: Sequence[Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """Families with names, those that people made first.

    A family that was found goes by the label of its most frequent member. Hidden latents are left out, and of the found
    families also those latents that people put into another; what has one member then is none.

    Args:
        features: As people edited them.
        found: From `find_families`.
    """
    named: dict[str, list[int]] = {}
    for feature in features:
        if feature.family is not None and not feature.hidden:
            named.setdefault(feature.family, []).append(feature.id)
    for family in found:
        members = [features[latent] for latent in family]
        free = [member for member in members if member.family is None and not member.hidden]
        if len(free) > 1:
            first = min(free, key=lambda member: (member.label is None, -member.density, member.id))
            name = first.label or first.name
            named[f"{name} ({first.name})" if name in named else name] = [member.id for member in free]
    return {name: tuple(latents) for name, latents in named.items()}
