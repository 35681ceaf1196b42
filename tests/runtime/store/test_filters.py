"""Filters: the compiled SQL against a plain Python reading of the same rules, and every refusal."""

import sqlite3

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from steersearch.errors import FilterError
from steersearch.runtime.store.filters import MAX_CONDITIONS, MAX_DEPTH, OPERATORS, compile_filter, read_filter
from steersearch.runtime.store.row_encoding import encode_json


def select(filter, *documents):
    """Positions of the documents that SQLite finds."""
    expression, parameters = compile_filter(filter)
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE TABLE documents (rowid INTEGER PRIMARY KEY, metadata TEXT)")
        connection.executemany("INSERT INTO documents VALUES (?, ?)", enumerate(map(encode_json, documents)))
        rows = connection.execute(f"SELECT rowid FROM documents d WHERE {expression} ORDER BY 1", parameters).fetchall()
        values = connection.execute(f"SELECT DISTINCT {expression} FROM documents d", parameters).fetchall()
        assert {value for (value,) in values} <= {0, 1}  # never NULL, so that NOT around it is the complement
        return [rowid for (rowid,) in rows]
    finally:
        connection.close()


def kind(value):
    if value is None or isinstance(value, bool):
        return str(value)
    return "number" if isinstance(value, int | float) else "text" if isinstance(value, str) else "other"


def equal(value, operand):
    elements = value if isinstance(value, list) else [value]
    return any(kind(e) == kind(operand) and e == operand for e in elements)


def holds(operator, operand, present, value):
    compare = {
        "$gt": lambda: value > operand,
        "$gte": lambda: value >= operand,
        "$lt": lambda: value < operand,
        "$lte": lambda: value <= operand,
    }
    if operator == "$not":
        return not condition(operand, present, value)
    if operator == "$exists":
        return present == operand
    if operator in ("$eq", "$in"):
        return present and any(equal(value, one) for one in (operand if operator == "$in" else [operand]))
    if operator in ("$ne", "$nin"):
        return not holds({"$ne": "$eq", "$nin": "$in"}[operator], operand, present, value)
    return present and kind(value) == kind(operand) and compare[operator]()


def condition(test, present, value):
    if not isinstance(test, dict):
        return holds("$eq", test, present, value)
    return all(holds(operator, operand, present, value) for operator, operand in test.items())


def matches(filter, metadata):
    """The oracle."""
    for key, value in filter.items():
        if key == "$and":
            ok = all(matches(inner, metadata) for inner in value)
        elif key == "$or":
            ok = any(matches(inner, metadata) for inner in value)
        elif key == "$not":
            ok = not matches(value, metadata)
        else:
            ok = condition(value, key in metadata, metadata.get(key))
        if not ok:
            return False
    return True


ODD = [
    "a",
    "b",
    "$",
    "a.b",
    "$.a",
    "x'; DROP TABLE documents; --",
    '"',
    "\\",
    "é\n",
    "\x00",
    "a\x00b",
    "a\x01",
    "键",
    "[0]",
]
keys = st.sampled_from(ODD) | st.text(st.characters(codec="utf-8"), max_size=3).filter(lambda k: not k.startswith("$"))
integers = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, 2, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)])
floats = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1.0, 1.5, 0.1, 2.0**53, 5e-324])
texts = st.sampled_from(["", "1", "a", "a\x00b", "a\x00", "a\x01", "true", "null", "Z", "é", "𝕏", "\uffff"])
texts |= st.text(st.characters(codec="utf-8"), max_size=3)
ordered = integers | floats | texts
scalars = st.none() | st.booleans() | ordered
values = scalars | st.lists(scalars, max_size=3) | st.lists(st.lists(scalars, max_size=2), max_size=2)
values |= st.dictionaries(keys, scalars, max_size=2)
documents = st.dictionaries(keys, values, max_size=4)

