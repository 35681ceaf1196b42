"""Steered search inside LangChain (extra ``langchain``).

`SteerableRetriever` searches an index of ours, and `SteerableRetriever.over` steers any other vector store.
`SteerableVectorStore` is a durable store, `SteerableEmbeddings` the bundle's embedder for other stores,
`vectors_from_store` reads the vectors of a store, to train on,
`SqliteRecordManager` records what `langchain_core.indexing.index` has indexed, and `concept_tools` makes the two tools
for agents.
"""

from ..optional import needs

with needs("langchain_core", pip="'steersearch[langchain]'"):
    from .embeddings import SteerableEmbeddings
    from .over import SteeredStore
    from .record_manager import SqliteRecordManager
    from .retriever import SteerableRetriever
    from .stores import vectors_from_store
    from .tools import concept_tools, find_concepts_tool, search_documents_tool
    from .vectorstore import SteerableVectorStore

__all__ = [
    "SqliteRecordManager",
    "SteerableEmbeddings",
    "SteerableRetriever",
    "SteerableVectorStore",
    "SteeredStore",
    "concept_tools",
    "find_concepts_tool",
    "search_documents_tool",
    "vectors_from_store",
]
