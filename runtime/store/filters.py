"""Metadata filters: a mapping such as ``{"year": {"$gte": 2025}}``, compiled to SQL with every value bound.

The dialect is the one of LangChain's PostgreSQL store, Pinecone and MongoDB:

* ``{"lang": "en"}``                           the field equals the value (the same as ``{"$eq": "en"}``)
* ``{"year": {"$gte": 2020, "$lt": 2025}}``    every operator holds
* ``{"lang": "en", "year": 2024}``             every field holds
* ``{"$or": [filter, ...]}``, ``{"$and": [filter, ...]}``, ``{"$not": filter}``, ``{"year": {"$not": {"$lt": 2020}}}``

Types never mix: a number never equals or precedes a string, a boolean equals only a boolean, and null equals only an
explicit null. ``$ne``, ``$nin`` and ``$not`` are the exact complement of ``$eq``, ``$in`` and the inner filter, so that
documents without the field match ``$ne`` (MongoDB's rule). A list matches ``$eq`` and ``$in`` if one of its elements
does; it never matches ``$gt $gte $lt $lte``. Strings are ordered by code point. Keys name top-level fields literally:
``"a.b"`` is the field ``a.b``, not ``b`` inside ``a``. Dates, times and other values that JSON lacks are compared as
they are stored, see `steersearch.json_values`.
"""

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from ...errors import DataError, FilterError
from ...json_values import json_value
from .row_encoding import encode_json, escape_text, is_unicode, short

OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$and", "$or", "$not", "$exists")
MAX_DEPTH = 32
"""Deepest nesting of filters, counting the outermost as 1."""
MAX_CONDITIONS = 500
"""Most comparisons in one filter: SQLite limits expressions to a depth of 1,000. `$in` takes any number of values."""

_COMPARE = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_NUMBER = "IN ('integer', 'real')"
_VALUES = "(SELECT value FROM json_each(?))"
# Values are bound as JSON text, so that SQLite parses the numbers of filters and documents with the same routine, which
# is not correctly rounded on every platform. A list of any length is then one parameter.

Kind = Literal["leaf", "AND", "OR"]


class _Node(NamedTuple):
    kind: Kind
    sql: str
    params: list[object]
    stack: int
    """Symbols on the stack of SQLite's parser at the deepest place of the expression."""


def read_filter(text: str | None, name: str) -> dict[str, Any] | None:
    """Parse a filter from the JSON text of the argument `name`; return None for None.

    Raises:
        FilterError: The text is not a JSON object, or a key occurs twice in one. `compile_filter` checks its content.
    """
    if text is None:
        return None
    try:
        filter = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise FilterError(f'{name} is not JSON ({error}): write it like {{"year": {{"$gte": 2024}}}}') from None
    if not isinstance(filter, dict):
        raise FilterError(f'{name} is {text!r:.80}: it must be a JSON object like {{"year": {{"$gte": 2024}}}}')
    return filter


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; a ValueError when a key is in it twice, of which JSON would drop the first."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {short(twice)} occurs twice; write its conditions in one object, or use $and")
    return found


def check_filter(filter: object) -> Mapping[str, Any] | None:
    """Return a filter, None for one without conditions; its content is checked by `compile_filter`.

    Raises:
        FilterError: It is no mapping. Only None and ``{}`` match all documents; ``""``, 0, False and ``[]`` do not.
    """
    if filter is None or isinstance(filter, Mapping):
        return filter or None
    raise FilterError(f"a filter is {short(filter)}: expected a mapping of fields to conditions. {_list()}")


