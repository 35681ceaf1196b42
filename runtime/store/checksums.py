"""Checksums of stored documents: SQLite detects a page with a broken structure, but not an altered vector."""

import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ...files import overwrite, read_small
from .row_encoding import Row

_PARTS = struct.Struct("<4I")
_MODULUS = 2**64

METADATA, TEXT, VECTOR, CODE = range(4)
_NAMES = ("metadata", "text", "vector", "code")


def key_check(rowid: int, id: str) -> int:
    """Return the checksum of a document's id."""
    return _check(rowid, id.encode())


def row_checks(rowid: int, row: Row) -> bytes:
    """Return the `checks` column of a document: a CRC-32 each of id and metadata, text, vector, and code."""
    id, metadata, text, vector, latents, values = row
    return _PARTS.pack(
        _check(rowid, id.encode(), metadata.encode()),
        _check(rowid, text.encode()),
        _check(rowid, vector),
        _check(rowid, latents, values),
    )


def checks_with_metadata(checks: bytes, rowid: int, id: str, metadata: str) -> bytes:
    """Return the `checks` column of a document after its metadata was replaced."""
    return _PARTS.pack(_check(rowid, id.encode(), metadata.encode()), *_PARTS.unpack(checks)[1:])


def check_part(rowid: int, checks: bytes, part: int, *content: str | bytes) -> None:
    """Compare one part of a document with its checksum.

    Args:
        rowid: Row id of the document.
        checks: Its `checks` column.
        part: `METADATA`, `TEXT`, `VECTOR` or `CODE`.
        content: The columns of this part: id and metadata, text, vector, or latents and values.

    Raises:
        ValueError: The content is not what was stored.
    """
    try:
        crc = zlib.crc32(rowid.to_bytes(8, "little", signed=True))
        for column in content:
            crc = zlib.crc32(column.encode() if isinstance(column, str) else column, crc)
        if _PARTS.unpack(checks)[part] == crc:
            return
    except (struct.error, TypeError) as error:  # a column became a number or NULL
        raise ValueError(f"the {_NAMES[part]} of row {rowid} cannot be read: {error}") from error
    raise ValueError(f"the {_NAMES[part]} of row {rowid} is not what was stored")


class State(NamedTuple):
    """Totals over all documents of a store, which reveal a lost document or commit."""

    commits: int = 0
    """Number of transactions of any kind."""
    documents: int = 0
    rowids: int = 0
    """Sum of their row ids."""
    keys: int = 0
    """Sum of their `key_check`, modulo 2**64."""

    @classmethod
    def parse(cls, text: str) -> "State":
        """Read the output of `str`; a ValueError for any other text."""
        commits, documents, rowids, keys = map(int, text.split())
        return cls(commits, documents, rowids, keys)

    def __str__(self) -> str:
        return " ".join(map(str, self))

    def after(self, added: Iterable[tuple[int, str]] = (), removed: Iterable[tuple[int, str]] = ()) -> "State":
        """Return the state after one more commit that added and removed these (row id, id) pairs."""
        count, rowids, keys = self.documents, self.rowids, self.keys
        for sign, names in ((1, added), (-1, removed)):
            for rowid, id in names:
                count, rowids, keys = count + sign, rowids + sign * rowid, keys + sign * key_check(rowid, id)
        return State(self.commits + 1, count, rowids, keys % _MODULUS)


def save_commit_count(path: Path, commits: int) -> None:
    """Record the number of commits in a file next to a database, once they are durable.

    It is not flushed, and write errors are ignored: a smaller number after a power cut only weakens the check. It is
    overwritten in place with a fixed length, because ext4 flushes a truncated file on closing, in 1 to 4 ms.
    """
    line = f"{commits:020}"
    with suppress(OSError):
        overwrite(path, f"{line} {zlib.crc32(line.encode()):010}\n".encode("ascii"))


def load_commit_count(path: Path) -> int:
    """Return the number that `save_commit_count` wrote; 0 if it is missing or damaged."""
    try:
        line, check = read_small(path, 4096).decode("ascii").split()
        return int(line) if int(check) == zlib.crc32(line.encode()) else 0
    except (OSError, ValueError):
        return 0


def _check(rowid: int, *blobs: bytes) -> int:
    crc = zlib.crc32(rowid.to_bytes(8, "little", signed=True))
    for blob in blobs:
        crc = zlib.crc32(blob, crc)
    return crc
