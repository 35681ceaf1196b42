"""`ExternalEmbedder`: what embeds texts for a bundle without an embedder, with its limits and its cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....errors import ConfigError
from ....text import shown

MAX_TEXTS = 100_000
"""Texts that are sent at most unless somebody says otherwise: some 15 million tokens of ordinary passages."""


class ExternalEmbedder:
    """An embedder from outside, its limits, and where its vectors are kept; `embedder=` takes one or what is in it.

    Args:
        embedder: An address of a service like ``https://api.openai.com/v1``, or an `EmbeddingService`; an object with
            `embed_documents` and `embed_query` (LangChain) or `embed_queries`; a model of sentence-transformers; a
            function from a list of texts to vectors (n, d_in), or a pair of them, for documents and for queries.
            Vectors of any length are taken, and divided by it.
        max_texts: Texts that may be sent; None for no limit. Texts from the cache do not count, and neither do calls of
            at most 64 texts, such as a search needs.
        max_calls: Calls that may be made; None for no limit, counted alike.
        cache: Whether vectors are kept on the disk. By default those of services and of objects that name their model
            are; True and False say so for any embedder. Those of a function must depend on nothing but the text.
        cache_dir: Where; the folder of all caches by default.

    Raises:
        ConfigError: A limit is no whole number of at least 0.
    """

    def __init__(
        self,
        embedder: Any,
        *,
        max_texts: int | None = MAX_TEXTS,
        max_calls: int | None = None,
        cache: bool | None = None,
        cache_dir: str | Path | None = None,
    ) -> None:
        for name, value in (("max_texts", max_texts), ("max_calls", max_calls)):
            if value is not None and (type(value) is not int or value < 0):
                raise ConfigError(f"{name} is {shown(value)}: it must be a whole number of at least 0, or None")
        if isinstance(embedder, ExternalEmbedder):
            raise ConfigError("the embedder is an ExternalEmbedder already: give it as it is")
        self.embedder = embedder
        self.max_texts, self.max_calls = max_texts, max_calls
        self.cache, self.cache_dir = cache, None if cache_dir is None else Path(cache_dir)

    def __repr__(self) -> str:
        """Return the embedder and its limits."""
        return f"ExternalEmbedder({self.embedder!r}, max_texts={self.max_texts}, max_calls={self.max_calls})"