def compile_filter(filter: Mapping[str, object] | None) -> tuple[str, list[object]]:
    """Compile a filter to a SQL expression over a table alias `d` with a JSON text column `metadata`.

    None and ``{}`` match every document. Documents without the field match ``$ne``, ``$nin`` and ``$not`` (MongoDB's
    rule), but, unlike in MongoDB, not ``{"field": None}``. A field whose name begins with ``$`` needs an explicit
    operator: ``{"$id": {"$eq": 5}}``; the names of operators cannot be fields.

    Returns:
        The expression, which is 0 or 1 for every document and never NULL, and its parameters in order. Keys and values
        occur in the parameters only.

    Raises:
        FilterError: The filter is invalid; the message names the place, the expectation and the operators.
    """
    if filter is None:
        return "1", []
    node = _Compiler().mapping(filter, False, 1)
    return (f"({node.sql})" if node.kind == "OR" else node.sql), node.params


class _Compiler:
    """One compilation; negation is pushed inwards (De Morgan), so that NOT precedes comparisons only."""

    def __init__(self) -> None:
        self.conditions = 0

    def mapping(self, filter: object, negate: bool, depth: int) -> _Node:
        if not isinstance(filter, Mapping):
            raise FilterError(f"a filter is {short(filter)}: expected a mapping of fields to conditions. {_list()}")
        if depth > MAX_DEPTH:
            raise FilterError(f"the filter nests deeper than {MAX_DEPTH} levels: flatten it, or use $in")
        nodes: list[_Node] = []
        for key, value in filter.items():
            if not isinstance(key, str) or not is_unicode(key):
                raise FilterError(f"a key of the filter is {short(key)}: expected a string, a field or an operator")
            if key == "$not":
                nodes.append(self.mapping(value, not negate, depth + 1))
            elif key in ("$and", "$or"):
                if not isinstance(value, list | tuple) or not value:
                    raise FilterError(f"{key} has {short(value)}: expected a list of at least one filter")
                inner = [self.mapping(item, negate, depth + 1) for item in value]
                nodes.append(_join(inner, (key == "$and") != negate))
            elif key.startswith("$") and (key in OPERATORS or not _has_operators(value)):
                raise FilterError(
                    f"{key!r} stands where a field or one of $and, $or, $not is expected{_hint(key)}. {_list()} "
                    '(A field whose name begins with $ is written {"$id": {"$eq": 5}}.)'
                )
            else:
                nodes.append(self.field(key, value, negate, depth))
        return _join(nodes, not negate)

    def field(self, key: str, condition: object, negate: bool, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise FilterError(f"the filter nests deeper than {MAX_DEPTH} levels: flatten it, or use $in")
        if not isinstance(condition, Mapping):
            return self.comparison(key, "$eq", condition, negate)
        if not condition:
            raise FilterError(f"the condition of field {key!r} is empty: expected a value or operators. {_list()}")
        nodes: list[_Node] = []
        for operator, operand in condition.items():
            if operator == "$not":
                nodes.append(self.field(key, operand, not negate, depth + 1))
            elif operator in OPERATORS and operator not in ("$and", "$or"):
                nodes.append(self.comparison(key, operator, operand, negate))
            else:
                raise FilterError(
                    f"{short(operator)} in the condition of field {key!r} is not an operator of a field"
                    f"{_hint(operator)}. {_list()}"
                )
        return _join(nodes, not negate)

    def comparison(self, key: str, operator: str, operand: object, negate: bool) -> _Node:
        self.conditions += 1
        if self.conditions > MAX_CONDITIONS:
            raise FilterError(f"the filter has more than {MAX_CONDITIONS} comparisons: use $in for many values")
        place = f"{operator} of field {key!r}"
        params: list[object] = []
        if operator in ("$ne", "$nin"):
            operator, negate = {"$ne": "$eq", "$nin": "$in"}[operator], not negate
        if operator == "$exists":
            if not isinstance(operand, bool):
                raise FilterError(f"{place} has {short(operand)}: expected true or false")
            inner, negate = "", negate == operand
        elif operator == "$in":
            if not isinstance(operand, list | tuple | set | frozenset):
                raise FilterError(f"{place} has {short(operand)}: expected a list of values")
            if not operand:
                return _Node("leaf", "1" if negate else "0", [], 1)
            inner, params = _equals_any([_scalar(item, place, key) for item in operand])
        elif operator == "$eq":
            inner, params = _equals_any([_scalar(operand, place, key)])
        else:
            value = _scalar(operand, place, key)
            if value is None or isinstance(value, bool):
                raise FilterError(f"{place} has {short(value)}: expected a number or a string, which have an order")
            kind = "= 'text'" if isinstance(value, str) else _NUMBER
            inner, params = f" AND j.type {kind} AND j.atom {_COMPARE[operator]} {_VALUES}", [encode_json([value])]
        sql = f"EXISTS (SELECT 1 FROM json_each(d.metadata) j WHERE j.key = ?{inner})"
        return _Node("leaf", f"NOT {sql}" if negate else sql, [escape_text(key), *params], 1)


def _equals_any(values: list[object]) -> tuple[str, list[object]]:
    """Return SQL that holds if j, or an element of the list j, equals one of `values`."""
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    names: dict[object, str] = {None: "null", False: "false", True: "true"}
    types = [names[value] for value in values if value is None or isinstance(value, bool)]
    parts: list[str] = []
    params: list[object] = []
    for test, operands in (
        (f"@.type = 'text' AND @.atom IN {_VALUES}", texts),
        (f"@.type {_NUMBER} AND @.atom IN {_VALUES}", numbers),
        (f"@.type IN {_VALUES}", types),
    ):
        if operands:
            parts.append(test)
            params.append(encode_json(operands))
    one_of = " OR ".join(parts)
    element = f"EXISTS (SELECT 1 FROM json_each(j.value) e WHERE {one_of.replace('@', 'e')})"
    return f" AND (j.type = 'array' AND {element} OR {one_of.replace('@', 'j')})", params * 2


def _join(nodes: list[_Node], conjunction: bool) -> _Node:
    """Join expressions with AND or OR, the one with the largest parser stack first.

    SQLite's parser has room for 100 symbols. In this order 32 levels of 500 comparisons fit; in the user's order 20
    levels may not.
    """
    kind: Kind = "AND" if conjunction else "OR"
    if not nodes:
        return _Node("leaf", "1" if conjunction else "0", [], 1)
    if len(nodes) == 1:
        return nodes[0]
    nodes = [
        _Node("leaf", f"({n.sql})", n.params, n.stack + 1) if (kind, n.kind) == ("AND", "OR") else n for n in nodes
    ]
    nodes.sort(key=lambda node: -node.stack)
    stack = max(nodes[0].stack, 2 + nodes[1].stack)
    return _Node(kind, f" {kind} ".join(n.sql for n in nodes), [param for n in nodes for param in n.params], stack)


def _scalar(value: object, place: str, key: str) -> object:
    try:
        value = json_value(value)
    except DataError as error:
        raise FilterError(f"{place}: {error}") from None
    if isinstance(value, str):
        if not is_unicode(value):
            raise FilterError(f"{place} has {short(value)}, a string with a lone surrogate: it is not Unicode text")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise FilterError(f"{place} has {value}: expected a finite number")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise FilterError(f"{place} has an integer beyond 64 bits: expected one in [-2**63, 2**63)")
    elif value is not None:
        cure = (
            f"; to match any of several values write {{{key!r}: {{'$in': [...]}}}}" if isinstance(value, list) else ""
        )
        raise FilterError(
            f"{place} has {short(value)} ({type(value).__name__}): expected str, int, float, bool or None"
            f"{cure}{_hint(key)}. {_list()}"
        )
    return value


def _has_operators(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(operator in OPERATORS for operator in value)


def _hint(word: object) -> str:
    if not isinstance(word, str):
        return ""
    if word in OPERATORS:
        return f'; it joins whole filters: {{"{word}": [{{"a": 1}}, {{"b": 2}}]}}' if word in ("$and", "$or") else ""
    close: Iterable[str] = difflib.get_close_matches("$" + word.lower().lstrip("$"), OPERATORS, n=2, cutoff=0.7)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _list() -> str:
    return f"Operators: {' '.join(OPERATORS)}"