operations = (
    st.tuples(st.sampled_from(["$eq", "$ne"]), scalars)
    | st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), ordered)
    | st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(scalars, max_size=4))
    | st.tuples(st.just("$exists"), st.booleans())
)
conditions = st.recursive(
    scalars | st.lists(operations, min_size=1, max_size=2).map(dict),
    lambda inner: inner.map(lambda c: {"$not": c}),
    max_leaves=2,
)
fields = st.dictionaries(keys.filter(lambda k: k not in OPERATORS), conditions, max_size=2).map(
    lambda f: {k: {"$eq": v} if k.startswith("$") and not isinstance(v, dict) else v for k, v in f.items()}
)
filters = st.recursive(
    fields,
    lambda inner: st.builds(lambda key, value, rest: {**rest, key: value}, st.sampled_from(["$and", "$or"]),
                            st.lists(inner, min_size=1, max_size=3), fields)
    | inner.map(lambda f: {"$not": f}),
    max_leaves=6,
)  # fmt: skip


@st.composite
def cases(draw):
    """Documents and a filter that often speaks of their own keys and values."""
    docs = draw(st.lists(documents, min_size=1, max_size=4))
    found = [(k, e) for d in docs for k, v in d.items() for e in (v if isinstance(v, list) else [v])]
    found = [(k, e) for k, e in found if kind(e) != "other" and k not in OPERATORS]
    if found and draw(st.booleans()):
        key, value = draw(st.sampled_from(found))
        ways = ["$eq", "$ne", "$in", "$nin"] + ["$gt", "$gte", "$lt", "$lte"] * (kind(value) in ("number", "text"))
        way = draw(st.sampled_from(ways))
        return docs, {key: {way: [value] if way in ("$in", "$nin") else value}}
    return docs, draw(filters)


@given(cases())
@example(([{"a": "x\x00y"}, {"a": "x"}, {"a": "x\x00z"}], {"a": "x"}))  # SQLite's JSON ends strings at U+0000
@example(([{"a": "x\x00y"}, {"a": "x"}, {"a": "x\x01"}], {"a": {"$gt": "x"}}))
@example(([{"a": 2**53 + 1}], {"a": float(2**53)}))
@example(([{"a": [1, "x"]}, {"a": [[1]]}, {"a": {"1": 1}}, {"a": []}], {"a": {"$in": [1, True]}}))
def test_sql_agrees_with_the_oracle(case):
    docs, filter = case
    assert select(filter, *docs) == [i for i, doc in enumerate(docs) if matches(filter, doc)]


@given(filters, documents)
def test_not_is_the_exact_complement(filter, document):
    assert select({"$not": filter}, document) != select(filter, document)


DOCS = [{"year": 2020, "lang": "en"}, {"year": 2024, "lang": "de"}, {"year": "2024"}, {"year": [2020, 2024]}, {}]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (None, [0, 1, 2, 3, 4]),
        ({}, [0, 1, 2, 3, 4]),
        ({"year": 2024}, [1, 3]),
        ({"year": {"$ne": 2024}}, [0, 2, 4]),
        ({"year": {"$gt": 2020}}, [1]),
        ({"year": {"$gte": 2020, "$lt": 2024}}, [0]),
        ({"year": {"$lte": 2020}}, [0]),
        ({"year": {"$in": [2020, "2024"]}}, [0, 2, 3]),
        ({"year": {"$nin": [2020, "2024"]}}, [1, 4]),
        ({"year": {"$in": []}}, []),
        ({"year": {"$nin": []}}, [0, 1, 2, 3, 4]),
        ({"lang": {"$exists": True}}, [0, 1]),
        ({"lang": {"$exists": False}}, [2, 3, 4]),
        ({"year": {"$not": {"$gte": 2024}}}, [0, 2, 3, 4]),
        ({"year": 2020, "lang": "en"}, [0]),
        ({"$or": [{"lang": "en"}, {"year": {"$eq": "2024"}}]}, [0, 2]),
        ({"$and": [{"lang": "de"}, {"year": 2024}]}, [1]),
        ({"$not": {"$or": [{"lang": "en"}, {"lang": "de"}]}}, [2, 3, 4]),
    ],
)
def test_each_operator(filter, expected):
    assert select(filter, *DOCS) == expected


