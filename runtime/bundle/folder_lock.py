"""A lock on a folder itself, which leaves no file behind: `flock` on the folder, where there is such a call."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PAUSE = 0.05
"""Seconds between two attempts."""


@contextmanager
def hold(folder: Path, patience: float = 0.0) -> Iterator[bool]:
    """Hold the lock of the folder that is there now, during the block; it follows the folder when that is renamed.

    The kernel gives it back when the process ends, however it ends. On Windows it is a file beside the folder, which is
    removed at the end.

    Args:
        folder: An existing folder.
        patience: Seconds to wait for another process or thread.

    Yields:
        False when somebody else has held it all the time. True when it is held, and where a file system has no locks.

    Raises:
        OSError: The folder cannot be opened.
    """
    if fcntl is None:
        lock = FileLock(folder.with_name(f".{folder.name}.lock"), timeout=patience)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()
        return
    until = time.monotonic() + patience
    while True:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            held = _acquire(descriptor, until)
            # While this waited, another folder may have taken the place; its lock is another one.
            if held and not os.path.samestat(os.fstat(descriptor), os.stat(folder)):
                continue
            yield held
            return
        finally:
            os.close(descriptor)


def _acquire(descriptor: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(PAUSE)
        except OSError:  # a file system without locks
            return True
        else:
            return True
