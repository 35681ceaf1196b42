"""Whether the values of a record of somebody else's file have the types that its class gives its fields."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from .text import shown

Check = Callable[[Any], bool]


def check_record(record: Any, *, skip: str = "") -> None:
    """Check the fields of a data class but `skip`: numbers, which are finite, texts, tuples, lists, dicts, records.

    Raises:
        TypeError: One has another type, or a number is not finite.
    """
    kind: Any = type(record)
    for name, check in _checks(kind):
        value = getattr(record, name)
        if name != skip and not check(value):
            raise TypeError(f"{name} is {shown(value)}")


@cache
def _checks(kind: type) -> list[tuple[str, Check]]:
    hints = get_type_hints(kind)
    return [(each.name, _check(hints[each.name])) for each in fields(kind)]


def _check(hint: Any) -> Check:
    """Return a function that tells whether a value has a type, as it is written in a data class."""
    parts = [_check(part) for part in get_args(hint) if part is not ...]
    if isinstance(hint, UnionType):
        return lambda value: any(part(value) for part in parts)
    if get_origin(hint) is tuple and ... in get_args(hint):
        every = parts[0]
        return lambda value: type(value) is tuple and all(map(every, value))
    if get_origin(hint) is tuple:
        return lambda value: (
            type(value) is tuple
            and len(value) == len(parts)
            and all(part(each) for part, each in zip(parts, value, strict=True))
        )
    if get_origin(hint) is dict:
        key, content = parts
        return lambda value: type(value) is dict and all(key(k) and content(v) for k, v in value.items())
    if get_origin(hint) is list:
        of_list = parts[0]
        return lambda value: type(value) is list and all(map(of_list, value))
    if hint is Any:
        return lambda value: True
    if hint is float:
        return _is_finite
    if hint is NoneType:
        return lambda value: value is None
    if is_dataclass(hint):
        # Asked when a value is there: a record may hold records of its own kind.
        return lambda value: (
            type(value) is hint and all(check(getattr(value, name)) for name, check in _checks(hint))  # type: ignore[arg-type]
        )
    return lambda value: type(value) is hint


def _is_finite(value: Any) -> bool:
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 2**63)
