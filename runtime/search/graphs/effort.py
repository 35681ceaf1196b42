"""What a graph spends on its searches, in steps."""

from typing import NamedTuple


class Effort(NamedTuple):
    """Factors on the parameters that an index was made with."""

    links: int
    """On `m` and `ef_construction`."""
    candidates: int
    """On `ef_search`."""


EFFORTS = (Effort(1, 1), Effort(1, 3), Effort(2, 3))
"""Tried in this order until the recall suffices. If none does, searches are exact."""
EFFORT_NAMES = ("", "more candidates", "more links", "exact")
