"""What `SteerableRetriever` tells callbacks, what it refuses, and how it opens an index."""

import asyncio
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.runnables import RunnablePassthrough
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from pydantic import ValidationError

from steersearch.errors import (
    ConfigError,
    DataError,
    FilterError,
    IndexFolderError,
    SteeringWarning,
    UnknownFeatureError,
)
from steersearch.integrations.langchain import SteerableRetriever
from steersearch.runtime.index import SteerableIndex
from steersearch.runtime.steering.concepts import Concept
from steersearch.runtime.steering.request import SAID_NOT

from ..conftest import PHRASE, QUERY, Steps, found, ids


class AsyncSteps(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.texts: list[tuple[str, Any]] = []
        self.loop: Any = None

    async def on_text(self, text: str, *, steering: Any = None, **kwargs: Any) -> None:
        self.texts.append((text, steering))
        self.loop = asyncio.get_running_loop()


class TestCallbacks:
    async def test_the_resolved_boost_reaches_callbacks(self, retriever: SteerableRetriever) -> None:
        features = retriever.index.bundle.features
        steps, later = Steps(), AsyncSteps()
        how: dict[str, Any] = {"boost": {PHRASE: "auto", "f3": -1}, "clamp": {7: 0}, "blend": "move", "keep": 0.9}
        steered = retriever.index.steer(QUERY, **how)
        phrase, strength = steered.boosted[0]
        assert 0.1 < strength < 50
        expected = [
            {
                "concept": PHRASE,
                "strength": strength,
                "fit": round(phrase.fit or 0, 3),
                "evidence": round(phrase.evidence or 0, 3),
                "means": [str(features[latent]) for latent in list(phrase.weights)[:3]],
            },
            {"concept": features[3].label, "strength": -1.0, "fit": 1.0, "evidence": None, "means": [str(features[3])]},
            {"concept": features[7].label, "clamp": 0.0, "fit": 1.0, "evidence": None, "means": [str(features[7])]},
        ]
        expected[1]["concept"] = features[3].label or "f3"
        expected[2]["concept"] = features[7].label or "f7"
        chain = RunnablePassthrough() | retriever.bind(**how)
        chain.invoke(QUERY, {"callbacks": [steps]})
        await chain.ainvoke(QUERY, {"callbacks": [steps, later]})
        hits = retriever.index.search(QUERY, 4, **how, compare=True)
        moves = [{"id": hit.id, "rank": hit.rank, "rank_before": hit.rank_before} for hit in hits]
        assert any(move["rank"] != move["rank_before"] for move in moves)
        runs = [outputs for name, outputs in steps.ended if name == "steering"]
        assert len(runs) == 2
        for told in runs:
            assert told["concepts"] == expected
            assert (told["kept"], told["warnings"]) == (pytest.approx(0.9, abs=1e-3), [])
            assert [{key: move[key] for key in ("id", "rank", "rank_before")} for move in told["moves"]] == moves
            for move, hit in zip(told["moves"], hits, strict=True):
                assert [part["feature"] for part in move["moved_by"]] == [part.feature.name for part in hit.moved_by]
        assert [given for _, given in steps.texts + later.texts] == [runs[0]] * 3
        text = f"steering: boost {strength:+.3g} {PHRASE!r} (fit {phrase.fit:.2f}), boost -1 "
        assert all(said.startswith(text) for said, _ in steps.texts + later.texts)
        assert all(said.endswith("; keeps 0.90 of the query") for said, _ in steps.texts + later.texts)
        assert later.loop is asyncio.get_running_loop()

    async def test_doubts_are_told_and_given_once(self, retriever: SteerableRetriever) -> None:
        how: dict[str, Any] = {"boost": {PHRASE: 1000.0, 3: 1.0}, "clamp": {3: 0.0}}
        built = SteerableRetriever(index=retriever.index, include_explanations=True, **how)
        for run in ("invoke", "ainvoke"):
            steps = Steps()
            with warnings.catch_warnings(record=True) as given:
                warnings.simplefilter("always")
                call = getattr(built, run)(QUERY, {"callbacks": [steps]})
                documents = await call if asyncio.iscoroutine(call) else call
            messages = [str(warning.message) for warning in given]
            assert len(messages) == 2
            assert "taken as 100" in messages[0]
            assert "the clamp wins" in messages[1]
            assert all(warning.category is SteeringWarning for warning in given)
            if run == "invoke":
                assert {warning.filename for warning in given} == {__file__}  # not a line of LangChain
            assert [document.metadata["steerable"]["warnings"] for document in documents] == [messages] * 4
            assert [text["warnings"] for _, text in steps.texts] == [messages]

    async def test_tracers_see_a_run_inside_the_retrievers(self, retriever: SteerableRetriever) -> None:
        chain = RunnablePassthrough() | retriever.with_config(run_name="docs")
        collector = RunCollectorCallbackHandler()
        chain.invoke(QUERY, {"callbacks": [collector]})
        (plain,) = collector.traced_runs
        assert plain.child_runs[1].child_runs == []
        steered = RunnablePassthrough() | retriever.bind(boost={PHRASE: 2.0})
        events = [event async for event in steered.astream_events(QUERY) if event["name"] == "steering"]
        assert [event["event"] for event in events] == ["on_chain_start", "on_chain_end"]
        assert len(events[-1]["data"]["output"]["moves"]) == 4
        retriever.bind(boost={PHRASE: 2.0}).with_config(callbacks=[collector]).invoke(QUERY)
        (child,) = collector.traced_runs[1].child_runs
        assert (child.name, child.parent_run_id) == ("steering", collector.traced_runs[1].id)
        assert child.outputs["concepts"][0]["concept"] == PHRASE

    def test_nobody_listens_nothing_more_is_searched(
        self, retriever: SteerableRetriever, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        searched: list[int] = []
        search = SteerableIndex.search
        monkeypatch.setattr(
            SteerableIndex, "search", lambda self, q, k, **how: (searched.append(k), search(self, q, k, **how))[1]
        )
        retriever.invoke(QUERY, boost={PHRASE: 2.0})
        assert searched == [4]

    async def test_what_was_read_of_the_text(self, retriever: SteerableRetriever) -> None:
        said = f"{QUERY}, not exceptions"
        expected = ids(retriever.invoke(QUERY, boost={"exceptions": SAID_NOT}))
        built = SteerableRetriever(index=retriever.index, understand=True)
        for run in (retriever.bind(understand=True), built):
            steps = Steps()
            assert ids(run.invoke(said, {"callbacks": [steps]})) == expected
            assert ids(await run.ainvoke(said)) == expected
            ((text, told),) = steps.texts
            assert text.startswith(f"steering: boost {SAID_NOT:+.3g} 'exceptions'")
            assert "of the query" not in text
            assert told["understood"] == {"query": QUERY, "boost": {}, "exclude": ["exceptions"]}
            assert [(entry["concept"], entry["strength"]) for entry in told["concepts"]] == [("exceptions", SAID_NOT)]
        assert ids(built.invoke(QUERY)) == ids(retriever.invoke(QUERY))
        assert ids(built.invoke(said, understand=False)) == ids(retriever.invoke(said))

    def test_nothing_is_said_without_steering(self, retriever: SteerableRetriever) -> None:
        steps = Steps()
        retriever.invoke(QUERY, {"callbacks": [steps]}, boost={})
        assert (steps.texts, len(steps.started)) == ([], 1)

    def test_langsmith_parameters(self, retriever: SteerableRetriever) -> None:
        steps = Steps()
        retriever.invoke(QUERY, {"callbacks": [steps], "metadata": {"mine": 1}}, k=2)
        model = retriever.index.bundle.manifest.embedder["id"]
        assert model
        assert (
            steps.started[0].items()
            >= {
                "mine": 1,
                "ls_retriever_name": "steerable",
                "ls_vector_store_provider": "steersearch",
                "ls_embedding_provider": "steersearch",
                "ls_embedding_model": model,
            }.items()
        )


class TestErrors:
    @pytest.mark.parametrize(
        ("how", "error", "said"),
        [
            ({"boost": {"f99999": 1.0}}, UnknownFeatureError, "f99999"),
            ({"boost": {PHRASE: "auto"}, "keep": 2}, ConfigError, "keep is 2"),
            ({"clamp": {PHRASE: "auto"}}, ConfigError, "'auto'"),
            ({"clamp": {64: 1.0}}, UnknownFeatureError, "64"),
            ({"boost": {PHRASE: float("nan")}}, ConfigError, "nan"),
            ({"boost": {PHRASE: "1"}}, ConfigError, "'1'"),
            ({"boost": {"": 1.0}}, ConfigError, "empty"),
            ({"boost": [PHRASE]}, ConfigError, "boost is"),
            ({"k": 0}, ConfigError, "k is 0"),
            ({"k": -1, "boost": {PHRASE: 1.0}}, ConfigError, "k is -1"),
            ({"k": "4"}, ConfigError, "k is '4'"),
            ({"filter": {"year": {"$near": 1}}}, FilterError, r"\$near"),
            ({"bost": {PHRASE: 1.0}}, TypeError, "bost"),
            ({"view": "latent"}, TypeError, "view"),
        ],
        ids=str,
    )
    async def test_of_a_call(
        self, retriever: SteerableRetriever, how: dict[str, Any], error: type[Exception], said: str
    ) -> None:
        steps = Steps()
        with pytest.raises(error, match=said) as caught:
            retriever.invoke(QUERY, {"callbacks": [steps]}, **how)
        assert type(caught.value) is error
        assert steps.errors == [caught.value]
        with pytest.raises(error, match=said):
            await retriever.ainvoke(QUERY, **how)
        with pytest.raises(error, match=said):
            retriever.batch([QUERY, QUERY], **how)
        with pytest.raises(error, match=said):
            await retriever.bind(**how).ainvoke(QUERY)

    def test_of_a_query(self, retriever: SteerableRetriever) -> None:
        with pytest.raises(DataError, match="the query is dict"):
            retriever.invoke({"query": QUERY})  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"bost": {}}, "bost"),
            ({"view": "sparse"}, "view"),
            ({"k": "many"}, "k"),
            ({"keep": "most"}, "keep"),
            ({"protect": "loudly"}, "protect"),
            ({"clamp": {PHRASE: "auto"}}, "clamp"),
            ({"boost": {PHRASE: "strong"}}, "boost"),
            ({"index": "my-index"}, "index"),
        ],
        ids=str,
    )
    def test_of_the_constructor(self, tiny_index: SteerableIndex, fields: dict[str, Any], said: str) -> None:
        with pytest.raises(ValidationError, match=said):
            SteerableRetriever(**{"index": tiny_index, **fields})

    def test_k_of_the_constructor_is_refused_by_the_search(self, tiny_index: SteerableIndex) -> None:
        with pytest.raises(ConfigError, match="k is 0"):
            SteerableRetriever(index=tiny_index, k=0).invoke(QUERY)

    def test_constructor_takes_what_a_call_takes(self, tiny_index: SteerableIndex, errors_concept: Concept) -> None:
        boost = {412 - 400: 1, "f3": np.float32(0.5), errors_concept: -1.0}
        built = SteerableRetriever(index=tiny_index, boost=boost)
        assert ids(built.invoke(QUERY)) == found(tiny_index, boost=boost)


