"""The tree of features: a few dozen branches, families in each, and in those every feature that fires."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import numpy as np

from ...arrays import BoolArray, FloatArray, IntArray, unit_rows
from ...text import share_word
from ..bundle.feature_tree import FeatureGroup, Tree
from .encoded_documents import EncodedDocuments, largest
from .names.candidates import Candidates

FAMILY = 10
"""Features in a family, about: as many as can be read at a glance."""
LARGEST = 20
"""Features in a family at most, unless more point exactly the same way."""
BRANCHES = 40
"""Branches at most."""
FLAT = 5
"""Families at most that stand at the top themselves, without branches."""
BLOCK = 1024
"""Documents whose families are found at once: 4 MB where there are 500."""
ROUNDS = 25
"""Of the clustering. On real corpora it does not change any more after 10 to 20."""

POOL = 300
"""Nearest phrases that are considered for the name of a group."""
GENERAL = 3000
"""The most frequent phrases, of which branches are named: a branch is about much, so its name must be no rare one."""

Name = Callable[[IntArray, frozenset[str], bool], str]
"""Names a group: its latents, the names that are taken, and whether it is a branch."""


def build_tree(
    directions: FloatArray, documents: EncodedDocuments, families: Sequence[Sequence[int]], name: Name
) -> Tree:
    """Make a tree of all features that fire anywhere.

    Branches and families are clusters (spherical k-means) of the directions in which the features' documents lie.
    Families that were found by common documents stay whole. The same features give the same tree. Each level covers the
    documents: one belongs to the branch whose features are most active on it together, and in that to such a family.

    Args:
        directions: Mean of the documents of each latent, unit rows, shape (n_latents, d_in).
        documents: The documents.
        families: Of `find_families`.
        name: Gives each group its name, branches first.

    Returns:
        Branches with families in them, or families alone where the features are few.
    """
    size = np.array([len(rows) for rows, _ in documents.firing], np.int64)
    units = _units(size > 0, families)
    if not units:
        return ()
    live = sum(map(len, units))
    rows = np.stack([directions[unit].sum(0) for unit in units])  # a unit counts as much as it has members
    count = _branches(live)
    found = [_families([units[i] for i in at], rows[at]) for at in _clusters(rows, count)]
    shares = iter(_shares(documents, found))
    taken: set[str] = set()

    def named(latents: IntArray, branch: bool) -> str:
        given = name(latents, frozenset(taken), branch)
        taken.add(given)
        return given

    def family(latents: IntArray) -> FeatureGroup:
        order = latents[np.lexsort((latents, -size[latents]))]
        return FeatureGroup(named(latents, False), tuple(order.tolist()), (), round(next(shares), 4))

    if count == 1:
        return _largest_first([family(latents) for latents in found[0]])
    # The branches first, so that they get the names that say most.
    names = [named(np.concatenate(branch), True) for branch in found]
    filled = [_largest_first([family(latents) for latents in branch]) for branch in found]
    return _largest_first(
        [
            FeatureGroup(given, (), children, round(sum(child.share or 0.0 for child in children), 4))
            for given, children in zip(names, filled, strict=True)
        ]
    )


def name_group(
    direction: FloatArray, phrases: Candidates, taken: Collection[str], *, branch: bool = False
) -> str | None:
    """Return the phrase that names a group best: the nearest to its direction that no other group has.

    Args:
        direction: Of the documents on which its members fire, shape (d_in,).
        phrases: Candidates that names may be made of, most frequent first.
        taken: Names of other groups. The name has words that none of them has.
        branch: Whether it is a branch.

    Returns:
        None where all phrases that are near are taken.
    """
    count = min(GENERAL, len(phrases.texts)) if branch else len(phrases.texts)
    if not count:
        return None
    taken_words = [set(name.split()) for name in taken]
    for at in largest(phrases.centred[:count] @ direction, POOL):
        phrase = phrases.texts[int(at)]
        words = set(phrase.split())
        if not any(words <= other or other <= words or _alike(words, other) for other in taken_words):
            return phrase
    return None


def _alike(words: set[str], other: set[str]) -> bool:
    """Return whether two names differ in the endings of their words only."""
    return len(words) == len(other) and all(any(share_word(a, b) for b in other) for a in words)


def _branches(live: int) -> int:
    """Return the number of branches: about as many as a branch has families, so that no level is long."""
    families = live / FAMILY
    return 1 if families <= FLAT else min(BRANCHES, max(3, round(1.5 * math.sqrt(families))))


def _units(fires: BoolArray, families: Sequence[Sequence[int]]) -> list[IntArray]:
    """Return what the tree is made of: families, and the other latents that fire, each alone."""
    whole = [np.array([latent for latent in family if fires[latent]], np.int64) for family in families]
    inside = {int(latent) for family in whole for latent in family}
    alone = [np.array([latent]) for latent in range(len(fires)) if fires[latent] and latent not in inside]
    return [*(family for family in whole if len(family)), *alone]


def _families(units: list[IntArray], rows: FloatArray) -> list[IntArray]:
    """Cluster the units of a branch into families; one that is too large is cut again, one of one latent is joined."""
    total = sum(map(len, units))
    waiting = [(at, rows[at]) for at in _clusters(rows, math.ceil(total / FAMILY))]
    done: list[list[int]] = []
    while waiting:
        at, own = waiting.pop()
        size = sum(len(units[i]) for i in at)
        parts = _clusters(own, math.ceil(size / FAMILY)) if size > LARGEST and len(at) > 1 else []
        if len(parts) > 1:
            waiting += [(at[part], own[part]) for part in parts]
        else:
            done.append(at.tolist())
    return [np.sort(np.concatenate([units[i] for i in at])) for at in _without_loners(done, units, rows)]


def _without_loners(groups: list[list[int]], units: list[IntArray], rows: FloatArray) -> list[list[int]]:
    """Put a latent that is alone into the nearest group that has room for it; one group alone stays."""
    size = [sum(len(units[i]) for i in at) for at in groups]
    means = unit_rows(np.stack([rows[at].sum(0) for at in groups]))
    for i in sorted(range(len(groups)), key=lambda i: groups[i]):
        if size[i] != 1 or len(groups) == 1:
            continue
        near = means @ means[i]
        near[i] = -np.inf
        near[[n == 0 or n >= LARGEST for n in size]] = -np.inf
        best = int(near.argmax())
        if np.isfinite(near[best]):
            groups[best] = groups[best] + groups[i]
            size[best] += 1
            groups[i], size[i] = [], 0
    return sorted((at for at in groups if at), key=min)


def _clusters(rows: FloatArray, count: int) -> list[IntArray]:
    """Cluster rows by the cosine to the sums of clusters: spherical k-means (Dhillon, Modha 2001).

    The first centres are rows, rather far apart (k-means++, Arthur, Vassilvitskii 2007), by chance with a fixed seed.

    Returns:
        Positions of the rows of each cluster that has any, ascending.
    """
    n = len(rows)
    if count <= 1 or n <= 1:
        return [np.arange(n)]
    points, rng = unit_rows(rows), np.random.default_rng(0)
    centres = np.empty((min(count, n), rows.shape[1]), np.float32)
    away = np.ones(n)
    for i in range(len(centres)):
        centres[i] = points[rng.choice(n, p=away / away.sum())]
        away = np.minimum(away, np.maximum(1 - points @ centres[i], 0) ** 2)
        if not away.any():
            centres = centres[: i + 1]
            break
    owner = np.full(n, -1)
    for _ in range(ROUNDS):
        now = (points @ centres.T).argmax(1)
        if (now == owner).all():
            break
        owner = now
        sums = np.zeros_like(centres)
        np.add.at(sums, owner, rows)
        has = np.abs(sums).max(1) > 0
        centres[has] = unit_rows(sums[has])
    return [at for i in range(len(centres)) if len(at := np.flatnonzero(owner == i))]


def _shares(documents: EncodedDocuments, branches: Sequence[Sequence[IntArray]]) -> list[float]:
    """Return the share of the documents that belong to each family, branch by branch."""
    families = [family for branch in branches for family in branch]
    family_of = np.full(documents.n_latents, len(families))
    for i, family in enumerate(families):
        family_of[family] = i
    ends = np.cumsum([len(branch) for branch in branches])
    starts = ends - [len(branch) for branch in branches]
    # What is active everywhere says least about a document, like a common word.
    active = np.array([len(rows) for rows, _ in documents.active])
    scale = np.log((1 + len(documents)) / (1 + active)) / np.maximum(documents.typical, 1e-12)
    counts = np.zeros(len(families), np.int64)
    width = len(families) + 1
    for start in range(0, len(documents), BLOCK):
        latents = documents.indices[start : start + BLOCK]
        strengths = documents.values[start : start + BLOCK] * scale[latents]
        at = family_of[latents] + width * np.arange(len(latents))[:, None]
        sums = np.bincount(at.ravel(), strengths.ravel(), width * len(latents)).reshape(-1, width)[:, :-1]
        best = np.add.reduceat(sums, starts, axis=1).argmax(1)  # the branch of each document
        inside = (np.arange(len(families)) >= starts[best][:, None]) & (np.arange(len(families)) < ends[best][:, None])
        found = np.where(inside, sums, -1.0).argmax(1)
        counts += np.bincount(found[sums.any(1)], minlength=len(families))
    return [float(count) / max(len(documents), 1) for count in counts]


def _largest_first(groups: Sequence[FeatureGroup]) -> Tree:
    return tuple(sorted(groups, key=lambda group: (-(group.share or 0.0), group.name)))
