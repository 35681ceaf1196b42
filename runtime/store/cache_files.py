"""Cache files that can be rebuilt: a half-written or altered one is detected and never used."""

import json
import logging
import os
import stat
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

from ...errors import StorageError
from ...files import make_temporary, read_small, sha256_of, sync_folder
from .leftovers import remove_leftovers

logger = logging.getLogger(__name__)

T = TypeVar("T")

FORMAT_VERSION = 3
"""Version 1 had no checksums of rows, version 2 no sizes of files."""
VERIFIED_ROWS = 64
"""Newest documents of a cache that are compared with the store before the cache is used."""
LONGEST_SIDECAR = 1 << 25
"""Bytes of a sidecar. A graph of 10 million vectors lists at most 2.5 million that were removed, some 20 MB."""
UNREADABLE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError),  # RecursionError is of the last
    *(OverflowError, MemoryError),  # of numbers that are too large, and of arrays that are said to be large
)
"""What reading a damaged cache can raise."""


def write_cache(
    folder: Path, sidecar: str, files: Mapping[str, Callable[[Path], None]], facts: Mapping[str, object]
) -> None:
    """Write files and a JSON sidecar with their sha256, each flushed to disk and renamed into place.

    The old sidecar is removed first and the new one is written last, so that an interrupted write leaves no cache. The
    caller must be the only writer of the folder: temporary files of killed writers are removed.

    Args:
        folder: Created if missing.
        sidecar: Name of the JSON file.
        files: Name -> function that writes the file at the given path, or raises OSError.
        facts: Values that `read_cache` compares, and any others to keep.

    Raises:
        StorageError: The disk is full or the folder cannot be written; temporary files are removed.
    """
    temporary: dict[str, Path] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(nullcontext, [folder])
        for name in (*files, sidecar):
            temporary[name] = make_temporary(folder / name)
        digests, sizes = {}, {}
        for name, write in files.items():
            write(temporary[name])
            _flush(temporary[name])
            digests[name], sizes[name] = sha256_of(temporary[name]), temporary[name].stat().st_size
        content = {**facts, "format_version": FORMAT_VERSION, "sha256": digests, "sizes": sizes}
        content["crc32"] = _crc32_of(content)
        temporary[sidecar].write_text(json.dumps(content), encoding="utf-8")
        _flush(temporary[sidecar])
        (folder / sidecar).unlink(missing_ok=True)
        for name, path in temporary.items():
            os.replace(path, folder / name)
        sync_folder(folder)
    except OSError as error:
        raise StorageError(
            f"cannot write the search cache in {folder}: {error.strerror or error}; free space on the disk or mend its "
            "permissions. The documents are safe: the cache is made again when it is needed"
        ) from error
    finally:
        for path in temporary.values():
            # Usually they no longer exist, and an error in progress must not be hidden.
            with suppress(OSError):
                path.unlink()


def read_cache(
    folder: Path,
    sidecar: str,
    files: Sequence[str],
    expected: Mapping[str, object],
    load: Callable[[dict[str, Any]], T | None],
    unchecked: Sequence[str] = (),
    fits: Callable[[dict[str, Any]], bool] | None = None,
) -> T | None:
    """Verify a sidecar and its files, and load them.

    Args:
        folder: The folder that `write_cache` wrote to.
        sidecar: Name of the JSON file.
        files: Names of the files that belong to it.
        expected: Values that the sidecar must have; None matches any value.
        load: Receives the sidecar's values and reads the files; returns None if they do not fit.
        unchecked: Files whose checksums are not compared, because `load` verifies their parts itself.
        fits: Receives the sidecar's values and returns whether the cache is of these documents, such as
            `DocumentStore.is_origin_of`; by default any is.

    Returns:
        The result of `load`, or None if anything is missing, differs, was altered, or was replaced during the call.
    """
    try:
        before = _state(folder, [sidecar])
        facts = read_sidecar(folder / sidecar)
        for key, value in expected.items():
            if value is not None and facts[key] != value:
                logger.info("the cache %s has %s %r, wanted %r", folder / sidecar, key, facts[key], value)
                return None
        if fits is not None and not fits(facts):
            logger.info("the cache %s was made of other documents", folder / sidecar)
            return None
        # A sidecar of unknown origin may name files outside the folder.
        if set(facts["sha256"]) != set(files):
            raise ValueError(f"it names the files {list(facts['sha256'])}, expected {list(files)}")
        before |= _state(folder, list(files))
        for name in files:
            if before[name][2] != facts["sizes"][name]:  # first, for a sparse file may have any size
                raise ValueError(f"{name} has {before[name][2]} bytes, expected {facts['sizes'][name]}")
            if name not in unchecked and sha256_of(folder / name) != facts["sha256"][name]:
                logger.warning("the cache %s is damaged or half-written: it will be made again", folder / name)
                return None
        loaded = load(facts)
        # Another writer may have replaced some of the files during the call.
        return loaded if _state(folder, list(before)) == before else None
    except FileNotFoundError as error:
        logger.debug("no cache: %s", error)
    except UNREADABLE as error:
        logger.warning("the cache %s cannot be read and will be made again: %r", folder / sidecar, error)
    return None


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read the JSON that `write_cache` wrote.

    Raises:
        FileNotFoundError: The file is missing.
        UNREADABLE: It is damaged, or no regular file.
    """
    facts: dict[str, Any] = json.loads(read_small(path, LONGEST_SIDECAR))
    if facts["format_version"] != FORMAT_VERSION:
        raise ValueError(f"it has format_version {facts['format_version']}, and this steersearch {FORMAT_VERSION}")
    if facts.pop("crc32") != _crc32_of(facts):
        raise ValueError("it is not what was written")
    return facts


def _crc32_of(facts: Mapping[str, object]) -> int:
    return zlib.crc32(json.dumps(facts, sort_keys=True).encode())


def _state(folder: Path, names: list[str]) -> dict[str, tuple[int, int, int]]:
    found = {name: (folder / name).stat() for name in names}
    for name, file in found.items():
        if not stat.S_ISREG(file.st_mode):
            raise ValueError(f"{name} is no regular file")
    return {name: (file.st_ino, file.st_mtime_ns, file.st_size) for name, file in found.items()}


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