def test_types_never_mix():
    docs = [{"a": 1}, {"a": 1.0}, {"a": True}, {"a": "1"}, {"a": None}, {"a": 0}, {"a": False}, {}]
    assert select({"a": 1}, *docs) == [0, 1]
    assert select({"a": True}, *docs) == [2]
    assert select({"a": "1"}, *docs) == [3]
    assert select({"a": None}, *docs) == [4]
    assert select({"a": False}, *docs) == [6]
    assert select({"a": {"$lt": "2"}}, *docs) == [3]
    assert select({"a": {"$lt": 2}}, *docs) == [0, 1, 5]


def test_keys_are_literal_and_bound():
    expression, parameters = compile_filter({"x'; DROP TABLE documents; --": "y' OR 1=1"})
    assert "DROP" not in expression
    assert "OR 1=1" not in expression
    assert parameters[0] == "x'; DROP TABLE documents; --"
    assert select({"a.b": 1}, {"a.b": 1}, {"a": {"b": 1}}) == [0]
    assert select({"$id": {"$eq": 1}}, {"$id": 1}, {"id": 1}) == [0]


def test_in_takes_very_many_values():
    assert select({"a": {"$in": [*range(100_000), "x"]}}, {"a": 99_999}, {"a": 100_000}, {"a": "x"}) == [0, 2]


def nested(levels, width=1):
    """Alternating AND, OR, NOT as deep as asked, with `width` branches of equal depth at the top."""
    branches = []
    for branch in range(width):
        filter = {"a": {"$in": [branch, "x", None]}}
        for level in range(levels - 1 - (width > 1)):
            other = {"b": {"$in": [level, "x", None]}}
            filter = [{"$and": [other, filter]}, {"$or": [other, filter]}, {"$not": filter}][level % 3]
        branches.append(filter)
    return branches[0] if width == 1 else {"$or": branches}


