"""A steered search in LangChain's words: documents, and what callbacks and tracers are told."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from ..adapter import Answer, Steered


def documents_of(answer: Answer, score_key: str | None, explanation_key: str | None) -> list[Document]:
    """LangChain documents; what is added to the metadata never replaces a document's own key."""
    documents = [Document(id=hit.id or None, page_content=hit.text, metadata=hit.metadata) for hit in answer.hits]
    if score_key:
        for document, hit in zip(documents, answer.hits, strict=True):
            if hit.score == hit.score:  # not NaN: an engine may tell the order and no score
                document.metadata.setdefault(score_key, hit.score)
    if explanation_key:
        for document, why in zip(documents, answer.explanations, strict=True):
            document.metadata.setdefault(explanation_key, why)
    return documents


def tell(run: CallbackManagerForRetrieverRun, done: Steered) -> None:
    """Give callbacks what steering did, as `on_text` and as a run "steering" inside the retriever's own run."""
    if done.concepts and run.handlers:
        run.on_text(done.in_words(), steering=done.told())
        _told(done).invoke(done.concepts, {"callbacks": run.get_child()})


async def atell(run: AsyncCallbackManagerForRetrieverRun, done: Steered) -> None:
    """As `tell`."""
    if done.concepts and run.handlers:
        await run.on_text(done.in_words(), steering=done.told())
        await _told(done).ainvoke(done.concepts, {"callbacks": run.get_child()})


def _told(done: Steered) -> RunnableLambda[Any, dict[str, Any]]:
    async def later(_: object) -> dict[str, Any]:
        return done.told()

    return RunnableLambda(lambda _: done.told(), afunc=later, name="steering")
