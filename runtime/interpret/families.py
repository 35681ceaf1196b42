"""Families: groups of latents that fire on the same documents, or whose atoms point the same way."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from ...arrays import FloatArray, IntArray
from ..bundle.feature_tree import FeatureGroup, Tree, with_user_families
from ..bundle.features import Features
from ..bundle.interpretation import Interpretation

COSINE = 0.4
"""Atoms at this cosine express the same thing. The nearest of 4,096 random directions in 384 dimensions is at .2."""
JACCARD = 0.1
"""Documents on which both of two latents fire, as a share of those on which either does. On SciFact one latent in three
has another that near; pairs just above it have one subject, such as histones and their deacetylases."""
MIN_COMMON = 3
"""Fewer common documents than this may be a coincidence."""
LINKAGE = 0.6
"""Two groups join while their mean similarity is at least this; 1 is the similarity at either threshold."""
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
    """Group similar latents by average linkage.

    The similarity of two latents is the cosine of their atoms or the Jaccard overlap of their documents, whichever is
    larger, in units of its threshold; below both thresholds it is 0. Two groups join by the mean over all their pairs,
    so that a chain of neighbours does not become one family.

    Args:
        firing: Rows of the documents on which each latent fires, in any order.
        atoms: Unit rows, shape (n_latents, d_in), float32.
        cosine: Threshold for atoms, above 0.
        jaccard: Threshold for documents, above 0.
        largest: Latents in one family at most.

    Returns:
        Families of at least two latents, largest first, then by their first latent; ascending within a family.
    """
    similar: dict[int, dict[int, float]] = defaultdict(dict)
    for a, b, similarity in _similar_pairs(firing, atoms, cosine, jaccard):
        similar[a][b] = similar[b][a] = max(similarity, similar[a].get(b, 0.0))
    groups = _merge({latent: dict(near) for latent, near in similar.items()}, largest)
    return tuple(sorted((tuple(sorted(group)) for group in groups), key=lambda group: (-len(group), group)))


def edited_tree(features: Features, interpretation: Interpretation | None) -> Tree:
    """Return the tree of a bundle's features as people see it: without the hidden ones, with families of their own.

    A bundle that was labelled before there were trees has its families at the top. One that was never labelled has
    those that users made.
    """
    tree: Tree = ()
    if interpretation is not None:
        tree = interpretation.tree or _flat(features, interpretation.families)
    return with_user_families(tree, features)


def named_families(features: Features, interpretation: Interpretation | None) -> dict[str, tuple[int, ...]]:
    """Return the families of the tree by name, those that users made first."""
    own = {feature.family for feature in features}
    families = [family for group in edited_tree(features, interpretation) for family in group.families]
    families.sort(key=lambda family: family.name not in own)
    return {family.name: family.latents for family in families}


def _flat(features: Features, found: Sequence[Sequence[int]]) -> Tree:
    """Return families from `find_families`, each named after its most frequent member.

    It loses the latents that are hidden or that a user put into another family, and is left out when fewer than two
    remain.
    """
    named: dict[str, FeatureGroup] = {}
    for family in found:
        members = [features[latent] for latent in family]
        free = [member for member in members if member.family is None and not member.hidden]
        if len(free) > 1:
            first = min(free, key=lambda member: (member.label is None, -member.density, member.id))
            name = first.label or first.name
            name = f"{name} ({first.name})" if name in named else name
            named[name] = FeatureGroup(name, tuple(member.id for member in free))
    return tuple(named.values())


def _similar_pairs(
    firing: Sequence[IntArray], atoms: FloatArray, cosine: float, jaccard: float
) -> Iterator[tuple[int, int, float]]:
    """Yield pairs (a < b) above a threshold and their similarity; a pair may come twice."""
    for start in range(0, len(atoms), BLOCK):
        near = atoms[start : start + BLOCK] @ atoms.T  # (BLOCK, n_latents)
        for i, b in zip(*np.nonzero(near >= cosine), strict=True):
            if start + i < b:
                yield start + int(i), int(b), float(near[i, b]) / cosine
    counts = np.array([len(rows) for rows in firing], np.int64)
    latents_of, starts = _by_document(firing, counts)
    for a, rows in enumerate(firing):
        if len(rows) < MIN_COMMON:
            continue
        others = np.concatenate([latents_of[starts[row] : starts[row + 1]] for row in rows])
        common = np.bincount(others, minlength=len(firing))  # (n_latents,)
        overlap = common / (counts[a] + counts - common)
        for b in np.flatnonzero((overlap >= jaccard) & (common >= MIN_COMMON)):
            if a < b:
                yield a, int(b), float(overlap[b]) / jaccard


def _by_document(firing: Sequence[IntArray], counts: IntArray) -> tuple[IntArray, IntArray]:
    """Return the latents that fire on each document, concatenated, and the position where each document's start."""
    rows = np.concatenate([*firing, np.empty(0, np.int64)]).astype(np.int64)
    latents = np.repeat(np.arange(len(firing)), counts)
    documents = int(rows.max()) + 1 if len(rows) else 0
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=documents))])
    return latents[np.argsort(rows, kind="stable")], starts


def _merge(between: dict[int, dict[int, float]], largest: int) -> list[list[int]]:
    """Join the two most similar groups until none are similar enough.

    `between` maps group -> other group -> sum of the similarities of their pairs, and is changed.
    """
    members = {group: [group] for group in between}
    heap = [(-similarity, a, b) for a, near in between.items() for b, similarity in near.items() if a < b]
    heapq.heapify(heap)
    newest = max(between, default=0)
    while heap:
        _, a, b = heapq.heappop(heap)
        # A group that has joined another one since is no longer there.
        if a not in members or b not in members or len(members[a]) + len(members[b]) > largest:
            continue
        newest += 1
        members[newest] = members.pop(a) + members.pop(b)
        joined: dict[int, float] = defaultdict(float)
        for old in (a, b):
            for other, similarity in between.pop(old).items():
                if other in members:
                    joined[other] += similarity
        between[newest] = joined
        for other, similarity in joined.items():
            between[other][newest] = similarity
            mean = similarity / (len(members[newest]) * len(members[other]))
            if mean >= LINKAGE:
                heapq.heappush(heap, (-mean, other, newest))
    return [group for group in members.values() if len(group) > 1]
