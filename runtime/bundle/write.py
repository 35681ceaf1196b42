"""Write a folder that is either complete or not there."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import BundleError, StorageError
from ...files import sync_folder
from .manifest import EMBEDDER, MANIFEST, OPTIONAL_FILES, REQUIRED_FILES


def check_target(out: Path, overwrite: bool) -> None:
    """Raise unless a bundle may be written to `out`: it does not exist, or it is a bundle and may be overwritten.

    Raises:
        BundleError: Something is there that must not be replaced.
    """
    if not os.path.lexists(out):
        return
    if not (out / MANIFEST).is_file():
        raise BundleError(f"{out} exists and is not a bundle: choose another --out")
    ours = {MANIFEST, *REQUIRED_FILES, *OPTIONAL_FILES, f"{EMBEDDER}.data"}
    foreign = sorted(p.name for p in out.iterdir() if p.name not in ours)
    if foreign:  # replacing the folder would delete it
        raise BundleError(f"{out} holds {foreign[0]!r}, which is no part of a bundle: move it, or choose another --out")
    if not overwrite:
        raise BundleError(f"{out} is already a bundle: choose another --out, or add --overwrite to replace it")


@contextmanager
def staged_folder(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """A new folder on the disk of `out` that becomes `out` when the block ends well, and vanishes when it does not.

    The folder lies beside `out`, or beside the nearest parent that exists, so that the last step is a rename. What was
    at `out` before stays until then; only a kill between the two renames of a replacement leaves it under the hidden
    name ``.<name>.<random>.old`` beside `out`.

    Raises:
        BundleError: `out` must not be replaced.
        StorageError: The disk is full or cannot be written.
    """
    out = Path(os.path.realpath(out))  # a link to a bundle stays a link
    check_target(out, overwrite)
    anchor = next(parent for parent in out.parents if parent.exists())
    folder = anchor / f".{out.name}.{secrets.token_hex(4)}.tmp"
    try:
        folder.mkdir()
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
    """Wait until the disk has everything, so that a rename never points at files that a power cut empties."""
    for path in folder.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def _publish(folder: Path, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    if not out.exists():
        os.rename(folder, out)
    else:
        old = out.with_name(f".{out.name}.{secrets.token_hex(4)}.old")
        os.rename(out, old)
        try:
            os.rename(folder, out)
        except BaseException:
            os.rename(old, out)
            raise
        shutil.rmtree(old, ignore_errors=True)
    sync_folder(out.parent)
