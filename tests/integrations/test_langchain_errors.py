"""What `SteerableRetriever` tells callbacks, what it refuses, and how it opens an index."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.runnables import RunnablePassthrough
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from pydantic import ValidationError

from steersearch.errors import ConfigError, DataError, FilterError, IndexFolderError, UnknownFeatureError
from steersearch.integrations.langchain import SteerableRetriever
from steersearch.runtime.concepts import Concept
from steersearch.runtime.index import SteerableIndex

from .conftest import PHRASE, QUERY, Steps, found, ids


class AsyncSteps(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.texts: list[tuple[str, Any]] = []
        self.loop: Any = None

    async def on_text(self, text: str, *, steering: Any = None, **kwargs: Any) -> None:
        self.texts.append((text, steering))
        self.loop = asyncio.get_running_loop()


class TestCallbacks:
    async def test_the_resolved_boost_reaches_callbacks(self, retriever: SteerableRetriever) -> None:
        name = retriever.index.bundle.features[3].label
        fit = round(retriever.index.steer(QUERY, {PHRASE: 1.5}).concepts[0][0].fit or 0, 3)
        expected = [
            {"concept": PHRASE, "strength": 1.5, "fit": fit},
            {"concept": name, "strength": -1.0, "fit": 1.0},
            {"concept": "f7", "clamp": 0.0, "fit": 1.0},
        ]
        expected[2]["concept"] = retriever.index.bundle.features[7].label or "f7"
        steps, later = Steps(), AsyncSteps()
        how: dict[str, Any] = {"boost": {PHRASE: 1.5, "f3": -1}, "clamp": {7: 0}}
        chain = RunnablePassthrough() | retriever.bind(**how)
        chain.invoke(QUERY, {"callbacks": [steps]})
        await chain.ainvoke(QUERY, {"callbacks": [steps, later]})
        text = f"steering: boost +1.5 {PHRASE!r} (fit {fit:.2f}), boost -1 {name!r} (fit 1.00), clamp 0 "
        assert [given for _, given in steps.texts + later.texts] == [expected] * 3
        assert all(said.startswith(text) for said, _ in steps.texts + later.texts)
        assert later.loop is asyncio.get_running_loop()
        plain = found(retriever.index, k=60)
        moves = [
            {"id": id, "rank": rank, "rank_without_steering": plain.index(id) + 1}
            for rank, id in enumerate(found(retriever.index, **how), 1)
        ]
        assert any(move["rank"] != move["rank_without_steering"] for move in moves)
        runs = [outputs for name, outputs in steps.ended if name == "steering"]
        assert runs == [{"concepts": expected, "moves": moves}] * 2

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
