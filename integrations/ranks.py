"""Where documents stand without steering: one plain search, the same for every adapter."""

from __future__ import annotations

from typing import Any, Protocol

from ..metrics import FloatArray
from ..runtime.fusion import Fusion
from ..runtime.index import Hit, View

PLAIN_TOP = 100
"""Ranks are looked up in this many plain results, or in `k` where that is more."""


class Plain(Protocol):
    """What can be searched without steering."""

    def search(
        self,
        query: FloatArray,
        k: int = 10,
        *,
        filter: Any = None,
        view: View = "dense",
        fusion: Fusion = "rrf",
        text: str | None = None,
    ) -> list[Hit]:
        """The best documents, best first."""


def plain_top(k: int) -> int:
    """How far down the plain results are looked at for a search of `k`."""
    return max(PLAIN_TOP, int(k))


def ranks_without_steering(
    index: Plain,
    vector: FloatArray,
    k: int,
    *,
    filter: Any = None,
    view: View = "dense",
    fusion: Fusion = "rrf",
    text: str | None = None,
) -> dict[str, int]:
    """Document (see `key_of`) -> its rank in a plain search, as far as `plain_top` reaches.

    Args:
        index: What the steered search ran on.
        vector: The query before steering, unit, shape (d_in,).
        k: Results of the steered search.
        filter: Its filter.
        view: Its view.
        fusion: How its view `hybrid` joins the others.
        text: The words of the query, where they are known.
    """
    hits = index.search(vector, plain_top(k), filter=filter, view=view, fusion=fusion, text=text)
    return {key_of(hit): hit.rank for hit in hits}


def key_of(hit: Hit) -> str:
    """What tells hits apart: the id, or the text where an engine gives no ids."""
    return hit.id or hit.text
