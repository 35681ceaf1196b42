"""One hit for each document, or for each value of a field: the best of its pieces."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from ...errors import ConfigError
from ...json_values import finite_json
from ...text import shown
from .hits import Hit, Hits

ID = ""
"""Every hit by itself."""
DOCUMENT = "document"
"""The group of all chunks of a document."""
_DEEPER = 4
"""Hits per wanted group at first, and how many times more are asked for where those were too few."""


def check_group(group: object) -> str | None:
    """Return the name of a grouping; a ConfigError if it is none."""
    if group is None or (isinstance(group, str) and group):
        return group
    raise ConfigError(f"group is {shown(group)}: it must be 'document', or the name of a field of the metadata")


def group_of(hit: Hit, group: str) -> Hashable:
    """Return what is the same for all hits of a group; without the field, a document is a group of its own."""
    if group == ID:
        return hit.id
    if group == DOCUMENT:
        return hit.document
    if group not in hit.metadata:
        return (hit.document,)
    value = finite_json(hit.metadata[group])
    return value if isinstance(value, str) else repr(value)


def grouped(search: Callable[[int], Hits], k: int, group: str) -> Hits:
    """Return the best hit of each of the `k` best groups; `search` returns as many hits as it is asked for."""
    depth = k * _DEEPER
    while True:
        hits = search(depth)
        best: dict[Hashable, Hit] = {}
        for hit in hits:
            best.setdefault(group_of(hit, group), hit)
        if len(best) >= k or len(hits) < depth:
            return Hits(replace(hit, rank=rank) for rank, hit in enumerate([*best.values()][:k], 1))
        depth *= _DEEPER


def ranks_before(hits: Sequence[Hit], plain: Sequence[Hit], group: str | None) -> dict[str, int | None]:
    """Return id -> the rank that its group has among the hits without steering; None where it is not among them."""
    ranks = {group_of(hit, group or ID): hit.rank for hit in plain}
    return {hit.id: ranks.get(group_of(hit, group or ID)) for hit in hits}
