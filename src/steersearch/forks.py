"""Forks: what a child inherits and must not use are connections, locks that other threads hold, and sessions."""

from __future__ import annotations

import ctypes
import os
from functools import cached_property
from threading import RLock
from typing import Any, Protocol
from weakref import WeakSet

LONGEST_WAIT = 10.0
"""Seconds that a fork waits for a thread that is inside SQLite, whose own locks a child would inherit."""


class Renewed(Protocol):
    """Whatever opens its files again in a forked child."""

    def _after_fork(self) -> None:
        """Forget, in the child, what is the parent's; called while no other thread runs."""


_renewed: WeakSet[Renewed] = WeakSet()
_awaited: WeakSet[Any] = WeakSet()
_held: list[Any] = []


def renew_after_fork(thing: Renewed) -> None:
    """Call `_after_fork` of a thing in every forked child, as long as the thing exists."""
    _renewed.add(thing)


def lock_for_forks() -> Any:
    """Return a new re-entrant lock that every fork waits for, so that no thread is inside what it guards."""
    lock = RLock()
    _awaited.add(lock)
    return lock


def never_free(thing: object) -> None:
    """Keep a thing of the parent for the life of this process.

    To close the parent's connection would remove its log, and to free its session waits for threads that no child has.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def renew_cached_properties(kind: type) -> None:
    """Replace the locks of cached properties of a class, which Python has below 3.12; another thread may hold them."""
    for value in vars(kind).values():
        if isinstance(value, cached_property) and hasattr(value, "lock"):
            value.lock = RLock()


def _before() -> None:
    _held.extend(lock for lock in list(_awaited) if lock.acquire(timeout=LONGEST_WAIT))


def _in_parent() -> None:
    while _held:
        _held.pop().release()


def _in_child() -> None:
    _in_parent()  # this thread holds them here too
    for thing in list(_renewed):
        thing._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
