"""Strings and metadata that can be stored, from those that cannot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_MAX_DEPTH = 100


def encodable(text: str) -> str:
    r"""Replace half surrogate pairs by ``?``. JSON can hold them (``"\ud83d"``); tokenizers and UTF-8 files cannot."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")
    return text


def encodable_name(text: str) -> str:
    r"""Write half surrogate pairs out (``\\ud83d``), so that different ids, keys and file names stay different.

    Python reads the bytes of a file name that are not UTF-8 as such halves.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def storable(metadata: Mapping[str, object]) -> dict[str, object]:
    """Return metadata that can be stored: strings and keys that are Unicode, and None for NaN and infinity."""
    return {_key(name): _storable(value, 1) for name, value in metadata.items()}


def _storable(value: object, depth: int) -> object:
    if isinstance(value, str):
        return value if value.isascii() else encodable(value)
    if type(value) is int:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    # What nests deeper is refused where it is stored.
    if depth > _MAX_DEPTH:
        return value
    if isinstance(value, Mapping):
        return {_key(name): _storable(item, depth + 1) for name, item in value.items()}
    return [_storable(item, depth + 1) for item in value] if isinstance(value, list | tuple) else value


def _key(name: Any) -> Any:
    """Return a key that can be stored; one that is no string is refused where it is stored."""
    return encodable_name(name) if isinstance(name, str) else name
