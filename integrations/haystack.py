"""Steered search as a Haystack component (extra ``haystack``).

Example::

    pipeline.add_component("retriever", SteerableRetriever("my-index", top_k=4, boost={"radio astronomy": 1.0}))
    pipeline.run({"retriever": {"query": "solar storms", "boost": {"instrumentation": -1.0}}})  # per run

A pipeline in YAML names the index folder and holds the boost. Haystack 3 only loads classes of modules that are
allowed: ``Pipeline.loads(text, allowed_modules=["steersearch.*"])``.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..errors import FilterError
from ..files import absolute
from ..runtime import Blend, Boost, Concept, Key, Profile, SteerableIndex, Steering, ViewName
from ..runtime.steering.request import DEFAULT_KEEP
from .optional import needs

with needs("haystack", pip="'steersearch[haystack]'"):
    from haystack import Document, component, default_from_dict, default_to_dict

    from .adapter import CallArguments, search_and_report, with_call

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
        top_k: Documents wanted. `boost`, `clamp`, `keep`, `protect`, `view`, `exclude`, `blend` and `understand` are as
            in `SteerableIndex.search`.
        filters: Metadata conditions in Haystack's dialect, or in that of `SteerableIndex.search`.
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
        keep: float = DEFAULT_KEEP,
        protect: bool = False,
        filters: dict[str, Any] | None = None,
        view: ViewName = "dense",
        include_explanations: bool = False,
        exclude: Any = None,
        blend: Blend = "both",
        understand: bool = False,
    ) -> None:
        self.path = index.path if isinstance(index, SteerableIndex) else absolute(index)
        self.index = index if isinstance(index, SteerableIndex) else None
        self.bundle, self.top_k, self.boost, self.clamp = bundle, top_k, _read(boost), _read(clamp)
        self.keep, self.protect, self.filters, self.view = keep, protect, filters, view
        self.include_explanations = include_explanations
        self.exclude, self.blend, self.understand = _read_keys(exclude), blend, understand

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
        steering: Steering | None = None,
        exclude: list[Any] | None = None,
        blend: Blend | None = None,
        understand: bool | None = None,
    ) -> dict[str, Any]:
        """Search for a text. What is None is as constructed; an empty mapping means none this time."""
        configured: dict[str, Any] = {"k": self.top_k, "filter": self.filters, "view": self.view}
        configured |= {"boost": self.boost, "clamp": self.clamp, "exclude": self.exclude, "blend": self.blend}
        configured |= {"keep": self.keep, "protect": self.protect, "understand": self.understand}
        call: dict[str, Any] = {"k": top_k, "filter": filters, "boost": boost, "clamp": clamp, "exclude": exclude}
        call |= {"blend": blend, "keep": keep, "protect": protect, "understand": understand, "steering": steering}
        arguments = with_call(configured, cast(CallArguments, call))
        arguments["filter"] = _filter(arguments["filter"])
        report = search_and_report(self._opened(), query, explanations=self.include_explanations, **arguments)
        documents = [
            Document(id=hit.id, content=hit.text, meta={**hit.metadata}, score=hit.score) for hit in report.hits
        ]
        for document, explanation in zip(documents, report.explanations, strict=False):  # empty unless wanted
            document.meta.setdefault(EXPLANATION_KEY, explanation)
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
        steering: Steering | None = None,
        exclude: list[Any] | None = None,
        blend: Blend | None = None,
        understand: bool | None = None,
    ) -> dict[str, Any]:
        """As `run`, in a thread."""
        given: tuple[Any, ...] = (top_k, boost, clamp, keep, protect, filters, steering, exclude, blend, understand)
        return await asyncio.to_thread(self.run, query, *given)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values of which `from_dict` makes the same component."""
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
            exclude=None if self.exclude is None else [_written_key(key) for key in self.exclude],
            blend=self.blend,
            understand=self.understand,
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
    """Return a boost with texts for keys, which Haystack requires; with a `Concept` among them, as pairs.

    A `Profile` is written as the concept that it is now.
    """
    if boost is None:
        return None
    if isinstance(boost, Profile) or any(isinstance(key, Profile) for key in boost):
        boost = Steering.of(None, boost).boost
    keys = [_written_key(key) for key in boost]
    pairs = zip(keys, boost.values(), strict=True)
    return [list(pair) for pair in pairs] if any(isinstance(key, dict) for key in keys) else dict(pairs)


def _read(boost: Any) -> Boost | None:
    if not isinstance(boost, list):
        given: Boost | None = boost
        return given
    return {_read_key(key): value for key, value in boost}


def _written_key(key: Key) -> Any:
    """Return a key as a text, and a `Concept` as a mapping."""
    if isinstance(key, Concept):
        return json.loads(key.to_json())
    return key if isinstance(key, str) else f"f{key}"


def _read_key(key: Any) -> Any:
    return Concept.from_json(json.dumps(key)) if isinstance(key, dict) else key


def _read_keys(keys: Any) -> Any:
    """Return the keys of `exclude` as a list; a single one may stand alone."""
    if keys is None:
        return None
    return [_read_key(key) for key in keys] if isinstance(keys, list | tuple) else [_read_key(keys)]


def _filter(filters: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return Haystack's conditions in the dialect of `SteerableIndex.search`, and anything else as it is."""
    if not isinstance(filters, Mapping) or "operator" not in filters:
        return filters
    operator = filters["operator"]
    if "conditions" in filters:
        parts = [_filter(condition) for condition in filters["conditions"]]
        made: dict[str, Any] = {"AND": {"$and": parts}, "OR": {"$or": parts}, "NOT": {"$not": {"$and": parts}}}
        if operator not in made:
            raise FilterError(f"the operator of the filter is {operator!r}: expected AND, OR or NOT around conditions")
        joined: Mapping[str, Any] = made[operator]
        return joined
    field, value = str(filters.get("field", "")), filters.get("value")
    if operator not in _COMPARE or not field.startswith("meta."):
        raise FilterError(
            f"the filter has the field {field!r} with the operator {operator!r}: expected a field like 'meta.year' and "
            f"one of {' '.join(_COMPARE)}"
        )
    field = field.removeprefix("meta.")
    # To Haystack a field that is missing is None.
    if value is None and operator in ("==", "!="):
        missing = {"$or": [{field: {"$eq": None}}, {field: {"$exists": False}}]}
        return missing if operator == "==" else {"$not": missing}
    return {field: {_COMPARE[operator]: value}}
