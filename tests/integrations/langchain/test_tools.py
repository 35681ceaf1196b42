"""The two tools in LangChain: the standard suites, messages, and a LangGraph agent on a scripted chat model."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from steersearch.integrations.langchain import concept_tools, find_concepts_tool, search_documents_tool
from steersearch.runtime.index import SteerableIndex
from steersearch.runtime.steering.concepts import Concept

from ..conftest import PHRASE, QUERY, found

SEARCH = {"query": QUERY, "more_of": [PHRASE], "less_of": ["f3"], "strength": "strong", "where": "", "k": 3}


class _FindConcepts:
    @pytest.fixture(autouse=True)
    def _open(self, tiny_index: SteerableIndex) -> None:
        self.made = find_concepts_tool(tiny_index)

    @property
    def tool_constructor(self) -> BaseTool:
        return self.made

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"text": PHRASE, "limit": 3}


class _SearchDocuments(_FindConcepts):
    @pytest.fixture(autouse=True)
    def _open(self, tiny_index: SteerableIndex) -> None:
        self.made = search_documents_tool(tiny_index)

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return SEARCH


class TestFindConceptsUnit(_FindConcepts, ToolsUnitTests):
    pass


class TestFindConcepts(_FindConcepts, ToolsIntegrationTests):
    pass


class TestSearchDocumentsUnit(_SearchDocuments, ToolsUnitTests):
    pass


class TestSearchDocuments(_SearchDocuments, ToolsIntegrationTests):
    pass


def call(tool: BaseTool, **arguments: Any) -> ToolMessage:
    message = tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})
    assert isinstance(message, ToolMessage)
    return message


class TestMessages:
    def test_schema_is_flat(self, tiny_index: SteerableIndex) -> None:
        find, search = (tool.tool_call_schema.model_json_schema() for tool in concept_tools(tiny_index))
        assert set(find["properties"]) == {"text", "limit"}
        lists = {"more_of", "less_of", "like", "unlike", "exclude", "remove"}
        assert set(search["properties"]) == {"query", *lists, "strength", "protect", "where", "k", "understand"}
        assert {field["type"] for field in search["properties"].values()} <= {
            "string",
            "array",
            "number",
            "integer",
            "boolean",
        }
        assert search["required"] == ["query"]
        assert search["properties"]["strength"]["enum"] == ["light", "medium", "strong", "auto"]
        assert all("description" in field for field in search["properties"].values())
        assert "Raises" not in search["description"]

    async def test_content_and_artifact(self, tiny_index: SteerableIndex) -> None:
        message = call(search_documents_tool(tiny_index), **SEARCH)
        assert json.loads(str(message.content)) == message.artifact
        assert [result["id"] for result in message.artifact["results"]] == found(
            tiny_index, k=3, boost={PHRASE: 2.0, "f3": -2.0}
        )
        content = await search_documents_tool(tiny_index).ainvoke(SEARCH)
        assert json.loads(content) == message.artifact

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"query": QUERY, "more_of": ["f99999"]}, "this bundle has 64, f0 to f63"),
            ({"query": QUERY, "more_of": "errors"}, "more_of: Input should be a valid list, got 'errors'"),
            ({"query": QUERY, "strength": 3}, "strength: Input should be 'light', 'medium', 'strong' or 'auto', got 3"),
            ({"query": QUERY, "k": 1000}, "k: Input should be less than or equal to 50, got 1000"),
            ({"query": QUERY, "exclude": "f3"}, "exclude: Input should be a valid list, got 'f3'"),
            ({"query": QUERY, "k": 0}, "k: Input should be greater than or equal to 1, got 0"),
            ({"query": QUERY, "like": "doc"}, "like: Input should be a valid list"),
            ({"query": QUERY, "k": "many"}, "k: Input should be a valid integer"),
            ({"query": QUERY, "boost": {PHRASE: 1}}, "boost: Extra inputs are not permitted"),
            ({}, "query: Field required"),
            ({"query": QUERY, "where": "recent"}, 'write it like {"year": {"$gte": 2024}}'),
        ],
        ids=str,
    )
    def test_errors_teach(self, tiny_index: SteerableIndex, arguments: dict[str, Any], said: str) -> None:
        message = call(search_documents_tool(tiny_index), **arguments)
        assert (message.status, said in str(message.content)) == ("error", True), message.content


def test_what_models_send_in_place_of_json_text(tiny_index: SteerableIndex) -> None:
    tool, where = search_documents_tool(tiny_index), {"number": {"$lt": 3}}
    expected = found(tiny_index, k=5, filter=where)
    for sent in (where, json.dumps(where), json.dumps(json.dumps(where))):
        message = call(tool, query=QUERY, where=sent)
        assert [result["id"] for result in message.artifact["results"]] == expected
    lists = ("more_of", "less_of", "like", "unlike", "exclude")
    nothing = dict.fromkeys((*lists, "strength", "protect", "where", "k", "understand"))
    message = call(tool, query=QUERY, **nothing)
    assert [result["id"] for result in message.artifact["results"]] == found(tiny_index, k=5)


class Scripted(BaseChatModel):
    """Answers with the given messages, one after the other, and keeps what it was shown."""

    script: list[AIMessage]
    seen: list[list[BaseMessage]]
    tools: list[str]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> "Scripted":
        self.tools[:] = [tool.name for tool in tools]
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self.seen.append(list(messages))
        return ChatResult(generations=[ChatGeneration(message=self.script[len(self.seen) - 1])])


def asks(name: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"type": "tool_call", "id": name, "name": name, "args": arguments}])


async def test_a_langgraph_agent(tiny_index: SteerableIndex) -> None:
    agents = pytest.importorskip("langchain.agents")
    concept = tiny_index.bundle.features.search(PHRASE, 1)[0]
    script = [
        asks("find_concepts", text=PHRASE, limit=1),
        asks("search_documents", query=QUERY, more_of=["f99999"]),  # a mistake, from which it is told how to go on
        asks("search_documents", query=QUERY, more_of=[concept.label or concept.name], strength="strong", k=2),
        asks("search_documents", query=QUERY, like=["exceptions-0"], strength="auto", exclude=["f3"], k=2),
        asks("search_documents", query=QUERY, more_of=["zzzz qqqq"]),  # obeyed, with a doubt that it reads
        AIMessage("done"),
    ]
    like: dict[Any, Any] = {Concept.from_examples(["exceptions-0"]): "auto"}
    for run in ("invoke", "ainvoke"):
        model = Scripted(script=script, seen=[], tools=[])
        agent = agents.create_agent(model, concept_tools(tiny_index))
        state: Any = {"messages": [HumanMessage("What about errors in arithmetic?")]}
        result = agent.invoke(state) if run == "invoke" else await agent.ainvoke(state)
        assert model.tools == ["find_concepts", "search_documents"]
        first, wrong, right, near, doubtful = [m for m in result["messages"] if isinstance(m, ToolMessage)]
        assert json.loads(str(first.content))["concepts"][0]["concept"] == (concept.label or concept.name)
        assert (wrong.status, "f0 to f63" in str(wrong.content)) == ("error", True)
        assert [r["id"] for r in right.artifact["results"]] == found(tiny_index, k=2, boost={concept.id: 2.0})
        assert [r["id"] for r in near.artifact["results"]] == found(tiny_index, k=2, boost=like, exclude=["f3"])
        assert [entry["strength"] for entry in near.artifact["applied"]] == [1.0, None]
        assert near.artifact["warnings"] == []
        assert "nothing about 'zzzz qqqq'" in json.loads(str(doubtful.content))["warnings"][0]
        assert result["messages"][-1].content == "done"
        assert right in model.seen[-1]
