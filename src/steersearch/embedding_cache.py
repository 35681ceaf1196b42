"""Embeddings that are made once: a cache on disk with one file for each model and set of texts."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from filelock import FileLock, Timeout

from .arrays import FloatArray
from .block_file import BlockFile, storage_errors
from .errors import DataError, StorageError

logger = logging.getLogger(__name__)

Texts = Callable[[], Iterable[str]] | Sequence[str]
"""A sequence of texts, or a function that reads them."""
Side = Literal["documents", "queries"]
"""As what texts are embedded: some models want another prefix in front of each."""


class TextEmbedder(Protocol):
    """The part of an embedder that the cache needs."""

    @property
    def fingerprint(self) -> str:
        """A digest of everything that an embedding depends on besides the text."""

    @property
    def d_in(self) -> int:
        """Width of the embeddings."""

    @property
    def max_length(self) -> int:
        """Tokens of a text that are read."""

    @property
    def query_prefix(self) -> str:
        """The prefix of queries."""

    @property
    def document_prefix(self) -> str:
        """The prefix of documents."""

    def embed_queries(self, texts: Sequence[str]) -> FloatArray:
        """Return unit rows, shape (n, d_in), float32."""

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Return unit rows, shape (n, d_in), float32."""


def default_cache_dir() -> Path:
    """Return the folder for embeddings: ``$STEERSEARCH_CACHE``, else the platform's own place for caches.

    Raises:
        StorageError: The user has no home folder and the variable is not set.
    """
    if chosen := os.environ.get("STEERSEARCH_CACHE"):
        return Path(chosen).expanduser()
    try:
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "steersearch" / "Cache"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "steersearch"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "steersearch"
    except RuntimeError as error:
        raise StorageError(
            "there is no home folder to keep embeddings in: set STEERSEARCH_CACHE to a folder"
        ) from error


def embed_cached(
    embedder: TextEmbedder,
    texts: Texts,
    *,
    side: Side = "documents",
    cache_dir: Path,
    progress: Callable[[int, int], None] | None = None,
) -> FloatArray:
    """Embed texts, or read the embeddings that an earlier call made of the same texts with the same model.

    Args:
        embedder: Usually an `Embedder`.
        texts: A sequence, or a function that reads them, so that they need not fit in memory. The function is called
            once for the key, and once more when there is something to embed.
        side: ``documents`` or ``queries``. Where both have the same prefix they share their embeddings.
        cache_dir: Folder for the files, made when missing. If another process embeds the same texts, this call waits
            for it and uses its embeddings.
        progress: Called with (rows done, rows) at the start and after every block.

    Returns:
        Unit rows in the order of the texts, a read-only memory map of shape (n, d_in), float32.

    Raises:
        DataError: The texts are not strings or change between the two readings, or an embedding is NaN or infinite.
        StorageError: The disk is full or `cache_dir` cannot be written. Rows that were written before stay good.
    """
    if isinstance(texts, str):
        raise DataError("expected a sequence of texts, got one string: put it in a list")
    read = texts if callable(texts) else lambda: texts
    report = progress or (lambda done, total: None)
    first = _Hasher(embedder, side)
    rows = sum(1 for _ in first.follow(read()))
    if rows == 0:
        return np.empty((0, embedder.d_in), np.float32)
    with storage_errors(cache_dir, rows * embedder.d_in * 4):
        cache_dir.mkdir(parents=True, exist_ok=True)
    blocks = BlockFile(cache_dir / first.key(), rows=rows, d_in=embedder.d_in, fingerprint=embedder.fingerprint)
    if blocks.rows_done < rows:
        with _only_writer(cache_dir / f"{first.key()}.lock"):
            # Another process may have written more in the meantime.
            blocks.reload()
            _fill(blocks, embedder, side, read(), first.key(), report)
    else:
        report(rows, rows)
    return blocks.open()


def _fill(
    blocks: BlockFile,
    embedder: TextEmbedder,
    side: Side,
    texts: Iterable[str],
    key: str,
    report: Callable[[int, int], None],
) -> None:
    """Embed the missing rows and hash the texts again on the way: changed texts must not get this key."""
    embed = embedder.embed_queries if side == "queries" else embedder.embed_documents
    hasher = _Hasher(embedder, side)
    stream = hasher.follow(texts)
    if blocks.rows_done:
        logger.info("going on after %d of %d embeddings", blocks.rows_done, blocks.rows)
        for _ in islice(stream, blocks.rows_done):
            pass
    report(blocks.rows_done, blocks.rows)
    while blocks.rows_done < blocks.rows:
        block = list(islice(stream, blocks.next_size))
        if len(block) < blocks.next_size:
            break
        blocks.append(embed(block))
        report(blocks.rows_done, blocks.rows)
    if next(stream, None) is not None or hasher.key() != key:
        blocks.remove()
        raise DataError(
            f"the texts changed while they were embedded ({blocks.rows} at first, then {hasher.rows}): "
            "leave them as they are and start again"
        )


@contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    """Hold a lock while these embeddings are made. The system frees the lock of a process that was killed."""
    lock = FileLock(path)
    with storage_errors(path.parent):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info("waiting for another process that makes the same embeddings")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


class _Hasher:
    """The key of a set of embeddings: sha256 over the model, the prefix and every text, each with its length."""

    def __init__(self, embedder: TextEmbedder, side: Side) -> None:
        self.rows = 0
        prefix = embedder.query_prefix if side == "queries" else embedder.document_prefix
        # Without a prefix the key is what it was before there were any, so that older embeddings are found.
        self._digest = hashlib.sha256(b"steersearch embeddings 1" + (b" with a prefix" if prefix else b""))
        for part in (embedder.fingerprint, str(embedder.max_length), *([prefix] if prefix else [])):
            self._add(part)

    def follow(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield the texts; count and hash them on the way."""
        for text in texts:
            if not isinstance(text, str):
                raise DataError(f"item {self.rows} of the texts is a {type(text).__name__}: expected a string")
            self.rows += 1
            self._add(text)
            yield text

    def key(self) -> str:
        return self._digest.hexdigest()

    def _add(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self._digest.update(len(data).to_bytes(8, "little") + data)
