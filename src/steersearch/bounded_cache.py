"""A cache of bounded size that drops the least recently used entry."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

from .forks import renew_after_fork

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """A mapping of bounded size; a new entry takes the place of the least recently used one.

    Threads may share it. Two threads that miss the same key at the same time both make its value, and the later one is
    kept. Where a value depends on its key alone, `functools.lru_cache` is simpler.

    Args:
        limit: Most entries, or the largest sum of sizes. The newest entry is kept even when it alone is larger.
        size_of: Size of a value; 1 by default, so that `limit` counts entries.
    """

    def __init__(self, limit: int, size_of: Callable[[Value], int] = lambda value: 1) -> None:
        self._limit, self._size_of = limit, size_of
        self._entries: OrderedDict[Key, Value] = OrderedDict()
        self._size = 0
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Replace the lock, which another thread may have held."""
        self._lock = Lock()

    def get(self, key: Key) -> Value | None:
        """Return the value of a key, None when it is not there."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key]

    def put(self, key: Key, value: Value) -> None:
        """Keep a value under a key, and drop the oldest entries that no longer fit."""
        with self._lock:
            self._drop(key)
            self._entries[key] = value
            self._size += self._size_of(value)
            while self._size > self._limit and len(self._entries) > 1:
                self._drop(next(iter(self._entries)))

    def get_or_make(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the value of a key; make and keep it when it is not there."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        value = make()
        self.put(key, value)
        return value

    def clear(self) -> None:
        """Drop all entries."""
        with self._lock:
            self._entries.clear()
            self._size = 0

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def _drop(self, key: Key) -> None:
        if key in self._entries:
            self._size -= self._size_of(self._entries.pop(key))
