"""Steered search inside LangChain (extra ``langchain``).

`SteerableRetriever` answers from an index of ours, and `SteerableRetriever.over` steers any other vector store.
`SteerableVectorStore` is a durable store, `SteerableEmbeddings` the bundle's embedder for other stores,
`SqliteRecordManager` remembers what `langchain_core.indexing.index` has indexed, and `concept_tools` makes the two
tools for agents.
"""

from ...extras import require

require("langchain", "langchain_core")

from .embeddings import SteerableEmbeddings  # noqa: E402
from .over import SteeredStore  # noqa: E402
from .record_manager import SqliteRecordManager  # noqa: E402
from .retriever import SteerableRetriever  # noqa: E402
from .tools import concept_tools, find_concepts_tool, search_documents_tool  # noqa: E402
from .vectorstore import SteerableVectorStore  # noqa: E402

__all__ = [
    "SqliteRecordManager",
    "SteerableEmbeddings",
    "SteerableRetriever",
    "SteerableVectorStore",
    "SteeredStore",
    "concept_tools",
    "find_concepts_tool",
    "search_documents_tool",
]
