"""Checksums of stored documents. SQLite notices a damaged page when its structure breaks, and not a flipped vector."""

import os
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .row_encoding import Row

_PARTS = struct.Struct("<4I")
_MODULUS = 2**64

METADATA, TEXT, VECTOR, CODE = range(4)
_NAMES = ("metadata", "text", "vector", "code")


def key_check(rowid: int, id: str) -> int:
    """Checksum of the name of a document."""
    return _check(rowid, id.encode())


def row_checks(rowid: int, row: Row) -> bytes:
    """The `checks` column of a document: one CRC-32 each of its id and metadata, text, vector, and code."""
    id, metadata, text, vector, latents, values = row
    return _PARTS.pack(
        _check(rowid, id.encode(), metadata.encode()),
        _check(rowid, text.encode()),
        _check(rowid, vector),
        _check(rowid, latents, values),
    )


def with_metadata(checks: bytes, rowid: int, id: str, metadata: str) -> bytes:
    """The `checks` column of a document whose metadata was replaced."""
    return _PARTS.pack(_check(rowid, id.encode(), metadata.encode()), *_PARTS.unpack(checks)[1:])


def check_part(rowid: int, checks: bytes, part: int, *content: str | bytes) -> None:
    """Compare one part of a document with its checksum.

    Args:
        rowid: Of the document.
        checks: Its `checks` column.
        part: `METADATA`, `TEXT`, `VECTOR` or `CODE`.
        content: The columns of this part: id and metadata, text, vector, or latents and values.

    Raises:
        ValueError: It is not what was stored.
    """
    try:
        crc = zlib.crc32(rowid.to_bytes(8, "little", signed=True))
        for column in content:
            crc = zlib.crc32(column.encode() if isinstance(column, str) else column, crc)
        if _PARTS.unpack(checks)[part] == crc:
            return
    except (struct.error, TypeError) as error:  # a column has become a number or nothing
        raise ValueError(f"the {_NAMES[part]} of row {rowid} cannot be read: {error}") from error
    raise ValueError(f"the {_NAMES[part]} of row {rowid} is not what was stored")


class State(NamedTuple):
    """What a store remembers of all its documents together, so that it notices when one, or a commit, is gone."""

    commits: int = 0
    """Transactions of any kind so far."""
    documents: int = 0
    """How many there are."""
    rowids: int = 0
    """Sum of their rowids."""
    keys: int = 0
    """Sum of their `key_check`, modulo 2**64."""

    @classmethod
    def parse(cls, text: str) -> "State":
        """Read what `str` wrote.

        Raises:
            ValueError: It is something else.
        """
        commits, documents, rowids, keys = map(int, text.split())
        return cls(commits, documents, rowids, keys)

    def __str__(self) -> str:
        return " ".join(map(str, self))

    def after(self, added: Iterable[tuple[int, str]] = (), removed: Iterable[tuple[int, str]] = ()) -> "State":
        """The state one commit later, given the (rowid, id) that came and went."""
        count, rowids, keys = self.documents, self.rowids, self.keys
        for sign, names in ((1, added), (-1, removed)):
            for rowid, id in names:
                count, rowids, keys = count + sign, rowids + sign * rowid, keys + sign * key_check(rowid, id)
        return State(self.commits + 1, count, rowids, keys % _MODULUS)


def remember_commit(path: Path, commits: int) -> None:
    """Write down beside a database how many commits it had, once they are durable.

    Not flushed to the disk: a power cut may leave an older number, which claims less. A number that cannot be written
    is left alone for the same reason. Written in place, always as long: a file that is cut to nothing first is flushed
    by ext4 when it is closed, 1 to 4 ms.
    """
    line = f"{commits:020}"
    with suppress(OSError):
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.write(file, f"{line} {zlib.crc32(line.encode()):010}\n".encode("ascii"))
        finally:
            os.close(file)


def remembered_commit(path: Path) -> int:
    """The number that `remember_commit` wrote; 0 when there is none, or a damaged one."""
    try:
        line, check = path.read_text(encoding="ascii").split()
        return int(line) if int(check) == zlib.crc32(line.encode()) else 0
    except (OSError, ValueError):
        return 0


def _check(rowid: int, *blobs: bytes) -> int:
    crc = zlib.crc32(rowid.to_bytes(8, "little", signed=True))
    for blob in blobs:
        crc = zlib.crc32(blob, crc)
    return crc
