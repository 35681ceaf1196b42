"""`SteeredEngine`: the bundle steers, another engine searches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import Self

from ...arrays import FloatArray, check_unit_rows, unit_rows
from ...errors import ConfigError, DataError, EngineError
from ...runtime import Boost, Bundle, Concept, Fusion, Hit, Key, SteeredQuery, Steering
from ...runtime.search.hits import COMPARE_DEPTH, with_comparison
from ...runtime.search.views import check_k
from ...runtime.steering.documents import Documents
from ...runtime.steering.request import DEFAULT_KEEP
from ...runtime.steering.resolver import Resolver
from ...sequences import as_list
from ...text import shown


class EngineDocuments(Documents):
    """The documents of an engine, for the resolver: a function from id to vector, and a sample of shape (n, d_in)."""

    def __init__(self, vector_of: Callable[[str], FloatArray | None], sample: FloatArray | None) -> None:
        self._vector_of, self._sample = vector_of, sample

    def vector_of(self, id: str) -> FloatArray | None:
        """Return the vector of a document; see `Documents.vector_of`."""
        return self._vector_of(id)

    def sample_vectors(self, limit: int) -> FloatArray | None:
        """Return the whole sample: whoever gave it chose its size."""
        return self._sample


class SteeredEngine(ABC):
    """An engine that holds vectors of the bundle's embedder. Nothing is cached: every search calls the engine.

    Args:
        bundle: The exported folder of that embedder, or an opened bundle.
        sample: Some hundred to thousand of its documents, spread over all, as texts or unit rows (n, d_in): they say
            what a phrase means in them, as an index's own do. Without them the bundle's reference corpus does.

    Raises:
        BundleError: The bundle cannot be used.
        DataError: The sample is not texts or unit rows.
    """

    provider: str
    """The engine's name in messages and traces."""
    views: Sequence[str] = ("dense",)
    """The views that it can search."""

    def __init__(self, bundle: str | Path | Bundle, sample: Sequence[str] | FloatArray | None = None) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
        """The bundle that embeds, encodes and names the features."""
        if sample is not None:
            rows = sample if np.ndim(sample) > 1 else self.bundle.embed_documents(as_list(sample, "sample"))
            sample = check_unit_rows(rows, "sample", self.bundle.d_in)
        self._sample = sample
        self._resolver = Resolver(self.bundle, EngineDocuments(self._vector_of, sample))

    def __copy__(self) -> Self:
        """Return the engine itself: it is a connection, which copies share."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """As `__copy__`."""
        return self

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Refuse to be pickled: the connection belongs to this process."""
        raise ConfigError(
            f"{self.provider} is reached by a connection of this process, which cannot be pickled: connect again in "
            f"the other process, and make the {type(self).__name__} there"
        )

    def steer(
        self,
        query: str | FloatArray | SteeredQuery,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        *,
        keep: float = DEFAULT_KEEP,
        protect: bool = False,
        steering: Steering | None = None,
        text: str | None = None,
    ) -> SteeredQuery:
        """Return the query that a search would search with, and what each concept became.

        As `SteerableIndex.steer`, but a vector may have any length.
        """
        request = Steering.of(steering, boost, clamp, keep, protect)
        return self._resolver.steer(self._unit(query), request, text=text)

    def resolve(self, key: Key) -> Concept:
        """Return what a key of a boost becomes; see `SteerableIndex.resolve`.

        An index finds out from its documents what a phrase means in them; here the `sample` says it, and `evidence` is
        None. What an index resolved (``boost={index.resolve("radio astronomy"): 1.5}``) means the same everywhere.
        """
        return self._resolver.resolve(key)

    def search(
        self,
        query: str | FloatArray | SteeredQuery,
        k: int = 10,
        *,
        steering: Steering | None = None,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        keep: float = DEFAULT_KEEP,
        protect: bool = False,
        filter: Any = None,
        view: str = "dense",
        fusion: Fusion = "rrf",
        text: str | None = None,
        compare: bool = False,
    ) -> list[Hit]:
        """Return the best documents of the engine for a query.

        Args:
            query: A text, a vector of length d_in, or what `steer` returned.
            k: Results wanted, at least 1.
            steering: The request to steer as one object, in place of the next four arguments.
            boost: Concept -> strength, or `"auto"`.
            clamp: Concept -> value.
            keep: As in `SteerableIndex.search`.
            protect: As in `SteerableIndex.search`.
            filter: In the dialect of the engine.
            view: One of `views`.
            fusion: How `hybrid` joins its views: by rank, as engines do.
            text: The words of a query that is a vector; no view here searches words.
            compare: Fill in `Hit.rank_before` and `Hit.moved_by`; searches twice, and embeds the texts of the hits
                again.

        Returns:
            Hits in the order of the engine. `score` is the engine's own number, NaN where it gives none; `id` is ""
            where it gives none.

        Raises:
            ConfigError: k, a strength, keep, the view or the fusion is out of range.
            UnknownFeatureError: A boost names a latent that is not there.
            EngineError: The engine does not answer, or refuses the filter.
        """
        wanted = check_k(k)
        if not isinstance(view, str) or view not in self.views:
            more = "; integrations.engines has engines with the latent view" if len(self.views) == 1 else ""
            raise ConfigError(f"view is {shown(view)}: in {self.provider} there is only {', '.join(self.views)}{more}")
        if not isinstance(fusion, str) or fusion != "rrf":
            raise ConfigError(f"fusion is {shown(fusion)}: {self.provider} joins its views by rank, which is 'rrf'")
        steered = self.steer(query, boost, clamp, keep=keep, protect=protect, steering=steering, text=text)
        hits = self._hits(steered, view, wanted, filter)
        if not compare or not hits:
            return hits
        plain = self._hits(steered.unsteered, view, max(wanted, COMPARE_DEPTH), filter)
        # The text tells hits apart where an engine gives no ids.
        ranks = {hit.id or hit.text: hit.rank for hit in plain}
        vectors = self.bundle.embed_documents([hit.text for hit in hits])
        found = with_comparison(hits, ranks, steered, list(vectors), self.bundle)
        return [hit if hit.id else replace(hit, rank_before=ranks.get(hit.text)) for hit in found]

    def vectors(self, ids: Sequence[str]) -> list[FloatArray | None]:
        """Return the unit vectors of documents, shape (d_in,) each; None for an unknown id."""
        return [self._vector_of(id) for id in ids]

    def sample(self, limit: int) -> tuple[FloatArray | None, None]:
        """Return the vectors of the whole sample, (n, d_in), and no codes; None without a sample."""
        return self._sample, None

    @abstractmethod
    def _hits(self, steered: SteeredQuery, view: str, k: int, filter: Any) -> list[Hit]:
        """Return the engine's best `k` in one of its views."""

    @abstractmethod
    def _vector_of(self, id: str) -> FloatArray | None:
        """Return the vector of a stored document, for concepts from examples; None when there is no such document."""

    def _unit(self, query: str | FloatArray | SteeredQuery) -> str | FloatArray | SteeredQuery:
        """Return a vector of any length as a unit vector, and anything else as it is."""
        if not isinstance(query, np.ndarray):
            return query
        if query.shape != (self.bundle.d_in,) or not np.any(query):
            raise DataError(
                f"the query is {type(query).__name__}: give a text or a unit vector of length {self.bundle.d_in}"
            )
        row: FloatArray = unit_rows(query[None])[0]
        return row

    def _call(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call the engine; whatever it raises becomes an `EngineError`."""
        try:
            return method(*arguments, **named)
        except Exception as error:
            first = next(iter(str(error).strip().splitlines()), "no message")
            raise EngineError(
                f"{self.provider} did not answer ({type(error).__name__}: {first:.200}): see that its engine "
                f"runs, that it holds vectors of dimension {self.bundle.d_in}, and that the filter is in its dialect"
            ) from error
