"""Files of a bundle that somebody else may have made: read with bounds, and noticed when they change.

A file may hold anything that its checksum fits, since whoever makes a bundle makes its manifest too. What is read here
takes time and memory in proportion to the manifest's own figures, or to the size of the file.
"""

from __future__ import annotations

import gzip
import json
import os
import stat
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ChecksumError
from ...files import check_format, read_small, sha256_of
from .manifest import CURE, Manifest

MALFORMED = (
    *(OSError, EOFError, StopIteration, zipfile.BadZipFile, zlib.error),
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, MemoryError),
)
"""What reading and taking apart a malformed file may raise."""


def read_json(path: Path, limit: int) -> Any:
    """Read a JSON file of at most `limit` bytes.

    Raises:
        ValueError and others of `MALFORMED`: It is larger, a pipe or a device, or not JSON.
    """
    return json.loads(read_small(path, limit).decode("utf-8"))


def json_lines(path: Path, *, first: int, longest: int, most: int) -> Iterator[Any]:
    """Yield the values of a compressed file with one JSON value a line.

    Args:
        path: A gzip file.
        first: Bytes that the first line has at most.
        longest: The same for every other line.
        most: Lines at most.

    Raises:
        ValueError and others of `MALFORMED`: It has more than that, or is not such a file.
    """
    with gzip.open(path, "rb") as file:
        for number in range(most + 1):
            limit = longest if number else first
            line = file.readline(limit + 1)
            if not line:
                return
            if len(line) > limit or number == most:
                raise ValueError(f"line {number + 1} is too long" if len(line) > limit else f"more than {most} lines")
            yield json.loads(line.decode("utf-8"))


def read_arrays(path: Path, expected: Mapping[str, tuple[str, tuple[int | None, ...]]]) -> dict[str, Any]:
    """Read an .npz file as `numpy.savez` writes it, without compression: it takes no more memory than its size.

    Args:
        path: The file.
        expected: Name -> kind of its numbers, a character of `numpy.dtype.kind`, and shape; None for any length.

    Raises:
        ValueError and others of `MALFORMED`: It has other arrays, or is not such a file.
    """
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = {entry.filename: entry for entry in archive.infolist()}
        names = {f"{name}.npy" for name in expected}
        if members.keys() != names or len(archive.infolist()) != len(names):
            raise ValueError(f"it holds {sorted(members)[:8]}, expected {sorted(names)}")
        for entry in members.values():
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > size:
                raise ValueError(f"{entry.filename} is compressed")
            with archive.open(entry) as file:
                _check_header(entry, file, *expected[entry.filename.removesuffix(".npy")])
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in expected}


def _check_header(entry: zipfile.ZipInfo, file: Any, kind: str, shape: tuple[int | None, ...]) -> None:
    """Compare an array's type and shape with what is expected before memory is taken for it."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    found, _, dtype = read(file)
    fits = len(found) == len(shape) and all(want in (None, have) for have, want in zip(found, shape, strict=True))
    if dtype.kind != kind or not fits or int(np.prod(found, dtype=object)) * dtype.itemsize > entry.file_size:
        raise ValueError(f"{entry.filename} is {dtype} {found}, expected {kind} {shape}")


def check_version(path: Path, found: Any, known: int) -> None:
    """Check a `format_version` of JSON: `check_format` for what may be no whole number.

    Raises:
        ValueError: It is none.
        FormatVersionError: It is newer than `known`.
    """
    if type(found) is not int or found < 1:
        raise ValueError(f"format_version is {found!r}")
    check_format(path, found, known)


class OpenedFiles:
    """The files of a bundle as they were when it was opened.

    Graphs are opened on first use, hours later perhaps. A file that is another one by then, or whose times differ, is
    compared with its checksum again.
    """

    def __init__(self, folder: Path) -> None:
        """Note which files are in the folder; before they are verified, so that no moment is missed."""
        self._folder = folder
        self._stamps: dict[str, tuple[int, ...] | None] = {}
        self._unread: set[str] = set()
        self._files: Mapping[str, Mapping[str, str | int]] = {}
        if folder.is_dir():
            self._stamps = {path.name: _stamp(path) for path in folder.iterdir()}

    def listed(self, manifest: Manifest) -> OpenedFiles:
        """Remember the checksums of a manifest that was read after this object was made; return the object."""
        self._files = manifest.files
        return self

    def compare_when_opened(self, names: Collection[str]) -> None:
        """Compare the checksums of files that were not read yet when they are first opened."""
        self._unread.update(names)
        self._stamps.update(dict.fromkeys(names))

    @contextmanager
    def unchanged(self, *names: str) -> Iterator[None]:
        """Check the listed files before and after a block that opens them.

        Raises:
            ChecksumError: One was replaced or removed since the bundle was opened.
        """
        self._check(names)
        yield
        self._check(names)

    def _check(self, names: tuple[str, ...]) -> None:
        for name in names:
            now = _stamp(self._folder / name)
            if name not in self._files or (now is not None and now == self._stamps.get(name)):
                continue
            path = self._folder / name
            # A copy, a link or a touch changes the stamp and not the content.
            if now is None or sha256_of(path) != self._files[name]["sha256"]:
                how = (
                    f"was altered after the export (sha256 differs from the manifest): {CURE}"
                    if name in self._unread
                    else f"was replaced after the bundle was opened: open the bundle again, or {CURE}"
                )
                raise ChecksumError(f"{path} {how}")
            self._stamps[name] = now
            self._unread.discard(name)


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return what tells a file from one that was put in its place; None without a file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
