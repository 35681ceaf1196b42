from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document

from steersearch.integrations.langchain import SteerableRetriever
from steersearch.runtime.index import SteerableIndex
from steersearch.runtime.steering.concepts import Concept

QUERY = "adding an integer and a float"
PHRASE = "an exception is raised"


class Steps(BaseCallbackHandler):
    """Notes what callbacks are told."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, Any]] = []
        self.errors: list[BaseException] = []
        self.started: list[dict[str, Any]] = []
        self.ended: list[tuple[str, Any]] = []
        self._names: dict[Any, str] = {}

    def on_retriever_start(self, serialized: Any, query: str, *, metadata: Any = None, **kwargs: Any) -> None:
        self.started.append(metadata)

    def on_text(self, text: str, *, steering: Any = None, **kwargs: Any) -> None:
        self.texts.append((text, steering))

    def on_retriever_error(self, error: BaseException, **kwargs: Any) -> None:
        self.errors.append(error)

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: Any, name: str = "", **kwargs: Any) -> None:
        self._names[run_id] = name

    def on_chain_end(self, outputs: Any, *, run_id: Any, **kwargs: Any) -> None:
        self.ended.append((self._names[run_id], outputs))


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


def found(index: SteerableIndex, query: str = QUERY, k: int = 4, **how: Any) -> list[str]:
    return [hit.id for hit in index.search(query, k, **how)]


@pytest.fixture
def retriever(tiny_index: SteerableIndex) -> SteerableRetriever:
    return SteerableRetriever(index=tiny_index)


@pytest.fixture(scope="session")
def errors_concept() -> Concept:
    """Far from `QUERY`, which is about numbers."""
    return Concept.from_examples([f"exceptions-{i}" for i in range(5)], [f"numbers-{i}" for i in range(5)])
