"""The protocol of a bundle's embedder: documents and queries to unit embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ...arrays import FloatArray, IntArray
from ...errors import DataError
from ...sequences import as_list

Progress = Callable[[int, int], None]
"""Called with (texts done, texts in all) after every run."""


class Embedder(Protocol):
    """An embedder of documents and queries, which may have different prefixes. Safe to use from several threads.

    `embedder_kinds` lists the implementations. All raise a DataError for anything but a list of valid texts.
    """

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> FloatArray:
        """Embed texts as documents: unit rows, shape (n, d_in), float32."""

    def embed_queries(self, texts: Sequence[str], *, progress: Progress | None = None) -> FloatArray:
        """Embed texts as queries: unit rows, shape (n, d_in), float32."""

    def tokenise(self, texts: Sequence[str]) -> list[IntArray]:
        """Return the token ids of texts: without prefix, with special tokens. A text without tokens is a DataError."""

    def token_text(self, token: int) -> str:
        """Return the text of a token; empty for an unknown id."""


def check_texts(texts: Sequence[str]) -> list[str]:
    """Check texts and return them as a list, by position.

    Raises:
        DataError: A single str, no sequence (see `as_list`), an item that is not a str, or a text with a lone
            surrogate. The position is named.
    """
    if isinstance(texts, str | bytes):
        raise DataError(f"expected a list of texts, got one {type(texts).__name__}: put it in a list, [text]")
    texts = as_list(texts, "texts")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"texts[{i}] is a {type(text).__name__}, expected a str")
        # `isascii` is instant, encoding copies the text.
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise DataError(
                    f"texts[{i}] is not valid Unicode: a lone surrogate at character {error.start}; "
                    "clean it with text.encode('utf-8', 'replace').decode()"
                ) from error
    return texts


def add_prefix(prefix: str, texts: Sequence[str]) -> Sequence[str]:
    """Put a prefix in front of each text, after `check_texts`; without one, return `texts` unchecked."""
    if not prefix:
        return texts
    return [prefix + text for text in check_texts(texts)]
