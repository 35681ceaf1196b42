"""Bodies that no page sends: each is answered with one line and a status of 4xx, never with a fault."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DEEP = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
RAW = [
    *(b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"\x00", DEEP, b"[" * 100_000),
    *(b'{"query": NaN}', b'{"k": Infinity}', b'{"k": 1e400}', b'{"query": "\\ud800"}', b'{"k": ' + b"9" * 5_000 + b"}"),
]
PATHS = ["search", "words", "concept", "copy", "curve", "map", "compare", "judgments", "features/1/edit"]
Q = {"query": "names"}
STATES = [
    *({"query": value} for value in (None, 1, [], {}, True, "", " ", "x" * 30_000)),
    *(Q | {"k": value} for value in (0, -1, 101, 1.5, "10", None, True, 10**400)),
    *(Q | {"view": value} for value in ("none", "", 1, None, ["dense"])),
    *(Q | {"filter": value} for value in (1, "x", [], {"a": {"$no": 1}}, {"$and": 1}, {"a": {"$gt": []}})),
    *(
        Q | {"concepts": value}
        for value in (1, {}, "x", [1], [None], [{}], [{"key": {}}], [{"key": {"feature": 1}}] * 33)
    ),
    *(Q | {"understand": value} for value in (1, "yes", None)),
    Q | {"more": 1},
]
KEYS = [
    *({"phrase": value} for value in ("", " ", 1, None, [], "x" * 5_000, "\ud800")),
    *({"feature": value} for value in (-1, 1.5, "1", None, True, 10**30)),
    *({"more": value} for value in ([], "x", [1], [""], ["x"] * 300, None)),
    *({"concept": value} for value in ("", 1, "../x", None)),
    *(
        {"weights": value}
        for value in ({}, [], 1, {"x": 1}, {"1": "x"}, {"-1": 1}, {"1": None}, {"9" * 20: 1}, {"٣": 1})
    ),
    *({"nothing": 1}, {"phrase": "x", "feature": 1}),
]
CONCEPTS = [
    *({"key": {"feature": 1}, "strength": value} for value in ("x", None, [], True, 10**400)),
    *({"key": {"feature": 1}, "off": value} for value in (1, ["x"], [-1], [1.5], None)),
    *({"key": {"feature": 1}, name: 1} for name in ("on", "exclude", "unknown")),
]


def check(answer):
    assert 400 <= answer.status_code < 500, answer.text
    told = answer.json()["error"]
    assert told
    assert "\n" not in told
    assert len(told) < 3_000


@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_object(client, path):
    for body in RAW:
        check(client.post(f"/api/{path}", content=body, headers={"content-type": "application/json"}))


def sent(client, path, value):
    # As JSON's own escapes, which may name half of a character pair.
    body = json.dumps(value).encode()
    return client.post(f"/api/{path}", content=body, headers={"content-type": "application/json"})


@pytest.mark.parametrize("state", STATES, ids=lambda state: json.dumps(state)[:50])
def test_states(client, state):
    check(sent(client, "search", state))
    for path in ("words", "copy", "curve"):
        check(sent(client, path, {"state": state, "ids": [], "index": 0}))


@pytest.mark.parametrize("key", KEYS, ids=lambda key: json.dumps(key)[:50])
def test_keys(client, key):
    answer = sent(client, "search", Q | {"concepts": [{"key": key}]})
    # A name of a saved concept that cannot be one is a warning, as one that is not there.
    if answer.status_code == 200:
        assert answer.json()["warnings"][0]["kind"] == "unusable"
    else:
        check(answer)
        check(sent(client, "concept", {"key": key}))
        check(sent(client, "map", {"kind": "documents", "color": key}))


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda concept: json.dumps(concept)[:50])
def test_concepts(client, concept):
    check(sent(client, "search", Q | {"concepts": [concept]}))


def test_the_same_concept_twice(client):
    check(sent(client, "search", Q | {"concepts": [{"key": {"feature": 1}}, {"key": {"feature": 1}, "strength": -1}]}))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *(("words", {"state": Q, "ids": value}) for value in (1, [1], ["x"] * 300, None)),
        *(("curve", {"state": Q, "index": value}) for value in (0, -1, "0", None, 10**20)),
        *(("map", {"kind": value}) for value in ("none", 1, "")),
        *(("map", {"color": {"field": value}}) for value in (1, "", "no such field", None)),
        *(("map", {"limit": value}) for value in (0, -1, "x", 1.5)),
        *(("compare", value) for value in ({}, {"snapshots": 1}, {"snapshots": ["none"], "queries": []})),
        *(("judgments", Q | {"id": "x", "grade": value}) for value in (-1, 11, "1", 0.5, True)),
        *(("judgments", value) for value in ({"id": "x", "grade": 1}, {"query": "x", "grade": 1}, Q | {"id": 1})),
        *(("features/1/edit", value) for value in ({}, {"action": 1}, {"action": "rename"}, {"action": "undo"})),
        *(("features/1/edit", {"action": "rename", "label": value}) for value in ("", "f12", "x" * 200, 1, "a\x00b")),
        *(("features/1/edit", {"action": "merge", "into": value}) for value in (1, -1, 10**9, None, "", [])),
        *(("features/1/edit", {"action": "note", "note": value}) for value in (1, None, "x" * 20_000)),
        *((f"features/{value}/edit", {"action": "hide"}) for value in ("x", "-1", "999999", "1e3", "٣")),
    ],
)
def test_other_bodies(client, path, body):
    check(sent(client, path, body))


@pytest.mark.parametrize(
    "path",
    [
        *("none", "features?limit=x", "features?limit=0", "features?limit=999999999999", "features?offset=-1"),
        *("features?sort=none", "features/x", "features/99999", "features/-1", "documents/none", "concepts/none"),
        *("snapshots/none", "info/x", "search", "features?q=" + "x" * 5_000),
    ],
)
def test_addresses(client, path):
    check(client.get(f"/api/{path}"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["query", "k", "key", "phrase", "feature", "concepts", "strength", "filter", "$and", "topic"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(VALUES, st.sampled_from(["search", "copy", "concept", "map", "words"]))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json(client, value, path):
    body = value if isinstance(value, dict) and path == "search" else {"state": value, "key": value, "color": value}
    answer = sent(client, path, body)
    assert answer.status_code == 200 or 400 <= answer.status_code < 500
    if answer.status_code != 200:
        check(answer)