class TestOpen:
    def test_fields(self, tiny_index: SteerableIndex) -> None:
        opened = SteerableRetriever.open(tiny_index.path, backend="exact", k=2, boost={PHRASE: 2.0})
        assert ids(opened.invoke(QUERY)) == found(tiny_index, k=2, boost={PHRASE: 2.0})
        opened.index.close()

    def test_moved(self, tiny_index: SteerableIndex, tiny_bundle: Path, tmp_path: Path) -> None:
        tiny_index.save()
        moved = shutil.copytree(tiny_index.path, tmp_path / "some" / "where" / "else")
        with pytest.raises(IndexFolderError, match="bundle="):
            SteerableRetriever.open(moved)
        opened = SteerableRetriever.open(moved, bundle=tiny_bundle)
        assert ids(opened.invoke(QUERY)) == found(tiny_index)
        opened.index.close()

    def test_wrong_field_leaves_nothing_open(self, tiny_index: SteerableIndex, monkeypatch: pytest.MonkeyPatch) -> None:
        closed: list[Path] = []
        close = SteerableIndex.close
        monkeypatch.setattr(SteerableIndex, "close", lambda self: (closed.append(self.path), close(self))[1])
        with pytest.raises(ValidationError, match="bost"):
            SteerableRetriever.open(tiny_index.path, bost={PHRASE: 1.0})
        assert closed == [tiny_index.path]
