"""Files as lines: regular ones only, and no line or gzip bomb takes all memory."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ..errors import DataError

MAX_LINE = 64 << 20
"""Most bytes in a line of a file with many documents, and characters in a record of a table."""
MAX_FILE = 256 << 20
"""Most bytes in a file that is one document."""
MAX_TEXT = 10_000_000
"""Most characters of a document, two Bibles. What is longer is data and no text."""
MAX_RATIO = 200
"""Most bytes that a byte of a ``.gz`` file may unpack to, beyond `MAX_LINE`: 3 to 10 for text, 1,000 for a bomb."""
_LEAST_LINE = 64
"""Bytes that a line counts as in this ratio, however short it is, because each takes time; blank ones too."""
_PIECE = 1 << 20
_CACHED = ("datasets--", "models--", "spaces--")
"""How the folder of a repository begins in a cache of Hugging Face."""


class LongLine(str):
    """What is left of a line of more than `MAX_LINE` bytes."""


def open_file(path: Path) -> int:
    """Open a regular file for reading and return its descriptor.

    Raises:
        DataError: It is a pipe, a device, a socket or a folder. A source is read more than once, a pipe cannot be.
        OSError: It cannot be opened.
    """
    # Without waiting for a writer, should it be a pipe.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        check_regular(path, os.fstat(descriptor).st_mode)
    except DataError:
        os.close(descriptor)
        raise
    return descriptor


def check_regular(path: Path, mode: int) -> None:
    """Raise a `DataError` unless a mode is that of a regular file."""
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise DataError(f"{path} is a folder: expected a file")
    kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
    raise DataError(f"{path} is {kind}, and documents are read more than once: write them to a file first")


def check_inside(path: Path, folder: Path) -> None:
    """Raise a `DataError` for a file that is reached by a link out of its folder: nobody asked for what is there.

    A snapshot in a cache of Hugging Face consists of links to the ``blobs`` of its own repository; these are taken.
    """
    target, home = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    snapshots = next((part for part in (home, *home.parents) if part.name == "snapshots"), None)
    cached = snapshots is not None and snapshots.parent.name.startswith(_CACHED)
    blobs = snapshots.parent / "blobs" if snapshots is not None and cached else None
    if not target.is_relative_to(home) and target.parent != blobs:
        raise DataError(f"{path} is a link that leads out of the folder, to {target}: copy the file into the folder")


def read_bytes(path: Path) -> bytes:
    """Return the content of a file that is one document; a `DataError` if it is unreadable or beyond `MAX_FILE`."""
    try:
        with open(open_file(path), "rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_FILE:
        raise DataError(f"{path} is larger than {MAX_FILE >> 20} MiB: cut it into several files")
    return data


def read_lines(path: Path, shorten: Callable[[str], str] = lambda piece: "") -> Iterator[str]:
    """Yield the lines of a UTF-8 file with their line ends, without a byte order mark; unpack a ``.gz`` file.

    Args:
        path: The file.
        shorten: What is kept of the pieces of a line of more than `MAX_LINE` bytes; nothing by default. Such a line is
            a `LongLine`.

    Raises:
        DataError: The file is missing or unreadable, is not UTF-8, or its gzip stream is damaged, or what was unpacked
            so far is more than `MAX_RATIO` times what was read so far.
    """
    number, descriptor, size = 0, -1, 0
    try:
        # The generator owns the descriptor and not the stream. A generator that is given up half-way may be collected
        # after its stream, which would then warn that nobody closed it.
        descriptor = open_file(path)
        packed = path.suffix.lower() == ".gz"
        most = MAX_LINE if packed else sys.maxsize
        with open(descriptor, "rb", closefd=False) as raw:
            stream = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw
            for number, piece in enumerate(iter(partial(stream.readline, MAX_LINE), b""), start=1):
                size += max(len(piece), _LEAST_LINE)
                if size > most:
                    most = _most(path, size, raw)
                if len(piece) == MAX_LINE and not piece.endswith(b"\n"):
                    decoder = codecs.getincrementaldecoder("utf-8")()
                    kept = [shorten(decoder.decode(piece))]
                    while piece and not piece.endswith(b"\n"):
                        piece = stream.readline(_PIECE)
                        size += len(piece)
                        kept.append(shorten(decoder.decode(piece, final=not piece)))
                        if size > most:
                            most = _most(path, size, raw)
                    yield LongLine("".join(kept))
                    continue
                yield piece.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(f"{path}, line {number}: byte 0x{byte:02x} is not UTF-8: save the file as UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip stream is damaged after line {number} ({error}): make it again") from error
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _most(path: Path, size: int, packed: BinaryIO) -> int:
    """Return the most bytes that may come of what was read so far; a `DataError` if `size` is more."""
    most = max(MAX_LINE, MAX_RATIO * packed.tell())
    if size > most:
        raise DataError(f"{path} unpacks to more than {MAX_RATIO} times its size: unpack it first if that is right")
    return most
