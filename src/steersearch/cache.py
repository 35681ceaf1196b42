"""Embeddings on disk: made once per text and model, read through a memory map, resumed where a run was stopped.

Two files per set of texts, named by what went into them: ``<key>.f32``, the rows as little-endian float32, and
``<key>.json``, which says how many of them are good. Rows are on the disk before the .json counts them, so a kill or a
power cut loses at most the block that was being made.
"""

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock, Timeout

from .blocks import BlockFile, storage_errors
from .errors import DataError, StorageError
from .metrics import FloatArray

logger = logging.getLogger(__name__)

Texts = Callable[[], Iterable[str]] | Sequence[str]


class TextEmbedder(Protocol):
    """What the cache needs of an `Embedder`."""

    @property
    def fingerprint(self) -> str:
        """What an embedding depends on besides the text."""

    @property
    def d_in(self) -> int:
        """Width of the embeddings."""

    @property
    def max_length(self) -> int:
        """Tokens that are read of a text."""

    def embed(self, texts: Sequence[str]) -> FloatArray:
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
    cache_dir: Path,
    progress: Callable[[int, int], None] | None = None,
) -> FloatArray:
    """Embed texts, or read the embeddings that an earlier call made of the same texts with the same model.

    Args:
        embedder: Usually an `Embedder`.
        texts: A sequence, or a function that reads them anew, so that they need not fit in memory: it is called once
            for the key and once more when there is something to embed.
        cache_dir: Folder for the files, made when missing. If another process embeds the same texts, this call waits
            for it and uses what it made.
        progress: Called with (rows done, rows) at the start and after every block.

    Returns:
        Unit rows in the order of the texts, a read-only memory map of shape (n, d_in), float32.

    Raises:
        DataError: The texts are not strings or change between the two readings, or an embedding is NaN or infinite.
        StorageError: The disk is full or `cache_dir` cannot be written; rows that were counted before stay good.
    """
    if isinstance(texts, str):
        raise DataError("expected a sequence of texts, got one string: put it in a list")
    read = texts if callable(texts) else lambda: texts
    key, rows = _key(embedder, read())
    if rows == 0:
        return np.empty((0, embedder.d_in), np.float32)
    with storage_errors(cache_dir, rows * embedder.d_in * 4):
        cache_dir.mkdir(parents=True, exist_ok=True)
    blocks = BlockFile(cache_dir / key, rows=rows, d_in=embedder.d_in, fingerprint=embedder.fingerprint)
    if blocks.rows_done < rows:
        with _only_writer(cache_dir / f"{key}.lock"):
            blocks.reload()  # another process may have gone on meanwhile
            _fill(blocks, embedder, read, key, progress)
    elif progress:
        progress(rows, rows)
    return blocks.open()


def _fill(
    blocks: BlockFile,
    embedder: TextEmbedder,
    read: Callable[[], Iterable[str]],
    key: str,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Embed what is missing, and hash the texts again on the way: a source that changed must not get this key."""
    hasher = _Hasher(embedder)
    stream = hasher.follow(read())
    if blocks.rows_done:
        logger.info("going on after %d of %d embeddings", blocks.rows_done, blocks.rows)
        for _ in islice(stream, blocks.rows_done):
            pass
    if progress:
        progress(blocks.rows_done, blocks.rows)
    while blocks.rows_done < blocks.rows:
        block = list(islice(stream, blocks.next_size))
        if len(block) < blocks.next_size:
            break
        blocks.append(embedder.embed(block))
        if progress:
            progress(blocks.rows_done, blocks.rows)
    if next(stream, None) is not None or hasher.key() != key:
        blocks.remove()
        raise DataError(
            f"the texts changed while they were embedded ({blocks.rows} at first, then {hasher.rows}): "
            "leave them as they are and start again"
        )


@contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    """Wait until no other process makes these embeddings; the system frees the lock of a process that was killed."""
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
    """Key of a set of embeddings: sha256 over the model and every text, each with its length in front."""

    def __init__(self, embedder: TextEmbedder) -> None:
        self.rows = 0
        self._digest = hashlib.sha256(b"steersearch embeddings 1")
        for part in (embedder.fingerprint, str(embedder.max_length)):
            self._add(part)

    def follow(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield the texts and count and hash them."""
        for text in texts:
            if not isinstance(text, str):
                raise DataError(f"item {self.rows} of the texts is a {type(text).__name__}: expected a string")
            self.rows += 1
            self._add(text)
            yield text

    def key(self) -> str:
        """Return the key of everything so far, 64 hexadecimal digits."""
        return self._digest.hexdigest()

    def _add(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self._digest.update(len(data).to_bytes(8, "little") + data)


def _key(embedder: TextEmbedder, texts: Iterable[str]) -> tuple[str, int]:
    hasher = _Hasher(embedder)
    for _ in hasher.follow(texts):
        pass
    return hasher.key(), hasher.rows
