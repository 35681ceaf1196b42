"""Steered search as a Haystack component (extra ``haystack``).

Example::

    pipeline.add_component("retriever", SteerableRetriever("my-index", top_k=4, boost={"radio astronomy": 1.5}))
    pipeline.run({"retriever": {"query": "solar storms", "boost": {"instrumentation": -1.0}}})  # per run

A pipeline in YAML names the index folder and holds the boost. Haystack 3 only loads classes of modules it is told to
trust: ``Pipeline.loads(text, allowed_modules=["steersearch.*"])``.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..extras import require

require("haystack", "haystack")

from haystack import Document, component, default_from_dict, default_to_dict  # noqa: E402

from ..errors import FilterError  # noqa: E402
from ..runtime.index import SteerableIndex, View  # noqa: E402
from ..runtime.steering.auto_strength import KEEP  # noqa: E402
from ..runtime.steering.concepts import Concept  # noqa: E402
from ..runtime.steering.resolver import Boost  # noqa: E402
from .adapter import Ask, answer  # noqa: E402

EXPLANATION_KEY = "steerable"
_COMPARE = {"==": "$eq", "!=": "$ne", ">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte", "in": "$in", "not in": "$nin"}


@component
class SteerableRetriever:
    """Documents of a `SteerableIndex`, steered by `boost`. The score is that of `Hit.score`.

    The errors of `SteerableIndex.search` pass through unchanged. The index is opened by `warm_up` or the first run, and
    only for reading.

    Args:
        index: The index folder, or an opened index; whoever opened it closes it.
        bundle: Where the bundle is now, if it was moved.
        top_k: Documents wanted.
        boost: Concept -> strength, or `"auto"`.
        clamp: Concept -> value to set.
        keep: The share of the query that `"auto"` keeps.
        protect: Leave alone how strongly the query expresses its own strongest features.
        filters: Metadata conditions in Haystack's dialect, or in that of `SteerableIndex.search`.
        view: What is compared.
        include_explanations: Add why a document was found to `meta` as `steerable`, as
            `integrations.langchain.SteerableRetriever` does.
    """

    def __init__(
        self,
        index: str | Path | SteerableIndex,
        bundle: str | Path | None = None,
        top_k: int = 10,
        boost: Any = None,
        clamp: Any = None,
        keep: float = KEEP,
        protect: bool = False,
        filters: dict[str, Any] | None = None,
        view: View = "dense",
        include_explanations: bool = False,
    ) -> None:
        self.path = index.path if isinstance(index, SteerableIndex) else Path(index)
        self.index = index if isinstance(index, SteerableIndex) else None
        self.bundle, self.top_k, self.boost, self.clamp = bundle, top_k, _read(boost), _read(clamp)
        self.keep, self.protect, self.filters, self.view = keep, protect, filters, view
        self.include_explanations = include_explanations

    def warm_up(self) -> None:
        """Open the index."""
        self._opened()

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str,
        top_k: int | None = None,
        boost: dict[Any, Any] | None = None,
        clamp: dict[Any, Any] | None = None,
        keep: float | None = None,
        protect: bool | None = None,
        filters: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Search; what is None is as constructed, an empty mapping means none this time.

        Args:
            query: The text to search for.
            top_k: Documents wanted.
            boost: Concept -> strength.
            clamp: Concept -> value.
            keep: The share of the query that `"auto"` keeps.
            protect: Leave the query's own strongest features alone.
            filters: Metadata conditions.
        """
        ask = Ask(
            self.top_k if top_k is None else top_k,
            self.boost if boost is None else boost,
            self.clamp if clamp is None else clamp,
            self.keep if keep is None else keep,
            self.protect if protect is None else protect,
            _filter(self.filters if filters is None else filters),
            self.view,
        )
        found = answer(self._opened(), query, ask, moves=False, explanations=self.include_explanations)
        documents = [
            Document(id=hit.id, content=hit.text, meta={**hit.metadata}, score=hit.score) for hit in found.hits
        ]
        for document, why in zip(documents, found.explanations, strict=False):  # none unless asked for
            document.meta.setdefault(EXPLANATION_KEY, why)
        return {"documents": documents}

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query: str,
        top_k: int | None = None,
        boost: dict[Any, Any] | None = None,
        clamp: dict[Any, Any] | None = None,
        keep: float | None = None,
        protect: bool | None = None,
        filters: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """As `run`, in a thread."""
        return await asyncio.to_thread(self.run, query, top_k, boost, clamp, keep, protect, filters)

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` makes the same component of; plain values only."""
        saved: dict[str, Any] = default_to_dict(
            self,
            index=str(self.path),
            bundle=None if self.bundle is None else str(self.bundle),
            top_k=self.top_k,
            boost=_written(self.boost),
            clamp=_written(self.clamp),
            keep=self.keep,
            protect=self.protect,
            filters=self.filters,
            view=self.view,
            include_explanations=self.include_explanations,
        )
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "SteerableRetriever":
        """Read what `to_dict` made; the index is opened later."""
        made: SteerableRetriever = default_from_dict(cls, data)
        return made

    def _opened(self) -> SteerableIndex:
        if self.index is None:
            self.index = SteerableIndex.open(self.path, bundle=self.bundle, readonly=True)
        return self.index


def _written(boost: Boost | None) -> Any:
    """The same mapping with texts for keys, as Haystack asks for; with a `Concept` among them, pairs."""
    if boost is None:
        return None
    keys: list[Any] = [
        json.loads(key.to_json()) if isinstance(key, Concept) else key if isinstance(key, str) else f"f{key}"
        for key in boost
    ]
    pairs = zip(keys, boost.values(), strict=True)
    return [list(pair) for pair in pairs] if any(isinstance(key, dict) for key in keys) else dict(pairs)


def _read(boost: Any) -> Boost | None:
    if not isinstance(boost, list):
        given: Boost | None = boost
        return given
    return {Concept.from_json(json.dumps(key)) if isinstance(key, dict) else key: value for key, value in boost}


def _filter(filters: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Haystack's conditions in the dialect of `runtime.filters`; anything else is left as it is.

    Raises:
        FilterError: An operator or a field that Haystack does not have, or a field that is no metadata.
    """
    if not isinstance(filters, Mapping) or "operator" not in filters:
        return filters
    operator = filters["operator"]
    if "conditions" in filters:
        parts = [_filter(condition) for condition in filters["conditions"]]
        made: dict[str, Mapping[str, Any]] = {
            "AND": {"$and": parts},
            "OR": {"$or": parts},
            "NOT": {"$not": {"$and": parts}},
        }
        if operator not in made:
            raise FilterError(f"the operator of the filter is {operator!r}: expected AND, OR or NOT around conditions")
        return made[operator]
    field, value = str(filters.get("field", "")), filters.get("value")
    if operator not in _COMPARE or not field.startswith("meta."):
        raise FilterError(
            f"the filter has the field {field!r} with the operator {operator!r}: expected a field like 'meta.year' and "
            f"one of {' '.join(_COMPARE)}"
        )
    field = field.removeprefix("meta.")
    if value is None and operator in ("==", "!="):  # to Haystack a field that is missing is None
        missing = {"$or": [{field: {"$eq": None}}, {field: {"$exists": False}}]}
        return missing if operator == "==" else {"$not": missing}
    return {field: {_COMPARE[operator]: value}}
