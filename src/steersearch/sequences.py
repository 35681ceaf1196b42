"""Arguments that hold one item per document, taken by position whatever their type."""

from __future__ import annotations

import sys
from collections.abc import ItemsView, Iterable, KeysView, Mapping, Set, ValuesView
from typing import Any

from .errors import DataError


def as_list(values: object, name: str) -> list[Any]:
    """Return the items of an argument in their order, as a list; arguments and errors as in `in_order`."""
    return list(in_order(values, name))


def in_order(values: object, name: str) -> Iterable[Any]:
    """Return the items of an argument in their order; a generator stays one.

    A pandas Series is indexed by label, a generator cannot be read twice, an array gives numbers that are no Python
    numbers. So whatever takes one item per document takes what this returns.

    Args:
        values: A list or tuple, a generator, the keys or values of a dict, an array of one dimension, a column of
            pandas, polars or pyarrow, or anything else that is read from its first item to its last.
        name: Name of the argument, for messages.

    Raises:
        DataError: It has no order (a set), no items (a number), items of another kind (a single text or document, the
            keys of a mapping, the columns of a table), or masked ones. The message names the type and the cure.
    """
    if isinstance(values, list | tuple | KeysView | ValuesView | ItemsView):
        return values
    _refuse_others(values, name)
    values = unmasked(values, name)
    for method in ("to_pylist", "tolist", "to_list"):
        # Of pyarrow, of NumPy and pandas, of polars: Python's own values, by position.
        if callable(convert := getattr(values, method, None)):
            items = convert()
            if isinstance(items, list):
                return items
    # Without `__iter__` Python would ask for the items 0, 1, 2 …, which may be labels.
    if not isinstance(values, Iterable):
        kind = type(values).__name__
        raise DataError(f"{name} is a {kind}, which cannot be read item by item: give a list of {name}")
    return values


def _refuse_others(values: object, name: str) -> None:
    kind = type(values).__name__
    if isinstance(values, str | bytes | bytearray | memoryview):
        single = "string" if isinstance(values, str) else kind
        raise DataError(f"{name} is a single {single}: give a list of {name}")
    if isinstance(values, Mapping):
        raise DataError(f"{name} is a {kind}, a mapping: give a list of {name}, such as list(x.values())")
    if hasattr(values, "page_content"):
        raise DataError(f"{name} is a single {kind}: put it in a list")
    if isinstance(values, Set):
        raise DataError(f"{name} is a {kind}, which has no order: give a list of {name}, such as sorted(x)")
    shape = getattr(values, "shape", None)
    if isinstance(shape, tuple) and len(shape) != 1:
        raise DataError(f"{name} is a {kind} of shape {shape}: give one column or a list, with one item per document")


def is_masked(values: Any) -> bool:
    """Return whether a value is a masked array, which may have nothing masked."""
    # Whoever has one has imported this module, which NumPy by itself does not: it takes 15 ms. Another thread may be in
    # the middle of importing it.
    kind = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)
    return kind is not None and isinstance(values, kind)


def unmasked(values: Any, name: str) -> Any:
    """Return the content of a masked array of which nothing is masked, and other values as they are.

    Raises:
        DataError: Something is masked; the message names the first place.
    """
    if not is_masked(values):
        return values
    import numpy as np

    masked = np.argwhere(np.ma.getmaskarray(values))
    if len(masked):
        place = ", ".join(map(str, masked[0].tolist()))
        raise DataError(f"{name} is a masked array, and {name}[{place}] is masked: fill or leave out what is masked")
    return np.asarray(values.data)
