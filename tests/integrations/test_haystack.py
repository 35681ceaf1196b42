"""The Haystack component: the same hits as a search, in pipelines, per run, and through YAML."""

import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.errors import ConfigError, FilterError, IndexFolderError, SteeringWarning, UnknownFeatureError
from steersearch.runtime.index import SteerableIndex
from steersearch.runtime.steering.concepts import Concept
from steersearch.runtime.steering.request import SAID_NOT
from steersearch.runtime.store.filters import compile_filter

from ..runtime.store.test_filters import matches
from .conftest import PHRASE, QUERY

pytest.importorskip("haystack")
with warnings.catch_warnings():  # of what its own dependencies deprecate
    warnings.simplefilter("ignore")
    from haystack import Document, Pipeline
    from haystack.components.builders import PromptBuilder
    from haystack.utils.filters import document_matches_filter

    from steersearch.integrations import haystack as module
    from steersearch.integrations.haystack import SteerableRetriever

HOWS: list[dict[str, Any]] = [
    {},
    {"boost": {PHRASE: 2.0, "f3": -1.0}},
    {"boost": {PHRASE: "auto"}, "blend": "move", "keep": 0.7},
    {"boost": {PHRASE: 1.0}, "exclude": ["import a module"]},
    {"boost": {PHRASE: 2.0, 18: 0.5}, "protect": True, "k": 7},
    {"clamp": {PHRASE: 1.0}, "filter": {"topic": {"$in": ["classes", "modules"]}}},
]


def hits(index: SteerableIndex, k: int = 10, **how: Any) -> list[tuple[str, str | None, float | None, Any]]:
    return [(hit.id, hit.text, hit.score, hit.metadata) for hit in index.search(QUERY, k, **how)]


def documents(answer: dict[str, Any]) -> list[tuple[str, str | None, float | None, Any]]:
    return [(doc.id, doc.content, doc.score, doc.meta) for doc in answer["documents"]]


def renamed(how: dict[str, Any]) -> dict[str, Any]:
    names = {"k": "top_k", "filter": "filters"}
    return {names.get(name, name): value for name, value in how.items()}


@pytest.mark.parametrize("how", HOWS, ids=str)
async def test_the_same_as_a_search(tiny_index: SteerableIndex, how: dict[str, Any]) -> None:
    expected, given = hits(tiny_index, **how), renamed(how)
    built, plain = SteerableRetriever(tiny_index, **given), SteerableRetriever(tiny_index)
    assert documents(built.run(QUERY)) == documents(await built.run_async(QUERY)) == expected
    assert documents(plain.run(QUERY, **given)) == documents(await plain.run_async(QUERY, **given)) == expected
    assert documents(built.run(QUERY, boost={}, clamp={}, exclude=[], filters={}, top_k=10)) == hits(tiny_index)


async def test_in_pipelines_and_through_yaml(tiny_index: SteerableIndex) -> None:
    tiny_index.save()
    first = Pipeline()
    how: dict[str, Any] = {"boost": {PHRASE: "auto", 18: -1.0}, "exclude": [3]}
    first.add_component("retriever", SteerableRetriever(tiny_index.path, top_k=3, **how))
    first.add_component("prompt", PromptBuilder("{% for d in documents %}{{ d.id }} {% endfor %}", ["documents"]))
    first.connect("retriever.documents", "prompt.documents")
    text = first.dumps()
    again = Pipeline.loads(text, allowed_modules=["steersearch.*"])
    assert again.dumps() == text
    for made in (first, again):
        for boost in (None, {PHRASE: 2.0}, {}):
            expected = " ".join(
                hit[0] for hit in hits(tiny_index, 3, **(how if boost is None else {**how, "boost": boost}))
            )
            data = {"retriever": {"query": QUERY, "boost": boost}}
            assert made.run(data)["prompt"]["prompt"].strip() == expected
            assert (await made.run_async(data))["prompt"]["prompt"].strip() == expected
        made.get_component("retriever").index.close()


@pytest.mark.filterwarnings("ignore::steersearch.errors.SteeringWarning")  # f18 is in the clamped phrase by chance
def test_everything_is_kept(tiny_index: SteerableIndex, tiny_bundle: Path) -> None:
    tiny_index.save()
    concept = Concept.from_examples(["exceptions-0", "exceptions-3"], ["numbers-1"])
    how: dict[str, Any] = {
        "bundle": str(tiny_bundle),
        "boost": {"import a module": 1.5, "f3": "-auto", 18: 0.5},
        "clamp": {tiny_index.resolve("import a module"): 0.2},
        "protect": True,
        "exclude": [concept, 4, "nothing at all"],
        "blend": "both",
        "understand": True,
        "filters": {"field": "meta.number", "operator": "<", "value": 9},
        "view": "latent",
        "include_explanations": True,
    }
    first = SteerableRetriever(tiny_index, **how)
    again = SteerableRetriever.from_dict(first.to_dict())
    assert again.to_dict() == first.to_dict()
    assert again.index is None
    again.warm_up()
    assert again.index is not None
    assert again.index is not tiny_index
    assert [doc.id for doc in again.run(QUERY)["documents"]] == [doc.id for doc in first.run(QUERY)["documents"]]
    again.index.close()


