"""What `SteerableRetriever` finds: the same as `SteerableIndex.search`, by every way to call it."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, Runnable, RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from langchain_tests.integration_tests import RetrieversIntegrationTests
from pydantic import ValidationError

from steersearch.integrations.langchain import SteerableRetriever
from steersearch.runtime import index as index_module
from steersearch.runtime.bundle.bundle import Bundle
from steersearch.runtime.index import SteerableIndex
from steersearch.runtime.steering.concepts import Concept

from ..conftest import PHRASE, QUERY, found, ids


class TestSteerableRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _open(self, tiny_index: SteerableIndex) -> None:
        self.index = tiny_index

    @property
    def retriever_constructor(self) -> type[SteerableRetriever]:
        return SteerableRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"index": self.index}

    @property
    def retriever_query_example(self) -> str:
        return QUERY


class TestCalls:
    """Constructor, invoke, ainvoke, batch, abatch, bind: the same answers as `SteerableIndex.search`."""

    def test_plain(self, retriever: SteerableRetriever) -> None:
        assert ids(retriever.invoke(QUERY)) == found(retriever.index)

    def test_boost_moves_the_answer(self, retriever: SteerableRetriever, errors_concept: Concept) -> None:
        plain = retriever.invoke(QUERY)
        assert [d.metadata["topic"] for d in plain].count("numbers") >= 3
        both = [d.metadata["topic"] for d in retriever.invoke(QUERY, boost={errors_concept: 3.0})]
        assert (both.count("exceptions"), both.count("numbers")) == (2, 2)
        moved = retriever.invoke(QUERY, boost={errors_concept: 3.0}, blend="move")
        assert [d.metadata["topic"] for d in moved].count("exceptions") >= 3

    @pytest.mark.parametrize(
        "how",
        [
            {"boost": {PHRASE: 2.0}},
            {"boost": {18: 1.5, "f3": -1.0}},
            {"clamp": {PHRASE: 1.0}},
            {"boost": {PHRASE: 2.0}, "clamp": {18: 0}},
            {"boost": {PHRASE: "auto", 18: "-auto"}},
            {"boost": {PHRASE: "auto", 18: 0.5}, "blend": "move", "keep": 0.7},
            {"boost": {PHRASE: 1.0}, "exclude": ["import a module"]},
            {"exclude": [18, PHRASE]},
            {"boost": {PHRASE: 2.0}, "protect": True},
            {"filter": {"number": {"$lt": 3}}},
            {"k": 7},
            {"k": 1000},
            {"k": 2, "boost": {PHRASE: 1.0}, "filter": {"topic": {"$in": ["classes", "modules"]}}},
        ],
        ids=str,
    )
    async def test_constructor_call_and_bind_agree(self, retriever: SteerableRetriever, how: dict[str, Any]) -> None:
        expected = found(retriever.index, **how)
        built = SteerableRetriever(index=retriever.index, **how)
        assert ids(built.invoke(QUERY)) == expected
        assert ids(await built.ainvoke(QUERY)) == expected
        assert ids(retriever.invoke(QUERY, **how)) == expected
        assert ids(await retriever.ainvoke(QUERY, **how)) == expected
        assert ids(retriever.bind(**how).invoke(QUERY)) == expected
        assert ids(await retriever.bind(**how).ainvoke(QUERY)) == expected
        assert [ids(docs) for docs in retriever.batch([QUERY, QUERY], **how)] == [expected] * 2
        assert [ids(docs) for docs in await retriever.abatch([QUERY, QUERY], **how)] == [expected] * 2
        assert [ids(docs) for docs in retriever.bind(**how).batch([QUERY])] == [expected]
        assert [ids(docs) for docs in retriever.stream(QUERY, **how)] == [expected]

    # A phrase has half of the tiny bundle's latents, so a latent in boost is in a clamped phrase by chance.
    @pytest.mark.filterwarnings("ignore::steersearch.errors.SteeringWarning")
    async def test_call_replaces_constructor(self, retriever: SteerableRetriever) -> None:
        how: dict[str, Any] = {
            "k": 5,
            "boost": {PHRASE: 2.0},
            "clamp": {"import": 1.0},
            "filter": {"topic": {"$in": ["numbers"]}},  # shuts out what the boost brings up
        }
        built = SteerableRetriever(index=retriever.index, include_scores=True, **how)

        def scored(documents: list[Document]) -> list[tuple[str | None, float]]:
            return [(document.id, document.metadata["relevance_score"]) for document in documents]

        def expect(**how: Any) -> list[tuple[str, float]]:  # with scores: a small change may keep the order
            return [(hit.id, hit.score) for hit in retriever.index.search(QUERY, **how)]

        other: dict[str, Any] = {
            "k": 3,
            "boost": {3: 2.0},
            "clamp": {"class": 1.0},
            "filter": {"topic": {"$in": ["classes", "modules"]}},
        }
        for name, value in other.items():
            for given in (value, type(value)()) if name != "k" else (value,):  # {} means none this time
                expected = expect(**{**how, name: given})
                assert expected != expect(**how)
                assert scored(built.invoke(QUERY, **{name: given})) == expected
                assert scored(await built.ainvoke(QUERY, **{name: given})) == expected
        none = dict.fromkeys(how)
        assert scored(built.invoke(QUERY, **none)) == expect(**how)

    @pytest.mark.parametrize("view", ["dense", "reconstruction", "latent", "words", "hybrid"])
    def test_views(self, retriever: SteerableRetriever, view: Any) -> None:
        built = SteerableRetriever(index=retriever.index, view=view, include_scores=True)
        documents = built.invoke(QUERY, boost={PHRASE: 1.0})
        hits = retriever.index.search(QUERY, 4, boost={PHRASE: 1.0}, view=view)
        assert ids(documents) == [hit.id for hit in hits]
        assert [d.metadata["relevance_score"] for d in documents] == [hit.score for hit in hits]

    def test_a_concept_is_embedded_once_per_call(
        self, retriever: SteerableRetriever, errors_concept: Concept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        query = "a question that nobody asked before"
        retriever.index.bundle.clear_cache()
        texts: list[str] = []
        for side in ("embed", "embed_queries"):
            embed = getattr(retriever.index.bundle, side)
            monkeypatch.setattr(
                *(retriever.index.bundle, side),
                lambda batch, embed=embed, **kw: texts.extend(batch) or embed(batch, **kw),
            )
        built = SteerableRetriever(index=retriever.index, include_explanations=True)
        built.invoke(query, boost={Concept.from_text(PHRASE): 1.0, errors_concept: 1.0})
        assert texts.count(query) == 1  # the phrase twice: what it is, and whether the index holds anything about it
        assert len(set(texts) - {query, PHRASE}) <= 32  # words to compare the phrase with, once per index
        texts.clear()
        built.invoke(query, boost={Concept.from_text(PHRASE): 2.0, errors_concept: 1.0})
        assert texts == []

    def test_batch_from_many_threads(self, retriever: SteerableRetriever, topic_texts: Any) -> None:
        built = SteerableRetriever(index=retriever.index, include_explanations=True)
        expected = [built.invoke(text, boost={PHRASE: 1.0, "import": -0.5}) for text in topic_texts.texts]
        fresh = Bundle.load(retriever.index.bundle.path, threads=1)  # nothing opened or cached yet
        with SteerableIndex.open(retriever.index.path, bundle=fresh) as index:
            crowd = SteerableRetriever(index=index, include_explanations=True)
            config = {"max_concurrency": 16}
            answers = crowd.batch(topic_texts.texts, config, boost={PHRASE: 1.0, "import": -0.5})
        assert answers == expected


class TestConfigurable:
    """`configurable_fields`: the only form that reaches a retriever inside a chain."""

    class Echo(SimpleChatModel):
        """Answers with its prompt, word by word when streamed."""

        @property
        def _llm_type(self) -> str:
            return "echo"

        def _call(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> str:
            return messages[-1].text

        def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            for word in messages[-1].text.split(" "):
                yield ChatGenerationChunk(message=AIMessageChunk(content=word + " "))

    @pytest.fixture
    def chain(self, retriever: SteerableRetriever) -> Runnable[str, str]:
        steerable = retriever.configurable_fields(
            boost=ConfigurableField(id="boost"),
            blend=ConfigurableField(id="blend"),
            keep=ConfigurableField(id="keep"),
            protect=ConfigurableField(id="protect"),
            k=ConfigurableField(id="k"),
            filter=ConfigurableField(id="where"),
        )
        prompt = ChatPromptTemplate.from_template("{context} | {question}")
        context = steerable | (lambda documents: " ".join(ids(documents)))
        return {"context": context, "question": RunnablePassthrough()} | prompt | self.Echo() | StrOutputParser()

    @staticmethod
    def answer(index: SteerableIndex, **how: Any) -> str:
        return f"{' '.join(found(index, **how))} | {QUERY}"

    async def test_in_a_chain(
        self, chain: Runnable[str, str], tiny_index: SteerableIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(SteerableIndex, "open", None)  # a configured copy opens nothing
        boost, where = {PHRASE: 2.0, 18: -1.0}, {"number": {"$gt": 4}}
        config: Any = {"configurable": {"boost": boost, "k": 3, "where": where}}
        expected = self.answer(tiny_index, k=3, boost=boost, filter=where)
        assert expected != self.answer(tiny_index, k=3)
        assert chain.invoke(QUERY) == self.answer(tiny_index)
        assert chain.invoke(QUERY, config) == expected
        assert await chain.ainvoke(QUERY, config) == expected
        assert chain.with_config(config).invoke(QUERY) == expected

    async def test_auto_in_a_chain(self, chain: Runnable[str, str], tiny_index: SteerableIndex) -> None:
        answers = set()
        for how in ({"keep": 0.95}, {"keep": 0.6}, {"keep": 0.6, "protect": True}):
            boost: dict[Any, Any] = {PHRASE: "auto", 18: "-auto"}
            config: Any = {"configurable": {"boost": boost, "blend": "move", "k": 8, **how}}
            expected = self.answer(tiny_index, k=8, boost=boost, blend="move", **how)
            assert chain.invoke(QUERY, config) == expected
            assert await chain.with_config(config).ainvoke(QUERY) == expected
            assert chain.batch([QUERY], config) == [expected]
            answers.add(expected)
        assert len(answers) == 3

    async def test_streaming(self, chain: Runnable[str, str], tiny_index: SteerableIndex) -> None:
        config: Any = {"configurable": {"boost": {PHRASE: 2.0}}}
        expected = self.answer(tiny_index, boost={PHRASE: 2.0})
        pieces = list(chain.stream(QUERY, config))
        assert len(pieces) > 5
        assert "".join(pieces).strip() == expected
        assert "".join([piece async for piece in chain.astream(QUERY, config)]).strip() == expected

    async def test_one_boost_per_item_of_a_batch(self, chain: Runnable[str, str], tiny_index: SteerableIndex) -> None:
        live = np.flatnonzero(tiny_index.bundle.features.typical > 0)[:12].tolist()
        boosts = [{PHRASE: i / 2, latent: 1.0} for i, latent in enumerate(live)]
        configs: Any = [{"configurable": {"boost": boost}} for boost in boosts]
        expected = [self.answer(tiny_index, boost=boost) for boost in boosts]
        assert chain.batch([QUERY] * 12, configs) == expected
        assert await chain.abatch([QUERY] * 12, configs) == expected

    def test_call_wins_over_configured(self, retriever: SteerableRetriever) -> None:
        steerable = retriever.configurable_fields(boost=ConfigurableField(id="boost"))
        config: Any = {"configurable": {"boost": {PHRASE: 2.0}}}
        assert ids(steerable.invoke(QUERY, config, boost={18: 1.0})) == found(retriever.index, boost={18: 1.0})
        assert ids(steerable.invoke(QUERY, config, boost={})) == found(retriever.index)
        with pytest.raises(ValidationError, match="boost"):
            steerable.invoke(QUERY, {"configurable": {"boost": {PHRASE: "strong"}}})

    def test_schema(self, chain: Runnable[str, str]) -> None:
        specs = chain.get_config_jsonschema()["$defs"]["Configurable"]["properties"]
        assert set(specs) == {"boost", "blend", "keep", "protect", "k", "where"}
        assert specs["boost"]["description"].startswith("Concept -> strength")

    def test_as_an_agents_tool(self, retriever: SteerableRetriever) -> None:
        tool = create_retriever_tool(retriever, "docs", "Searches.", document_separator="\n")
        assert tool.invoke({"query": QUERY}) == "\n".join(h.text for h in retriever.index.search(QUERY, 4))


class TestDocuments:
    def test_metadata_as_it_was_given(self, retriever: SteerableRetriever, topic_texts: Any) -> None:
        given = {id: (text, meta) for id, text, meta in zip(*topic_texts, strict=True)}
        documents = retriever.invoke(QUERY, k=60, boost={PHRASE: 1.0})
        assert sorted(ids(documents)) == sorted(given)
        for document in documents:
            text, metadata = given[document.id]
            assert (document.page_content, json.dumps(document.metadata)) == (text, json.dumps(metadata))
            document.metadata["source"]["tags"].append("mine")  # a copy, all the way down
        assert "mine" not in str(retriever.invoke(QUERY, k=60))

    def test_scores_when_asked(self, retriever: SteerableRetriever) -> None:
        retriever.index.add([QUERY], ["own"], [{"relevance_score": "mine", "steerable": None}])
        built = SteerableRetriever(index=retriever.index, k=2, include_scores=True, include_explanations=True)
        first, second = built.invoke(QUERY)
        assert (first.id, first.metadata) == ("own", {"relevance_score": "mine", "steerable": None})
        assert second.metadata["relevance_score"] == retriever.index.search(QUERY, 2)[1].score

    def test_the_best_sentence_when_asked(self, retriever: SteerableRetriever) -> None:
        retriever.index.add(
            [f"A module is a file. An exception is raised. {QUERY}"] * 2, ["own", "taken"], [{}, {"highlight": "mine"}]
        )
        built = SteerableRetriever(index=retriever.index, k=62, highlight=True)
        for view in ("dense", "hybrid"):
            documents = SteerableRetriever(index=retriever.index, k=62, highlight=True, view=view).invoke(QUERY)
            assert len(documents) == 62
            for document in documents:
                place = document.metadata["highlight"]
                if document.id == "taken":
                    assert place == "mine"
                    continue
                assert document.page_content[place["start"] : place["end"]] == place["text"]
        sentence = retriever.index.search(QUERY, 1, highlight=True)[0].sentence
        assert sentence is not None
        assert built.invoke(QUERY)[0].metadata["highlight"]["start"] == sentence.start
        assert "highlight" not in retriever.invoke(QUERY)[0].metadata
        steered = built.invoke(QUERY, boost={PHRASE: 1.0}, filter={"topic": {"$exists": True}})
        assert all(set(document.metadata["highlight"]) == {"text", "start", "end"} for document in steered)

    def test_explanations_when_asked(self, retriever: SteerableRetriever, errors_concept: Concept) -> None:
        where: dict[str, Any] = {"number": {"$lt": 12}}
        how: dict[str, Any] = {"clamp": {18: 0.0}, "filter": where, "blend": "move", "keep": 0.8}
        built = SteerableRetriever(index=retriever.index, include_explanations=True, **how)
        boost: dict[Any, Any] = {errors_concept: "auto", "f3": 0.5}
        steered = retriever.index.steer(QUERY, boost, {18: 0.0}, blend="move", keep=0.8)
        hits = retriever.index.search(QUERY, 4, boost=boost, **how, compare=True)
        for hit, document in zip(hits, built.invoke(QUERY, boost=boost), strict=True):
            why = document.metadata.pop("steerable")
            assert len(json.dumps(why)) < 2500
            assert (why["rank"], why["rank_before"], why["compared"]) == (hit.rank, hit.rank_before, 100)
            assert (why["score"], why["warnings"]) == (hit.score, [])
            assert why["kept"] == pytest.approx(0.8, abs=1e-4)
            asked, label, removed = why["concepts"]
            assert asked == {"concept": errors_concept.name, **dict(list(asked.items())[1:])}
            assert asked["strength"] == steered.boosted[0][1] > 0
            assert asked["means"] == [
                str(retriever.index.bundle.features[latent]) for latent in list(steered.boosted[0][0].weights)[:3]
            ]
            assert 0.5 < asked["fit"] <= 1
            assert (label["strength"], label["fit"], removed["clamp"]) == (0.5, 1.0, 0.0)
            assert set(removed) == {"concept", "clamp", "fit", "evidence", "means"}
            explanation = retriever.index.explain(QUERY, hit.id, boost=boost, clamp={18: 0.0}, blend="move", keep=0.8)
            for name, parts in (("features", explanation.parts[:5]), ("moved_by", hit.moved_by)):
                assert why[name] == [
                    {
                        "feature": p.feature.name,
                        "label": p.feature.label,
                        "score": p.feature.score,
                        "steers": p.feature.steers,
                        "contribution": pytest.approx(p.contribution, abs=1e-4),
                        "steered": pytest.approx(p.steered, abs=1e-4),
                    }
                    for p in parts
                ]
        for rank, document in enumerate(built.invoke(QUERY, clamp={}), 1):
            why = document.metadata["steerable"]
            assert (why["rank_before"], why["kept"], why["concepts"], why["moved_by"]) == (rank, 1.0, [], [])

    def test_a_rank_beyond_what_is_compared_is_none(
        self, retriever: SteerableRetriever, errors_concept: Concept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(index_module, "COMPARE_DEPTH", 1)
        built = SteerableRetriever(index=retriever.index, include_explanations=True, boost={errors_concept: 3.0})
        assert None in [document.metadata["steerable"]["rank_before"] for document in built.invoke(QUERY, k=3)]


def test_type_checkers_know_every_field():
    from steersearch.integrations.langchain.retriever import RetrieverFields

    own = {name for name in SteerableRetriever.model_fields if name not in ("index", "tags", "metadata", "name")}
    assert set(RetrieverFields.__annotations__) == own | {"tags", "metadata", "name"}
