"""Engines that hold documents with their vectors and sparse codes, so that the latent view and hybrid run there too.

An engine takes the place of an index::

    engine = engine_class("qdrant")(client, "documents", bundle="bundle")
    engine.add(texts, ids)
    engine.search("solar storms", 5, boost={"radio astronomy": 1.0}, view="hybrid")
    SteerableRetriever(index=engine, view="hybrid", boost={"radio astronomy": 1.0})  # in LangChain

Add an engine: subclass `SparseEngine` in one file, and name the class in `ENGINES`.
"""

from __future__ import annotations

from importlib import import_module

from ...errors import ConfigError
from ...text import shown
from .sparse import SparseEngine

ENGINES: dict[str, str] = {
    "qdrant": "steersearch.integrations.engines.qdrant:SteeredQdrant",
    "pgvector": "steersearch.integrations.engines.pgvector:SteeredPgvector",
    "milvus": "steersearch.integrations.engines.milvus:SteeredMilvus",
}
"""Every engine by its name, as ``module:class``: the client of an engine is imported when it is first used."""


def engine_class(name: str) -> type[SparseEngine]:
    """Import an engine.

    Raises:
        ConfigError: There is no such engine.
        MissingExtraError: Its client is not installed.
    """
    if not isinstance(name, str) or name not in ENGINES:
        raise ConfigError(f"engine is {shown(name)}: choose one of {', '.join(ENGINES)}")
    module, _, class_name = ENGINES[name].partition(":")
    found: type[SparseEngine] = getattr(import_module(module), class_name)
    return found