def bushy(levels, leaves):
    """The worst for a parser: two branches of equal depth at every level, as long as there are leaves."""
    if levels == 1:
        return {"a": {"$in": [1, "x", True]}}
    if leaves >= 2:
        halves = [bushy(levels - 1, leaves // 2), bushy(levels - 1, leaves // 2)]
    else:
        halves = [bushy(levels - 1, 1)]
    return {"$or" if levels % 2 else "$and": halves}


@pytest.mark.parametrize("filter", [nested(MAX_DEPTH), nested(MAX_DEPTH, 15), bushy(MAX_DEPTH, 256)])
def test_the_deepest_filters_still_run(filter):
    assert select(filter, {"a": 1}, {"b": 2}) == [i for i, d in enumerate([{"a": 1}, {"b": 2}]) if matches(filter, d)]


@pytest.mark.parametrize(
    "text", ["", " ", "{", "year > 3", "[1]", "3", "null", '"a"', "[" * 200_000], ids=lambda text: text[:9]
)
def test_json_that_is_no_filter(text):
    with pytest.raises(FilterError, match=r"--filter is .*\$gte") as caught:
        read_filter(text, "--filter")
    assert len(str(caught.value)) < 250


def test_a_filter_in_json():
    assert read_filter(None, "where") is None
    assert read_filter('{"year": {"$gte": 2024}}', "where") == {"year": {"$gte": 2024}}


@pytest.mark.parametrize("text", ['{"a": {"$gt": 1}, "a": {"$lt": 5}}', '{"a": {"$gt": 1, "$gt": 2}}'])
def test_a_key_that_occurs_twice_loses_no_condition(text):
    with pytest.raises(FilterError, match="occurs twice; write its conditions in one object, or use"):
        read_filter(text, "--where")


def test_an_operator_in_the_wrong_place_is_not_its_own_correction():
    with pytest.raises(FilterError, match=r"not an operator of a field; it joins whole filters: ") as caught:
        compile_filter({"a": {"$and": [{"$gt": 1}]}})
    assert "did you mean" not in str(caught.value)


def test_too_deep_and_too_many():
    with pytest.raises(FilterError, match="deeper than 32 levels"):
        compile_filter(nested(MAX_DEPTH + 1))
    endless = {}
    endless["$not"] = endless
    with pytest.raises(FilterError, match="deeper than 32 levels"):
        compile_filter(endless)
    field = 1
    for _ in range(5000):
        field = {"$not": field}
    with pytest.raises(FilterError, match="deeper than 32 levels"):
        compile_filter({"a": field})
    many = {"$or": [{"a": i} for i in range(MAX_CONDITIONS)]}
    assert select(many, {"a": 3}, {"a": -1}) == [0]
    with pytest.raises(FilterError, match=r"more than 500 comparisons: use \$in"):
        compile_filter({"$or": [*many["$or"], {"a": 1}]})


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ([], "a filter is \\[\\]: expected a mapping"),
        ({1: 2}, "a key of the filter is 1: expected a string"),
        ({"\ud800": 2}, r"a key of the filter is '\\ud800'"),
        ({"a": {"$gtr": 5}}, r"'\$gtr' in the condition of field 'a'.*did you mean \$gt"),
        ({"a": {"gte": 5}}, r"'gte' in the condition of field 'a'.*did you mean \$gte"),
        ({"a": {"$GTE": 5}}, r"did you mean \$gte"),
        ({"a": {"b": 5}}, r"'b' in the condition of field 'a' is not an operator"),
        ({"a": {1: 5}}, "1 in the condition of field 'a'"),
        ({"a": {}}, "the condition of field 'a' is empty"),
        ({"a": {"$and": [{"$gt": 1}]}}, r"'\$and' in the condition of field 'a'"),
        ({"$gte": 5}, r"'\$gte' stands where a field or one of"),
        ({"$nor": [{"a": 1}]}, r"'\$nor' stands where a field.*did you mean \$or"),
        ({"$an": [{"a": 1}]}, r"did you mean \$and"),
        ({"$id": 5}, r"A field whose name begins with \$ is written"),
        ({"and": [{"a": 1}]}, r"\$eq of field 'and' has.*list.*did you mean \$and"),
        ({"$and": []}, r"\$and has \[\]: expected a list of at least one filter"),
        ({"$or": {"a": 1}}, r"\$or has .*expected a list"),
        ({"$or": [1]}, "a filter is 1: expected a mapping"),
        ({"$not": 5}, "a filter is 5: expected a mapping"),
        ({"a": [1, 2]}, r"\$eq of field 'a' has \[1, 2\] \(list\).*\$in"),
        ({"a": {"$in": "xy"}}, r"\$in of field 'a' has 'xy': expected a list"),
        ({"a": {"$in": [[1]]}}, r"\$in of field 'a' has \[1\]"),
        ({"a": {"$exists": 1}}, r"\$exists of field 'a' has 1: expected true or false"),
        ({"a": {"$gt": None}}, r"\$gt of field 'a' has None: expected a number or a string"),
        ({"a": {"$lt": True}}, r"\$lt of field 'a' has True: expected a number or a string"),
        ({"a": float("nan")}, r"\$eq of field 'a' has nan: expected a finite number"),
        ({"a": {"$lt": float("inf")}}, r"\$lt of field 'a' has inf: expected a finite number"),
        ({"a": 2**63}, "integer beyond 64 bits"),
        ({"a": {"$in": [-(2**63) - 1]}}, "integer beyond 64 bits"),
        ({"a": 10**5000}, "integer beyond 64 bits"),
        ({"a": "\udfff"}, "lone surrogate"),
        ({"a": b"x"}, r"b'x' \(bytes\): expected str"),
    ],
)  # fmt: skip
def test_refusals(filter, message):
    with pytest.raises(FilterError, match=message):
        compile_filter(filter)


def test_a_refusal_lists_the_operators():
    with pytest.raises(FilterError, match=r"Operators: \$eq \$ne \$gt \$gte \$lt \$lte \$in \$nin \$and \$or \$not"):
        compile_filter({"a": {"$gtr": 5}})
