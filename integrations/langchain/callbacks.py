"""Steered search in LangChain's words: documents, and the report of steering for callbacks and tracers."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from ..adapter import SearchReport, SteeringReport


def documents_of(report: SearchReport, score_key: str | None, explanation_key: str | None) -> list[Document]:
    """Return LangChain documents. What is added to the metadata never replaces a document's own key."""
    documents = [Document(id=hit.id or None, page_content=hit.text, metadata=hit.metadata) for hit in report.hits]
    if score_key:
        for document, hit in zip(documents, report.hits, strict=True):
            # An engine may give the order alone: its scores are NaN.
            if hit.score == hit.score:
                document.metadata.setdefault(score_key, hit.score)
    if explanation_key:
        for document, explanation in zip(documents, report.explanations, strict=True):
            document.metadata.setdefault(explanation_key, explanation)
    return documents


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
