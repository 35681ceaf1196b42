"""Files that can be made again: written so that a half-written or altered one is noticed, never used."""

import json
import logging
import os
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from ...errors import StorageError
from ...files import sha256_of, sync_folder

logger = logging.getLogger(__name__)

T = TypeVar("T")

FORMAT_VERSION = 2
"""1 had no checksums of rows."""


def write_cache(
    folder: Path, sidecar: str, files: Mapping[str, Callable[[Path], None]], facts: Mapping[str, object]
) -> None:
    """Write files and a JSON sidecar with their sha256, each flushed to the disk and renamed into place.

    The old sidecar goes first and the new one comes last: meanwhile, and after a kill, there is no cache.
    The caller is the only writer of the folder: temporary files of others were left by killed ones and are removed.

    Args:
        folder: Where to; made when missing.
        sidecar: Name of the JSON file.
        files: Name -> function that writes the file at the path it is given, or raises OSError.
        facts: What `read_cache` will compare, and anything else worth keeping.

    Raises:
        StorageError: The disk is full or the folder cannot be written; temporary files are removed.
    """
    temporary = {name: folder / f".{name}.{os.getpid()}.{threading.get_ident()}.tmp" for name in (*files, sidecar)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder, temporary)
        digests = {}
        for name, write in files.items():
            write(temporary[name])
            _flush(temporary[name])
            digests[name] = sha256_of(temporary[name])
        content = {**facts, "format_version": FORMAT_VERSION, "sha256": digests}
        content["crc32"] = _crc32_of(content)
        temporary[sidecar].write_text(json.dumps(content, indent=1), encoding="utf-8")
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
            with suppress(OSError):  # none of them may be there; the error under way says more
                path.unlink()


def read_cache(
    folder: Path,
    sidecar: str,
    files: Sequence[str],
    expected: Mapping[str, object],
    load: Callable[[dict[str, Any]], T | None],
    later: Sequence[str] = (),
) -> T | None:
    """Check a sidecar and its files, and load them.

    Args:
        folder: Where `write_cache` wrote.
        sidecar: Name of the JSON file.
        files: Names of the files that it belongs to.
        expected: Facts that must be equal; a value of None is not compared.
        load: Given the facts, reads the files, which have the right checksums; None when it finds them unfit.
        later: Files whose checksums are not compared, because `load` has others for their parts.

    Returns:
        What `load` returned; None when anything is missing, differs, was altered, or was replaced meanwhile.
    """
    try:
        before = _state(folder, [sidecar])
        facts = read_sidecar(folder / sidecar)
        for key, value in expected.items():
            if value is not None and facts[key] != value:
                logger.info("the cache %s has %s %r, wanted %r", folder / sidecar, key, facts[key], value)
                return None
        if set(facts["sha256"]) != set(files):  # it may come from anywhere, and name what is outside the folder
            raise ValueError(f"it names the files {list(facts['sha256'])}, expected {list(files)}")
        before |= _state(folder, list(files))
        for name in files:
            if name not in later and sha256_of(folder / name) != facts["sha256"][name]:
                logger.warning("the cache %s is damaged or half-written: it will be made again", folder / name)
                return None
        loaded = load(facts)
        return loaded if _state(folder, list(before)) == before else None  # else a writer was here: two caches mixed
    except FileNotFoundError as error:
        logger.debug("no cache: %s", error)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        logger.warning("the cache %s cannot be read and will be made again: %r", folder / sidecar, error)
    return None


def read_sidecar(path: Path) -> dict[str, Any]:
    """The JSON that `write_cache` wrote.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError: It is missing or damaged.
    """
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if facts["format_version"] != FORMAT_VERSION:
        raise ValueError(f"it has format_version {facts['format_version']}, and this steersearch {FORMAT_VERSION}")
    if facts.pop("crc32") != _crc32_of(facts):
        raise ValueError("it is not what was written")
    return facts


def _crc32_of(facts: Mapping[str, object]) -> int:
    return zlib.crc32(json.dumps(facts, sort_keys=True).encode())


def _state(folder: Path, names: list[str]) -> dict[str, tuple[int, int, int]]:
    stats = {name: (folder / name).stat() for name in names}
    return {name: (stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in stats.items()}


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sweep(folder: Path, temporary: Mapping[str, Path]) -> None:
    """Remove what killed writers left behind."""
    for name in temporary:
        for path in folder.glob(f".{name}.*.tmp"):
            with suppress(FileNotFoundError):
                path.unlink()
