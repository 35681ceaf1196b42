"""Sources: one form for everything that can be brought as `embedder=`, a service, LangChain embeddings, a callable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from ....errors import ConfigError, EmbedderError, SteersearchError
from ....text import first_line, shown
from .service import EmbeddingService

Side = str
"""``documents`` or ``queries``."""
TEXTS = 512
"""Texts that a callable gets at a time; it makes batches of its own."""
SAME = 1 - 1e-4
"""Cosine of a text as query and as document from which on the two sides are the same: services round, prompts give .95
and less."""
_Embed = Callable[[list[str]], Any]
_NAMES = ("model", "model_name", "model_id", "name_or_path")
"""Attributes in which embeddings of other libraries keep the name of their model."""
_SETTINGS = ("dimensions", "truncate_dim", "query_instruction", "embed_instruction", "encode_kwargs")
"""Further attributes on which their vectors depend."""


class Source(Protocol):
    """What embeds texts, whoever made it."""

    name: str
    """For messages."""
    key: str | None
    """What its vectors depend on besides the text, for the cache on the disk; None where nobody can know."""
    prefixed: bool
    """Whether the prefixes of the bundle are put in front of texts; other sources know their own."""
    two_sides: bool
    """Whether documents and queries are embedded differently, prefixes apart."""
    at_once: int
    """Calls that may be under way at a time; 1 where nobody knows whether threads may share it."""

    def batches(self, texts: Sequence[str]) -> Iterator[Sequence[str]]:
        """Yield texts in order, as many at a time as one call takes."""

    def embed(self, texts: Sequence[str], side: Side, width: int) -> Any:
        """Embed the texts of one call: rows that are not checked yet."""


class ServiceSource:
    """A service."""

    prefixed, two_sides = True, False

    def __init__(self, service: EmbeddingService) -> None:
        self._service = service
        self.name = service.name
        self.key: str | None = f"service {service.address} {service.model} {service.dimensions}"
        self.batches, self.at_once = service.batches, service.concurrency

    def embed(self, texts: Sequence[str], side: Side, width: int) -> Any:
        """Embed texts: `EmbeddingService.embed`."""
        return self._service.embed(texts, width)


class CallableSource:
    """One function for documents and one for queries, or one for both."""

    at_once = 1

    def __init__(self, documents: _Embed, queries: _Embed | None, name: str, prefixed: bool) -> None:
        self.name, self.prefixed = name, prefixed
        self.key: str | None = None
        self.two_sides = queries is not None
        self._by_side = {"documents": documents, "queries": queries or documents}

    def batches(self, texts: Sequence[str]) -> Iterator[Sequence[str]]:
        """Yield `TEXTS` texts at a time."""
        yield from (texts[start : start + TEXTS] for start in range(0, len(texts), TEXTS))

    def embed(self, texts: Sequence[str], side: Side, width: int) -> Any:
        """Embed texts; an EmbedderError with the first line of whatever the function raises."""
        try:
            return self._by_side[side](list(texts))
        except SteersearchError:
            raise
        # Whatever a library or a client of a service raises.
        except Exception as error:
            reason = first_line(str(error), "no message")
            raise EmbedderError(f"{self.name} failed: {type(error).__name__}: {reason[:200]}") from error


def source_of(given: Any, model: str | None) -> Source:
    """Return the source for what was given as `embedder=`.

    Args:
        given: An address of a service, an `EmbeddingService`; an object with `embed_documents` and `embed_queries` (our
            protocol) or `embed_query` (LangChain); a model of sentence-transformers; a function from a list of texts to
            vectors, or a pair of them, for documents and for queries.
        model: The name of the model that the bundle was made with, for a service without one.

    Raises:
        ConfigError: It is none of these, or an address cannot be used.
    """
    if isinstance(given, str):
        given = EmbeddingService(given)
    if isinstance(given, EmbeddingService):
        return ServiceSource(given if given.model else given.named(model))
    kind = type(given)
    name = f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
    documents = getattr(given, "embed_documents", None)
    queries, query = getattr(given, "embed_queries", None), getattr(given, "embed_query", None)
    if callable(documents) and callable(queries):
        return _with_key(CallableSource(documents, queries, name, prefixed=False), given, name)
    if callable(documents) and callable(query):
        return _with_key(CallableSource(documents, _ManyQueries(documents, query), name, prefixed=False), given, name)
    if callable(getattr(given, "encode", None)):
        encode = given.encode
        sides = getattr(given, "encode_document", encode), getattr(given, "encode_query", encode)
        return CallableSource(*sides, name, prefixed=False)
    if isinstance(given, tuple) and len(given) == 2 and all(map(callable, given)):
        return CallableSource(*given, " and ".join(map(_name_of, given)), prefixed=False)
    if callable(given):
        return CallableSource(given, None, _name_of(given), prefixed=True)
    raise ConfigError(
        f"embedder is {shown(given)} ({kind.__name__}): give an address like https://api.openai.com/v1, embeddings of "
        "LangChain, or a function from a list of texts to vectors"
    )


class _ManyQueries:
    """Embeds many queries by embeddings of LangChain, which take one: by documents where that is the same."""

    def __init__(self, documents: _Embed, query: Callable[[str], Any]) -> None:
        self._documents, self._query = documents, query
        self._same: bool | None = None

    def __call__(self, texts: list[str]) -> Any:
        if len(texts) == 1:
            return [self._query(texts[0])]
        if self._same is None:
            first, rows = np.asarray(self._query(texts[0]), np.float64), self._documents(texts)
            as_document = np.asarray(rows[0], np.float64)
            lengths = float(np.linalg.norm(first) * np.linalg.norm(as_document))
            self._same = first.shape == as_document.shape and float(first @ as_document) >= SAME * lengths
            if self._same:
                return rows
        return self._documents(texts) if self._same else [self._query(text) for text in texts]


def _name_of(function: Any) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__name__)


def _with_key(source: CallableSource, given: Any, name: str) -> CallableSource:
    """Give a source a key where its object names a model."""
    model = next((value for key in _NAMES if isinstance(value := getattr(given, key, None), str) and value), None)
    if model is not None:
        settings = {key: str(value) for key in _SETTINGS if (value := getattr(given, key, None)) is not None}
        source.key = f"object {name} {model} {sorted(settings.items())}"
        source.name = f"{name} ({model})"
    return source
