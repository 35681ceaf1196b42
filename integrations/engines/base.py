"""`SteeredEngine`: the bundle steers, another engine searches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from typing_extensions import Self

from ...arrays import FloatArray, WideArray, check_unit_rows, unit_rows
from ...errors import ConfigError, DataError, EngineError
from ...forks import renew_after_fork
from ...runtime import Blend, Boost, Bundle, Concept, Explanation, Fusion, Hit, Hits, Key, SteeredQuery, Steering
from ...runtime.search.hits import COMPARE_DEPTH, with_comparison
from ...runtime.search.lexical.word_sets import shares_in, spread_in
from ...runtime.search.views import check_k, check_removed
from ...runtime.steering.change import Change
from ...runtime.steering.conditions.terms import Term
from ...runtime.steering.documents import Documents
from ...runtime.steering.explain import explain_steered
from ...runtime.steering.highlights.in_words import in_words
from ...runtime.steering.highlights.word_vectors import WordReader
from ...runtime.steering.request import DEFAULT_KEEP, Removable
from ...runtime.steering.resolver import Resolver
from ...sequences import as_list
from ...steering_warnings import warn
from ...text import shown
from .rescoring import TextVectors, joined, ranked_by_terms

PROBES = 64
"""Features whose nearest documents make the sample of an engine."""


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
            what a phrase means in them, and how far a document about it stands out, as an index's own do. By default
            the first steered search looks for some, which is less even and costs `PROBES` searches once.

    Raises:
        BundleError: The bundle cannot be used.
        DataError: The sample is not texts or unit rows.
    """

    provider: str
    """The engine's name in messages and traces."""
    views: Sequence[str] = ("dense",)
    """The views that it can search."""
    rescored: int = 200
    """Candidates of the engine that a boost or exclusion ranks again, at least twice the results; in the dense view 0
    leaves the order to the engine, searched with a vector between query and concepts, and nothing is excluded."""

    probed: int = 16
    """Documents per feature that the engine is searched for to have a sample. Of the ten documents that an index of
    5,900 texts finds with a boost, 84 % are found with 4 (250 documents), 87 % with 8, 62 % without a sample."""

    def __init__(self, bundle: str | Path | Bundle, sample: Sequence[str] | FloatArray | None = None) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
        """The bundle that embeds, encodes and names the features."""
        self._texts, self._words = TextVectors(self.bundle), WordReader(self.bundle)
        if sample is not None:
            rows = sample if np.ndim(sample) > 1 else self.bundle.embed_documents(as_list(sample, "sample"))
            sample = check_unit_rows(rows, "sample", self.bundle.d_in)
        self._sample = sample
        self._resolver = self._new_resolver()
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Replace the lock, which another thread may have held."""
        self._lock = Lock()

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
        exclude: Sequence[Key] | Key | None = None,
        remove: Sequence[Removable] | Removable | None = None,
        blend: Blend = "both",
        keep: float = DEFAULT_KEEP,
        protect: bool = False,
        understand: bool = False,
        steering: Steering | None = None,
        text: str | None = None,
    ) -> SteeredQuery:
        """Return the query that a search would search with, and what each concept became.

        As `SteerableIndex.steer`, but a vector may have any length.
        """
        request = Steering.of(steering, boost, clamp, keep, protect, exclude, blend, remove)
        prepared = self._resolver if request.empty and not understand else self._prepared()
        return prepared.steer(self._unit(query), request, text=text, understand=understand)

    def resolve(self, key: Key) -> Concept:
        """Return what a key of a boost becomes; see `SteerableIndex.resolve`.

        An index finds out from its documents what a phrase means in them; here the `sample` says it, and `evidence` is
        None. What an index resolved (``boost={index.resolve("radio astronomy"): 1.0}``) means the same everywhere.
        """
        return self._prepared().resolve(key)

    def search(
        self,
        query: str | FloatArray | SteeredQuery,
        k: int = 10,
        *,
        steering: Steering | None = None,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        exclude: Sequence[Key] | Key | None = None,
        remove: Sequence[Removable] | Removable | None = None,
        blend: Blend = "both",
        keep: float = DEFAULT_KEEP,
        protect: bool = False,
        understand: bool = False,
        filter: Any = None,
        view: str = "dense",
        fusion: Fusion = "rrf",
        text: str | None = None,
        compare: bool = False,
        highlight: bool = False,
    ) -> Hits:
        """Return the best documents of the engine for a query.

        With a boost or an exclusion the engine is searched twice, for what is near the query and for what is near the
        query and the concepts, and `rescored` of these candidates are ranked by the conditions that an index of ours
        ranks by; with ``blend="move"`` once, with the vector of the moved query.

        Args:
            query: A text, a vector of length d_in, or what `steer` returned.
            k: Results wanted, at least 1.
            steering: The request to steer as one object, in place of the next seven arguments.
            boost: Concept -> strength; 1 counts as much as the query. As the next seven in `SteerableIndex.search`.
            clamp: Concept -> value.
            exclude: Concepts that no document may be about.
            remove: Concepts, or each an `Attribute`, to take out of the query and the documents, in the dense view.
            blend: `"both"` or `"move"`.
            keep: With `blend="move"`, how much of the query `"auto"` keeps.
            protect: Leave alone what the query itself is most about.
            understand: Read wishes of the text.
            filter: In the dialect of the engine.
            view: One of `views`.
            fusion: How `hybrid` joins its views: by rank, as engines do.
            text: The words of a query that is a vector; no view here searches words.
            compare: Fill in `Hit.rank_before` and `Hit.moved_by`; searches once more without steering, and needs the
                vectors of the hits.
            highlight: Fill in `Hit.words`; embeds the texts of the hits.

        Returns:
            Hits, best first. `score` is the engine's own number, NaN where it gives none; of a query with a boost or
            an exclusion it is the sum of the conditions, except in hybrid, and `RankedHit.store_score` is the
            engine's. `id` is "" where it gives none.

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
        request = Steering.of(steering, boost, clamp, keep, protect, exclude, blend, remove)
        steered = self.steer(query, steering=request, text=text, understand=understand)
        check_removed(steered, view)
        hits = self._ranked(steered, view, wanted, filter)
        if highlight:
            hits = self._highlighted(steered, hits)
        if not compare or not hits:
            return Hits(hits)
        plain = self._hits(steered.unsteered, view, max(wanted, COMPARE_DEPTH), filter)
        # The text tells hits apart where an engine gives no ids.
        ranks = {hit.id or hit.text: hit.rank for hit in plain}
        explanations = {found.id: found for found in self.explanations(steered, hits)}
        named = [replace(hit, id=hit.id or hit.text) for hit in hits]
        found = with_comparison(named, ranks, explanations)
        return Hits(replace(hit, id=own.id) for hit, own in zip(found, hits, strict=True))

    def explanations(self, steered: SteeredQuery, hits: Sequence[Hit]) -> list[Explanation]:
        """Return why each hit was found, as `SteerableIndex.explain`; its `id` is the text where a hit has none."""
        names, texts = [hit.id or hit.text for hit in hits], [hit.text for hit in hits]

        def shares(term: Term) -> WideArray:
            return shares_in(texts, term.words)

        return explain_steered(names, steered, self._vectors(hits), shares, self.bundle)

    def _highlighted(self, steered: SteeredQuery, hits: Sequence[Hit]) -> list[Hit]:
        """Return hits with their words."""
        texts = [hit.text for hit in hits]
        explanations, vectors = self.explanations(steered, hits), self._vectors(hits)
        found = in_words(explanations, steered, texts, vectors, _said, self._words, self.bundle)
        return [replace(hit, words=explanation.words) for hit, explanation in zip(hits, found, strict=True)]

    def vectors(self, ids: Sequence[str]) -> list[FloatArray | None]:
        """Return the unit vectors of documents, shape (d_in,) each; None for an unknown id."""
        return [self._vector_of(id) for id in ids]

    def sample(self, limit: int) -> tuple[FloatArray | None, None]:
        """Return at most `limit` vectors of the sample, (m, d_in), and no codes; None without documents."""
        self._prepared()
        return (None if self._sample is None else self._sample[:limit]), None

    def _new_resolver(self) -> Resolver:
        return Resolver(self.bundle, EngineDocuments(self._vector_of, self._sample))

    def _prepared(self) -> Resolver:
        """Return the resolver, which knows a sample of the documents unless there are none yet."""
        with self._lock:
            if self._sample is None:
                self._sample = self._find_sample()
                if self._sample is not None:
                    self._resolver = self._new_resolver()
            return self._resolver

    def _find_sample(self) -> FloatArray | None:
        """Return the vectors of documents near features all over the dictionary, (m, d_in); None without documents."""
        active = np.flatnonzero(self.bundle.features.typical > 0)
        places = np.linspace(0, len(active) - 1, min(PROBES, len(active))).astype(int)
        found: list[Hit] = []
        for atom in unit_rows(self.bundle.atoms[active[places]]):
            hits = self._hits(SteeredQuery(atom, atom, (), (), _no_change), "dense", self.probed, None)
            if not hits:
                break
            found += hits
        return self._vectors(joined(found)) if found else None

    def _ranked(self, steered: SteeredQuery, view: str, k: int, filter: Any) -> list[Hit]:
        """Return the best `k` in a view, by the conditions of the query if it has any."""
        if not steered.terms:
            return self._hits(steered, view, k, filter)
        if self.rescored or view != "dense":
            return self._by_terms(steered, view, k, filter)
        if unwanted := [term.name for term in steered.terms if term.weight < 0]:
            warn(f"{shown(unwanted[0])} is not taken away: rescored is 0, and {self.provider} itself excludes nothing")
        return self._hits(steered, view, k, filter)

    def _by_terms(self, steered: SteeredQuery, view: str, k: int, filter: Any) -> list[Hit]:
        """Return the best `k` of the engine's candidates, by the conditions of the query."""
        depth = self._depth(steered, k)
        near, own = (self._hits(query, view, depth, filter) for query in (steered, steered.alone))
        hits = joined(near, own)
        return ranked_by_terms(steered, hits, self._vectors(hits), k)

    def _depth(self, steered: SteeredQuery, k: int) -> int:
        """Return how many candidates each of the two searches gives, twice as many where some should go."""
        return max(self.rescored // 2, k) * (2 if any(term.weight < 0 for term in steered.terms) else 1)

    def _vectors(self, hits: Sequence[Hit]) -> FloatArray:
        """Return the vectors of hits, shape (n, d_in); an engine that does not give them has the texts embedded."""
        return self._texts.of([hit.text for hit in hits])

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


def _said(term: Term, pieces: Sequence[str]) -> WideArray:
    return spread_in(pieces, term.words)


def _no_change() -> Change:
    raise AssertionError("the dense view reads no code")
