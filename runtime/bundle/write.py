"""Atomic writing of a bundle's folder: it is complete or not there, whenever the process is killed.

A new bundle is written to ``.<name>.<random>.tmp`` and renamed. To replace one, the two folders are exchanged by one
call of the kernel, where it has such a call; else the old one goes to ``.<name>.<random>.old`` first. A kill between
those two renames leaves it there, and `recover` puts it back at the next use. Hidden folders of killed runs are removed
by the next run; those of live ones are locked.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import BundleError, SteersearchError, StorageError
from ...files import sync_folder
from ...model_card import CARD
from .folder_lock import hold
from .manifest import (
    DECODER,
    EMBEDDER,
    ENCODER,
    MANIFEST,
    OPTIONAL_FILES,
    ORIGIN,
    PROBES,
    REQUIRED_FILES,
    read_manifest,
)

logger = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds to wait for a replacement that is under way."""
YOUNG = 60.0
"""Seconds in which a hidden folder is left alone: it is locked a moment after it was made."""
_AT_FDCWD, _EXCHANGE = -100, 2
"""Of renameat2 (Linux) and of renamex_np (macOS)."""


def recover(out: Path) -> None:
    """Put a bundle back that a killed replacement left under its hidden name only; do nothing when `out` is there.

    Raises:
        StorageError: It cannot be renamed.
    """
    out = Path(os.path.realpath(out))
    if out.exists():
        return
    for old in _hidden(out.parent, out.name, "old"):
        try:
            # A replacement that is not dead ends in a moment.
            with hold(old, PATIENCE) as held:
                if held and not out.exists() and (old / MANIFEST).is_file():
                    os.rename(old, out)
                    logger.warning("%s is the bundle from before a replacement that was killed", out)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError(f"cannot rename {old} to {out} ({error.strerror or error}): do it yourself") from error


def sweep(folder: Path, name: str) -> None:
    """Remove what killed runs have left of the bundle `name` in a folder; never the only copy of a bundle."""
    kinds = ("tmp", "old") if (folder / name).exists() else ("tmp",)
    for path in (path for kind in kinds for path in _hidden(folder, name, kind)):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > YOUNG:
                with hold(path) as held:
                    if held:
                        shutil.rmtree(path, ignore_errors=True)


def check_target(out: Path, overwrite: bool) -> None:
    """Check that a bundle may be written to `out`: nothing is there, or a bundle that may be overwritten.

    Raises:
        BundleError: `out` must not be replaced.
    """
    recover(out)
    if not os.path.lexists(out):
        return
    if not (out / MANIFEST).is_file():
        raise BundleError(f"{out} exists and is not a bundle: choose another --out")
    known = {MANIFEST, ORIGIN, CARD, PROBES, *REQUIRED_FILES, *OPTIONAL_FILES}
    known |= {f"{name}.data" for name in (EMBEDDER, ENCODER, DECODER)}
    # Embedders of other kinds have files of their own, which the manifest lists; a damaged one lists none.
    with suppress(SteersearchError):
        known |= {name for name in read_manifest(out, verify=False).files if name.startswith("embedder.")}
    foreign = sorted(p.name for p in out.iterdir() if p.name not in known)
    # The replacement of the folder would delete it.
    if foreign:
        raise BundleError(f"{out} holds {foreign[0]!r}, which is no part of a bundle: move it, or choose another --out")
    if not overwrite:
        raise BundleError(f"{out} is already a bundle: choose another --out, or add --overwrite to replace it")


@contextmanager
def staged_folder(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a new folder that becomes `out` when the block succeeds and is deleted when it fails.

    It is in the nearest existing parent of `out`, on the same disk, and is renamed at the end.

    Raises:
        BundleError: `out` must not be replaced.
        StorageError: The disk is full or cannot be written.
    """
    # A symbolic link to a bundle remains one.
    out = Path(os.path.realpath(out))
    check_target(out, overwrite)
    anchor = next(parent for parent in out.parents if parent.exists())
    sweep(anchor, out.name)
    folder = anchor / f".{out.name}.{secrets.token_hex(4)}.tmp"
    try:
        folder.mkdir()
        with hold(folder):
            yield folder
            _sync(folder)
            check_target(out, overwrite)
            _publish(folder, out)
    except StorageError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"cannot write {out} ({reason}): free space or choose another --out") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Flush all files to disk, so that after a power cut the renamed folder is complete."""
    for path in folder.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def _publish(folder: Path, out: Path) -> None:
    """Rename `folder` to `out`. What was there has the name of `folder` afterwards, or none."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if not out.exists():
        os.rename(folder, out)
    else:
        # Who edits features beside it holds this lock: with another folder in its place, the next would not wait.
        with hold(out, PATIENCE) as held:
            if not held:
                raise StorageError(f"{out} is being written by another process: try again")
            if not _exchange(folder, out):
                _replace(folder, out)
    sync_folder(out.parent)


def _replace(folder: Path, out: Path) -> None:
    """Rename `folder` to `out`, which has a hidden name of its own in between."""
    old = out.with_name(f".{out.name}.{secrets.token_hex(4)}.old")
    os.rename(out, old)
    try:
        os.rename(folder, out)
    except BaseException:
        os.rename(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step; False, and nothing done, where the system cannot."""
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None)
        if hasattr(library, "renameat2"):
            return bool(library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _EXCHANGE) == 0)
        return bool(library.renamex_np(first, second, _EXCHANGE) == 0)
    except (OSError, TypeError, AttributeError):  # no such library, or no such call in it
        return False


def _hidden(folder: Path, name: str, kind: str) -> list[Path]:
    """List the hidden folders of the bundle `name`, newest first."""
    pattern = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{8}}\.{kind}")
    try:
        found = [path for path in folder.iterdir() if pattern.fullmatch(path.name) and not path.is_symlink()]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return []