def test_explanations_and_doubts(tiny_index: SteerableIndex) -> None:
    retriever = SteerableRetriever(tiny_index, top_k=4, include_explanations=True)
    found = retriever.run(QUERY, boost={PHRASE: 2.0})["documents"]
    for document, hit in zip(found, tiny_index.search(QUERY, 4, boost={PHRASE: 2.0}, compare=True), strict=True):
        why = document.meta.pop("steerable")
        assert (why["rank"], why["rank_before"]) == (hit.rank, hit.rank_before)
        assert document.meta == hit.metadata
    with pytest.warns(SteeringWarning, match="the clamp wins") as given:
        (first, *_) = retriever.run(QUERY, boost={3: 1.0}, clamp={3: 0.0})["documents"]
    assert first.meta["steerable"]["warnings"] == [str(warning.message) for warning in given]


values = st.integers(-3, 3) | st.sampled_from(["a", "b"])
fields = st.sampled_from(["x", "y"])
comparisons = st.builds(
    lambda field, operator, value: {"field": f"meta.{field}", "operator": operator, "value": value},
    fields,
    st.sampled_from(["==", "!="]),
    values | st.none(),
) | st.builds(
    lambda field, operator, value: {"field": f"meta.{field}", "operator": operator, "value": value},
    fields,
    st.sampled_from(["in", "not in"]),
    st.lists(values, min_size=1, max_size=3),
)
numbers = st.builds(
    lambda operator, value: {"field": "meta.n", "operator": operator, "value": value},
    st.sampled_from([">", ">=", "<", "<="]),
    st.integers(-3, 3),
)
conditions = st.recursive(
    comparisons | numbers,
    lambda inner: st.builds(
        lambda operator, parts: {"operator": operator, "conditions": parts},
        st.sampled_from(["AND", "OR", "NOT"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=5,
)


@given(conditions, st.dictionaries(fields, values, max_size=2), st.integers(-3, 3) | st.none())
def test_filters_mean_what_haystack_means(filters: Any, meta: dict[str, Any], n: int | None) -> None:
    meta = meta if n is None else {**meta, "n": n}
    ours = module._filter(filters)
    compile_filter(ours)
    assert ours is not None
    assert matches(ours, meta) == document_matches_filter(filters, Document(content="x", meta=meta))


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ({"boost": {"f99999": 1.0}}, UnknownFeatureError, "f99999"),
        ({"top_k": 0}, ConfigError, "k is 0"),
        ({"boost": {PHRASE: "auto"}, "keep": 7}, ConfigError, "keep is 7"),
        ({"filters": {"year": {"$near": 3}}}, FilterError, r"\$near"),
        (
            {"filters": {"field": "meta.year", "operator": "=", "value": 3}},
            FilterError,
            "'meta.year' with the operator '='",
        ),
        ({"filters": {"field": "content", "operator": "==", "value": "x"}}, FilterError, "a field like 'meta.year'"),
        ({"filters": {"operator": "XOR", "conditions": []}}, FilterError, "expected AND, OR or NOT"),
    ],
    ids=str,
)
async def test_errors(tiny_index: SteerableIndex, how: dict[str, Any], error: type[Exception], said: str) -> None:
    retriever = SteerableRetriever(tiny_index)
    with pytest.raises(error, match=said):
        retriever.run(QUERY, **how)
    with pytest.raises(error, match=said):
        await retriever.run_async(QUERY, **how)


def test_wishes_in_words(tiny_index: SteerableIndex) -> None:
    said, expected = f"{QUERY}, not exceptions", hits(tiny_index, boost={"exceptions": SAID_NOT})
    assert documents(SteerableRetriever(tiny_index, understand=True).run(said)) == expected
    assert documents(SteerableRetriever(tiny_index).run(said, understand=True)) == expected
    assert documents(SteerableRetriever(tiny_index, exclude="f3").run(QUERY)) == hits(tiny_index, exclude=["f3"])


def test_a_folder_that_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(IndexFolderError, match="is not an index"):
        SteerableRetriever(tmp_path / "nowhere").warm_up()
