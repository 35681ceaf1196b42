"""One writer at a time: a lock that threads wait for and other processes are refused, with the holder's name."""

import json
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ...errors import IndexLockedError, StorageError

LOCK = "write.lock"
HOLDER = "writer.json"


class WriterLock:
    """The right to write to a folder. The operating system takes it back when the process ends, however it ends.

    Args:
        folder: The folder; ``write.lock`` is made in it, and ``writer.json`` as long as somebody writes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = threading.RLock()
        self._file = FileLock(folder / LOCK, timeout=0, thread_local=False)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; re-entrant. Other threads that share this object wait.

        Raises:
            IndexLockedError: Another process, or another lock of this process, holds it.
            StorageError: The lock file cannot be written.
        """
        with self._threads:
            outermost = not self._file.is_locked
            try:
                self._file.acquire()
            except Timeout as error:
                raise IndexLockedError(
                    f"another process is writing to {self._folder}{self._named()}: wait until it is done, or stop it"
                ) from error
            except OSError as error:
                raise StorageError(f"cannot write {self._folder / LOCK}: {error.strerror or error}") from error
            try:
                if outermost:
                    self._sign()
                yield
            finally:
                if outermost:
                    with suppress(OSError):
                        (self._folder / HOLDER).unlink()
                self._file.release()

    def holder(self) -> str | None:
        """Who writes at this moment, in words; None when nobody does, or the folder cannot be written."""
        if not (self._folder / HOLDER).exists():
            return None
        named = self._named().strip(" ()") or "another process"
        if self._file.is_locked or not self._threads.acquire(blocking=False):
            return named  # this process, perhaps another thread of it
        try:
            self._file.acquire()  # the holder may have been killed: only the lock itself tells
        except Timeout:
            return named
        except OSError:
            return None
        else:
            self._file.release()
            return None
        finally:
            self._threads.release()

    def _sign(self) -> None:
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        content = {"process": os.getpid(), "computer": platform.node(), "since": now}
        with suppress(OSError):  # only for messages
            (self._folder / HOLDER).write_text(json.dumps(content), encoding="utf-8")

    def _named(self) -> str:
        """The holder in brackets; nothing when it has not signed yet, or what it wrote cannot be read."""
        try:
            content = json.loads((self._folder / HOLDER).read_text(encoding="utf-8"))
            return f" (process {content['process']} on {content['computer']}, since {content['since']})"
        except (OSError, ValueError, LookupError, TypeError):
            return ""
