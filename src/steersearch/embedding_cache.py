"""A growing matrix on disk that knows how much of it is good: the two files behind one set of cached embeddings."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock, Timeout

from .arrays import FloatArray
from .errors import DataError, StorageError

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
MIN_BLOCK = 512
MAX_BLOCK = 16_384
"""Rows per block: what a kill can cost, and what is sorted by length together. Between the two, 1/256 of the rows."""


@contextmanager
def storage_errors(place: Path, needed: int = 0) -> Iterator[None]:
    """Turn what the system says about a folder or a file into a `StorageError` of one line.

    Args:
        place: What could not be used.
        needed: Bytes that are to be written there, 0 when unknown.
    """
    try:
        yield
    except OSError as error:
        size = f"; {needed / 1e6:.1f} MB are needed" if needed else ""
        raise StorageError(
            f"embeddings cannot be kept in {place} ({error.strerror or error}{size}): "
            "free space, or choose another cache folder"
        ) from error


class BlockFile:
    """Rows of float32 in ``<stem>.f32``, and in ``<stem>.json`` how many are good, with a CRC-32 for every block."""

    def __init__(self, stem: Path, *, rows: int, d_in: int, fingerprint: str) -> None:
        """Look at what is there; nothing is written yet.

        Args:
            stem: Path of both files without their suffix.
            rows: Rows of the finished matrix.
            d_in: Its columns.
            fingerprint: Of the embedder, kept for people who look into the folder.
        """
        self.rows = rows
        self.d_in = d_in
        self.size = max(MIN_BLOCK, min(MAX_BLOCK, rows // 256))
        """Rows per block; the last block may be shorter."""
        self.rows_done = 0
        """Rows that are on the disk and undamaged."""
        self._data = stem.with_name(f"{stem.name}.f32")
        self._meta = stem.with_name(f"{stem.name}.json")
        self._fingerprint = fingerprint
        self._sums: list[int] = []
        self.reload()

    @property
    def next_size(self) -> int:
        """Rows of the block that `append` takes next."""
        return self._rows_in(len(self._sums))

    def reload(self) -> None:
        """Count the good rows: those that the .json counts, up to the first block that is cut short or altered."""
        claimed, good = self._claimed(), list[int]()
        if claimed:
            with storage_errors(self._data), self._data.open("rb") as file:
                for number, expected in enumerate(claimed):
                    data = file.read(self._rows_in(number) * self.d_in * 4)
                    if len(data) != self._rows_in(number) * self.d_in * 4 or zlib.crc32(data) != expected:
                        break
                    good.append(expected)
        if len(good) < len(claimed):
            logger.warning(
                "%s is damaged in block %d of %d: it is made again from there", self._data, len(good) + 1, len(claimed)
            )
        self._sums = good
        self.rows_done = min(len(good) * self.size, self.rows)

    def append(self, block: FloatArray) -> None:
        """Add the next block; it counts as done only when it is on the disk.

        Args:
            block: Shape (`size`, d_in), float32; the last block has what is left.

        Raises:
            DataError: The shape is another, or a value is NaN or infinite.
            StorageError: The disk is full; what was counted before stays good.
        """
        expected = (self.next_size, self.d_in)
        if block.shape != expected:
            raise DataError(f"the embedder gave {block.shape} for a block of {expected}: it must give one row per text")
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            row = self.rows_done + int(np.argmin(finite))
            raise DataError(f"the embedding of text {row} has NaN or infinite values: check the embedder's weights")
        data = np.ascontiguousarray(block, "<f4").tobytes()
        with storage_errors(self._data, (self.rows - self.rows_done) * self.d_in * 4):
            with self._data.open("r+b" if self._data.exists() else "w+b") as file:
                # Written in place, and cut only at the end: a file that gets shorter kills whoever has it mapped.
                file.seek(self.rows_done * self.d_in * 4)
                file.write(data)
                if self.rows_done + len(block) == self.rows:
                    file.truncate()  # drops what an interrupted run may have left behind
                file.flush()
                os.fsync(file.fileno())
            self._sums.append(zlib.crc32(data))
            self.rows_done += len(block)
            self._write_meta()

    def open(self) -> FloatArray:
        """Map the finished matrix, read-only, shape (rows, d_in), float32."""
        return np.memmap(self._data, np.dtype("<f4"), "r", shape=(self.rows, self.d_in))

    def remove(self) -> None:
        """Delete both files."""
        self._meta.unlink(missing_ok=True)
        self._data.unlink(missing_ok=True)
        self.rows_done, self._sums = 0, []

    def _rows_in(self, block: int) -> int:
        return min(self.size, self.rows - block * self.size)

    def _claimed(self) -> list[int]:
        """Read the checksums of the .json; none when it does not belong to these files or cannot be read."""
        try:
            meta = json.loads(self._meta.read_text(encoding="utf-8"))
            size, sums = int(meta["rows_per_block"]), [int(value) for value in meta["crc32"]]
            expected = self._describe() | {"rows_per_block": size, "rows_done": min(len(sums) * size, self.rows)}
            same = all(meta[key] == value for key, value in expected.items())
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError):
            same, size, sums = False, 0, []
        if not same or not 1 <= size <= MAX_BLOCK or len(sums) > -(-self.rows // size) or not self._data.exists():
            logger.warning("%s does not describe %s: the embeddings are made again", self._meta, self._data.name)
            return []
        self.size = size  # an older version may have used another
        return sums

    def _describe(self) -> dict[str, int | str]:
        return {
            "format_version": FORMAT_VERSION,
            "rows_done": self.rows_done,
            "rows": self.rows,
            "d_in": self.d_in,
            "rows_per_block": self.size,
            "fingerprint": self._fingerprint,
        }

    def _write_meta(self) -> None:
        temporary = self._meta.with_name(f".{self._meta.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(self._describe() | {"crc32": self._sums}, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._meta)
        finally:
            temporary.unlink(missing_ok=True)


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
