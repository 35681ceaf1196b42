"""The lock of the single writer: threads wait for it, other processes get an error that names the holder."""

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
from ...files import overwrite, read_small
from ...forks import never_free, renew_after_fork

LOCK = "write.lock"
HOLDER = "writer.json"


class WriterLock:
    """The exclusive right to write to a folder, in its ``write.lock``, with ``writer.json`` while it is held.

    The operating system releases it when the process ends.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._new_locks()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Compete with the parent for the lock, in a forked child."""
        never_free(self._file)
        self._new_locks()

    def _new_locks(self) -> None:
        self._threads = threading.RLock()
        self._file = FileLock(self._folder / LOCK, timeout=0, thread_local=False)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; re-entrant. Other threads that share this object wait.

        Raises:
            IndexLockedError: Another process, or another lock object of this process, holds it.
            StorageError: The lock file cannot be written.
        """
        with self._threads:
            file, outermost = self._file, not self._file.is_locked
            try:
                file.acquire()
            except Timeout as error:
                raise IndexLockedError(
                    f"another process is writing to {self._folder}{self._describe()}: wait until it is done, or stop it"
                ) from error
            except OSError as error:
                raise StorageError(f"cannot write {self._folder / LOCK}: {error.strerror or error}") from error
            try:
                if outermost:
                    self._write_holder()
                yield
            finally:
                # In a child that was forked inside ``with`` it is the parent's.
                if file is self._file:
                    if outermost:
                        with suppress(OSError):
                            (self._folder / HOLDER).unlink()
                    file.release()

    def holder(self) -> str | None:
        """Describe the current writer; None without one, or if the folder cannot be written."""
        if not (self._folder / HOLDER).exists():
            return None
        named = self._describe().strip(" ()") or "another process"
        if self._file.is_locked or not self._threads.acquire(blocking=False):
            return named  # this process or one of its threads
        try:
            # The holder may have been killed: only acquiring the lock shows that.
            self._file.acquire()
        except Timeout:
            return named
        except OSError:
            return None
        else:
            self._file.release()
            return None
        finally:
            self._threads.release()

    def _write_holder(self) -> None:
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        content = {"process": os.getpid(), "computer": platform.node(), "since": now}
        with suppress(OSError):  # used in messages only
            (self._folder / HOLDER).unlink(missing_ok=True)  # of a killed writer
            overwrite(self._folder / HOLDER, json.dumps(content).encode())

    def _describe(self) -> str:
        """Return the holder in parentheses; empty if it has not written its name or the file is damaged."""
        try:
            content = json.loads(read_small(self._folder / HOLDER, 4096))
            return f" (process {content['process']} on {content['computer']}, since {content['since']})"
        except (OSError, ValueError, LookupError, TypeError):
            return ""
