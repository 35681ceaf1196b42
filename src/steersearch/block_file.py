"""A matrix on disk that grows block by block and knows which of its rows are good."""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .arrays import FloatArray
from .errors import DataError, StorageError
from .files import replace_file

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
MIN_BLOCK = 512
MAX_BLOCK = 16_384
"""Bounds of the rows per block; in between it is 1/256 of all rows. A kill costs at most one block, and the embedder
sorts the texts of one block by length."""


class BlockFile:
    """Rows of float32 in ``<stem>.f32``; ``<stem>.json`` counts the good ones, with a CRC-32 for every block.

    The embedder's fingerprint is there only for people who look into the folder.
    """

    def __init__(self, stem: Path, *, rows: int, d_in: int, fingerprint: str) -> None:
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
        """Return the number of rows of the block that `append` takes next."""
        return self._rows_in(len(self._sums))

    def reload(self) -> None:
        """Read both files and count the good rows, up to the first block that is cut short or altered."""
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
        """Write the next block, shape (`next_size`, d_in). It counts as done only when it is on the disk.

        Raises:
            DataError: The shape is another, or a value is NaN or infinite.
            StorageError: The disk is full. Earlier blocks stay good.
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
                # Written in place and cut only at the end: shortening a file kills processes that have it mapped.
                file.seek(self.rows_done * self.d_in * 4)
                file.write(data)
                if self.rows_done + len(block) == self.rows:
                    # An interrupted run may have left more behind.
                    file.truncate()
                file.flush()
                os.fsync(file.fileno())
            self._sums.append(zlib.crc32(data))
            self.rows_done += len(block)
            replace_file(self._meta, json.dumps(self._describe() | {"crc32": self._sums}).encode("utf-8"))

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
        """Read the checksums of the .json file; none when it cannot be read or describes other data."""
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
        # An older version may have used another size.
        self.size = size
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


@contextmanager
def storage_errors(place: Path, needed: int = 0) -> Iterator[None]:
    """Turn an `OSError` about a place into a `StorageError` of one line; `needed` bytes are to be written."""
    try:
        yield
    except OSError as error:
        size = f"; {needed / 1e6:.1f} MB are needed" if needed else ""
        raise StorageError(
            f"embeddings cannot be kept in {place} ({error.strerror or error}{size}): "
            "free space, or choose another cache folder"
        ) from error
