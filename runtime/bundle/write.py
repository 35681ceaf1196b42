"""Atomic writing of a bundle's folder: it is complete or not there."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import BundleError, SteersearchError, StorageError
from ...files import sync_folder
from .manifest import EMBEDDER, MANIFEST, OPTIONAL_FILES, REQUIRED_FILES, read_manifest


def check_target(out: Path, overwrite: bool) -> None:
    """Check that a bundle may be written to `out`: nothing is there, or a bundle that may be overwritten.

    Raises:
        BundleError: `out` must not be replaced.
    """
    if not os.path.lexists(out):
        return
    if not (out / MANIFEST).is_file():
        raise BundleError(f"{out} exists and is not a bundle: choose another --out")
    known = {MANIFEST, *REQUIRED_FILES, *OPTIONAL_FILES, f"{EMBEDDER}.data"}
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

    It is in the nearest existing parent of `out`, on the same disk, and is renamed at the end. Only a kill between the
    two renames of a replacement leaves the old folder, under the hidden name ``.<name>.<random>.old`` next to `out`.

    Raises:
        BundleError: `out` must not be replaced.
        StorageError: The disk is full or cannot be written.
    """
    # A symbolic link to a bundle remains one.
    out = Path(os.path.realpath(out))
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
    """Flush all files to disk, so that after a power cut the renamed folder is complete."""
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
