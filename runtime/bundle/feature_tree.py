"""The tree of features: branches, families in them, and features in those, with what people edited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .feature import Feature

DEPTH = 3
"""Levels of groups in a file at most."""


@dataclass(frozen=True)
class FeatureGroup:
    """A branch of the tree, or a family: a group without groups in it."""

    name: str
    """Unique within the tree."""
    latents: tuple[int, ...] = ()
    """The features of a family, most frequent first; those of a branch are in its children."""
    children: tuple[FeatureGroup, ...] = ()
    """The groups of a branch, that of the most documents first."""
    share: float | None = None
    """Share of the documents that belong to it: they are most about its features. None where they were not counted."""

    @property
    def members(self) -> tuple[int, ...]:
        """All features in it, at any depth."""
        return (*self.latents, *(latent for child in self.children for latent in child.members))

    @property
    def families(self) -> tuple[FeatureGroup, ...]:
        """The groups in it that have features of their own, itself among them."""
        below = tuple(family for child in self.children for family in child.families)
        return (self, *below) if self.latents else below


Tree = tuple[FeatureGroup, ...]


def walk(tree: Tree, depth: int = 0) -> Iterator[tuple[int, FeatureGroup]]:
    """Yield every group with its depth, a branch before the groups in it."""
    for group in tree:
        yield depth, group
        yield from walk(group.children, depth + 1)


def with_user_families(tree: Tree, features: Sequence[Feature]) -> Tree:
    """Return the tree as people see it: without hidden features, and with the families that users made.

    A user's family stands in the branch from which most of its features come. One that has the name of a family of the
    tree is joined with it.
    """
    own: dict[str, list[int]] = {}
    for feature in features:
        if feature.family is not None and not feature.hidden:
            own.setdefault(feature.family, []).append(feature.id)
    places: dict[str, list[FeatureGroup]] = {}
    homeless: list[FeatureGroup] = []
    branches = [branch for branch in tree if branch.children]
    for name, latents in own.items():
        made = FeatureGroup(name, tuple(latents))
        namesakes = [sum(child.name.casefold() == name.casefold() for child in branch.children) for branch in branches]
        common = [len(set(branch.members).intersection(latents)) for branch in branches]
        near = namesakes if any(namesakes) else common
        if any(near):
            places.setdefault(branches[near.index(max(near))].name, []).append(made)
        else:
            homeless.append(made)
    gone = {feature.id for feature in features if feature.hidden or feature.family is not None}
    edited = [_edited(branch, gone, places.get(branch.name, [])) for branch in tree]
    return tuple(group for group in _joined([*homeless, *edited]) if group.latents or group.children)


def find_group(tree: Tree, key: str) -> FeatureGroup | None:
    """Return the group of a name, in any case; None without one."""
    name = " ".join(key.split()).casefold()
    return next((group for _, group in walk(tree) if group.name.casefold() == name), None)


def group_of(tree: Tree, latent: int) -> FeatureGroup | None:
    """Return the family that a feature is in; None without one."""
    return next((group for _, group in walk(tree) if latent in group.latents), None)


def group_from_json(plain: Mapping[str, Any], depth: int = DEPTH) -> FeatureGroup:
    """Make a group of plain values.

    Raises:
        KeyError, TypeError, ValueError: They are not those of a group, or there are too many levels.
    """
    if depth < 1:
        raise ValueError(f"the tree of features has more than {DEPTH} levels")
    children = tuple(group_from_json(child, depth - 1) for child in plain.get("children", ()))
    return FeatureGroup(plain["name"], tuple(plain.get("latents", ())), children, plain.get("share"))


def group_to_json(group: FeatureGroup) -> dict[str, Any]:
    """Return a group as plain values, without what is empty."""
    plain: dict[str, Any] = {"name": group.name, "share": group.share}
    plain |= {"latents": list(group.latents)} if group.latents else {}
    return plain | ({"children": [group_to_json(child) for child in group.children]} if group.children else {})


def _edited(group: FeatureGroup, gone: set[int], made: Sequence[FeatureGroup]) -> FeatureGroup:
    """Return a group without some features, with families that users made; empty groups in it are left out."""
    children = _joined([*made, *(_edited(child, gone, ()) for child in group.children)])
    kept = tuple(latent for latent in group.latents if latent not in gone)
    return replace(group, latents=kept, children=tuple(child for child in children if child.latents or child.children))


def _joined(groups: Sequence[FeatureGroup]) -> list[FeatureGroup]:
    """Join families of one name; a user's comes first, so that the documents of the joined one are not known."""
    found: dict[str, FeatureGroup] = {}
    for group in groups:
        key = group.name.casefold()
        before = found.get(key)
        if before is not None and not before.children and not group.children:
            found[key] = replace(before, latents=(*before.latents, *group.latents), share=None)
        else:
            found[key if before is None else f"{key} {len(found)}"] = group
    return list(found.values())
