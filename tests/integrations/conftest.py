from typing import Any

import pytest
from langchain_core.documents import Document

from steersearch.integrations.langchain import SteerableRetriever
from steersearch.runtime.concepts import Concept
from steersearch.runtime.index import SteerableIndex

QUERY = "adding an integer and a float"
PHRASE = "an exception is raised"


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
