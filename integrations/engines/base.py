"""What every other engine has in common: the bundle steers, the engine searches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import FloatArray, unit_rows
from ...errors import ConfigError, DataError, EngineError
from ...runtime.bundle.bundle import Bundle
from ...runtime.search.fusion import Fusion
from ...runtime.search.hits import COMPARED, Hit, explain_steered
from ...runtime.search.inputs import check_unit_rows
from ...runtime.steering.auto_strength import KEEP
from ...runtime.steering.concepts import Concept
from ...runtime.steering.resolver import Boost, Key, Resolver, SteeredQuery


class SteeredEngine(ABC):
    """An engine that holds vectors of the bundle's embedder. Nothing of it is kept: every search asks it again.

    Args:
        bundle: The exported folder of that embedder, or an opened bundle.
        sample: Some hundred to thousand of its documents, spread over all, as texts or unit rows (n, d_in): they say
            what a phrase means in them, as an index's own do. Without them the bundle's reference corpus is asked.

    Raises:
        BundleError: The bundle cannot be used.
        DataError: The sample is not texts or unit rows.
    """

    provider: str
    """The engine's name in messages and traces."""
    views: Sequence[str] = ("dense",)
    """What can be compared in it."""

    def __init__(self, bundle: str | Path | Bundle, sample: Sequence[str] | FloatArray | None = None) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
        """What embeds, encodes and names the features."""
        if sample is not None:
            rows = sample if isinstance(sample, np.ndarray) else self.bundle.embed(list(sample))
            known = check_unit_rows(rows, "sample", self.bundle.d_in)
        self._resolver = Resolver(self.bundle, self._vector_of, sample=None if sample is None else lambda: known)

    def steer(
        self,
        query: str | FloatArray,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        *,
        keep: float = KEEP,
        protect: bool = False,
        code: bool = False,
    ) -> SteeredQuery:
        """The steered vector, and what each concept became; see `SteerableIndex.steer`."""
        return self._resolver.steer(self._query(query), boost, clamp, keep=keep, protect=protect, code=code)

    def resolve(self, key: Key) -> Concept:
        """What a key of a boost becomes; see `SteerableIndex.resolve`.

        An index asks its documents what a phrase means in them; here the `sample` is asked, and `evidence` is None.
        What an index resolved (``boost={index.resolve("radio astronomy"): 1.5}``) means the same everywhere.
        """
        return self._resolver.resolve(key)

    def search(
        self,
        query: str | FloatArray,
        k: int = 10,
        *,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        keep: float = KEEP,
        protect: bool = False,
        filter: Any = None,
        view: str = "dense",
        fusion: Fusion = "rrf",
        text: str | None = None,
        compare: bool = False,
    ) -> list[Hit]:
        """The best documents of the engine for a steered query.

        Args:
            query: A text, or a unit vector of length d_in.
            k: Results wanted, at least 1.
            boost: Concept -> strength, or `"auto"`.
            clamp: Concept -> value.
            keep: As in `SteerableIndex.search`.
            protect: As in `SteerableIndex.search`.
            filter: In the dialect of the engine.
            view: One of `views`.
            fusion: How `hybrid` joins its views: by rank, as engines do.
            text: The words of a query that is a vector; no view here searches words.
            compare: Fill in `Hit.rank_before` and `Hit.moved_by`; asks the engine twice, and embeds the texts of the
                hits again.

        Returns:
            Hits in the order of the engine. `score` is the engine's own number, NaN where it gives none; `id` is ""
            where it gives none.

        Raises:
            ConfigError: k, a strength, keep, the view or the fusion is out of range.
            UnknownFeatureError: A boost names a latent that is not there.
            EngineError: The engine does not answer, or refuses the filter.
        """
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise ConfigError(f"k is {k!r}: it must be a whole number of at least 1")
        if view not in self.views:
            more = "; integrations.sparse has engines with the latent view" if len(self.views) == 1 else ""
            raise ConfigError(f"view is {view!r}: in {self.provider} there is only {', '.join(self.views)}{more}")
        if fusion != "rrf":
            raise ConfigError(f"fusion is {fusion!r}: {self.provider} joins its views by rank, which is 'rrf'")
        steered = self.steer(query, boost, clamp, keep=keep, protect=protect, code=compare or view != "dense")
        hits = self._hits(steered, view, int(k), filter)
        if not compare or not hits:
            return hits
        assert steered.change is not None
        undone = steered.change.undone
        before = SteeredQuery(steered.original, steered.original, lambda: undone, (), ())
        ranks = {_key(hit): hit.rank for hit in self._hits(before, view, max(int(k), COMPARED), filter)}
        made = []
        for hit, vector in zip(hits, self.bundle.embed([hit.text for hit in hits]), strict=True):
            moved_by = explain_steered(hit.id, steered, vector, self.bundle).moved_by()
            made.append(replace(hit, rank_before=ranks.get(_key(hit)), moved_by=moved_by))
        return made

    @abstractmethod
    def _hits(self, steered: SteeredQuery, view: str, k: int, filter: Any) -> list[Hit]:
        """The engine's best `k`; with a view other than dense, `steered.change` is there."""

    @abstractmethod
    def _vector_of(self, id: str) -> FloatArray | None:
        """The vector of a stored document, for concepts from examples."""

    def _query(self, query: str | FloatArray) -> FloatArray:
        if isinstance(query, str):
            return self.bundle.embed_query(query)
        if not isinstance(query, np.ndarray) or query.shape != (self.bundle.d_in,) or not np.any(query):
            raise DataError(
                f"the query is {type(query).__name__}: give a text or a unit vector of length {self.bundle.d_in}"
            )
        row: FloatArray = unit_rows(query[None])[0]
        return row

    def _ask(self, method: Callable[..., Any], *arguments: Any, **how: Any) -> Any:
        """Call the engine.

        Raises:
            EngineError: It does not answer.
        """
        try:
            return method(*arguments, **how)
        except Exception as error:
            first = next(iter(str(error).strip().splitlines()), "no message")
            raise EngineError(
                f"{self.provider} did not answer ({type(error).__name__}: {first:.200}): see that its engine "
                f"runs, that it holds vectors of dimension {self.bundle.d_in}, and that the filter is in its dialect"
            ) from error


def _key(hit: Hit) -> str:
    """What tells hits apart: the id, or the text where an engine gives no ids."""
    return hit.id or hit.text
