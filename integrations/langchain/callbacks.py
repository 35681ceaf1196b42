"""Steered search in LangChain's words: documents, and the report of steering for callbacks and tracers."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from ...runtime import Hit
from ..adapter import SearchReport, SteeringReport
from ..engines.rescoring import RankedHit


class FoundMetadata(dict[str, Any]):
    """Metadata of a document that was found. Score and explanation do not count when two of them are compared.

    They depend on the query, and LangChain takes documents for the same that are equal: `MultiQueryRetriever` returned
    one once per query. With a plain mapping the comparison is that of mappings.
    """

    added: tuple[str, ...] = ()
    """The keys that do not count."""

    def __eq__(self, other: object) -> bool:
        """Return whether the documents' own metadata are equal."""
        if not isinstance(other, FoundMetadata):
            return super().__eq__(other)
        return self._own() == other._own()

    def __ne__(self, other: object) -> bool:
        """Return the opposite of `==`."""
        return not self == other

    __hash__ = None  # as every mapping that can change

    def _own(self) -> dict[str, Any]:
        return {key: value for key, value in self.items() if key not in self.added}


def documents_of(
    report: SearchReport,
    score_keys: tuple[str, str | None] | None,
    explanation_key: str | None,
    highlight_key: str | None = None,
) -> list[Document]:
    """Return LangChain documents. What is added to the metadata never replaces a document's own key.

    `score_keys` name our own score, and the number of an engine where one searched; None adds neither.
    `highlight_key` names the sentence of a search with highlights.
    """
    documents = [Document(id=hit.id or None, page_content=hit.text, metadata=hit.metadata) for hit in report.hits]
    for position, (document, hit) in enumerate(zip(documents, report.hits, strict=True)):
        added: dict[str, Any] = {}
        for key, score in _scores(hit, score_keys) if score_keys else ():
            # An engine may give the order alone: its scores are NaN.
            if score == score:
                added[key] = score
        if explanation_key:
            added[explanation_key] = report.explanations[position]
        if highlight_key and (sentence := hit.sentence):
            start, end = sentence.start, sentence.end
            added[highlight_key] = {"text": hit.text[start:end], "start": start, "end": end}
        if added := {key: value for key, value in added.items() if key not in hit.metadata}:
            # Set afterwards, since pydantic would make a plain mapping of it.
            document.metadata = FoundMetadata(hit.metadata | added)
            document.metadata.added = tuple(added)
    return documents


def _scores(hit: Hit, keys: tuple[str, str | None]) -> list[tuple[str, float]]:
    own, engine = keys
    if engine is None:
        return [(own, hit.score)]
    return [(own, hit.score), (engine, hit.store_score)] if isinstance(hit, RankedHit) else [(engine, hit.score)]


def notify(run: CallbackManagerForRetrieverRun, report: SteeringReport) -> None:
    """Give callbacks the report of steering, as `on_text` and as a run "steering" inside the retriever's own run."""
    if report.concepts and run.handlers:
        run.on_text(report.summary(), steering=report.as_json())
        _child_run(report).invoke(report.concepts, {"callbacks": run.get_child()})


async def anotify(run: AsyncCallbackManagerForRetrieverRun, report: SteeringReport) -> None:
    """As `notify`, asynchronously."""
    if report.concepts and run.handlers:
        await run.on_text(report.summary(), steering=report.as_json())
        await _child_run(report).ainvoke(report.concepts, {"callbacks": run.get_child()})


def _child_run(report: SteeringReport) -> RunnableLambda[Any, dict[str, Any]]:
    async def later(_: object) -> dict[str, Any]:
        return report.as_json()

    return RunnableLambda(lambda _: report.as_json(), afunc=later, name="steering")
