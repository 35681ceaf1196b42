"""The two tools of `integrations.agents` as LangChain tools, for agents of LangChain and LangGraph."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, get_type_hints

from langchain_core.runnables import run_in_executor
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from ...errors import SteersearchError
from ...runtime import SteerableIndex
from ...text import shown
from ..agents import AgentTools, description_of


def concept_tools(index: SteerableIndex) -> list[BaseTool]:
    """Return both tools for an agent: find what an index can be steered by, and search it steered.

    Arguments are flat. They return JSON text for the model, and the same as a mapping in the message's `artifact`.
    Wrong arguments and unknown concepts come back as a message that says what to do, so that the agent can go on.
    Whoever opened the index closes it.
    """
    return [find_concepts_tool(index), search_documents_tool(index)]


def find_concepts_tool(index: SteerableIndex) -> BaseTool:
    """Return the tool `find_concepts(text, limit)`."""
    return _tool(AgentTools(index).find_concepts)


def search_documents_tool(index: SteerableIndex) -> BaseTool:
    """Return the tool `search_documents(query, more_of, less_of, exclude, remove, strength, where, k)`."""
    return _tool(AgentTools(index).search_documents)


class ConceptTool(StructuredTool):
    """A tool over an index. Pickled, it is made again where it is read, over the index opened by its path."""

    method: Callable[..., Any]
    """The method of `AgentTools` that it calls."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return how to make it again."""
        return _tool, (self.method,)


def _tool(method: Callable[..., Any]) -> BaseTool:
    def call(**arguments: Any) -> tuple[str, dict[str, Any]]:
        try:
            result = method(**arguments)
        except SteersearchError as error:
            raise ToolException(f"error: {error}") from error
        return json.dumps(result, ensure_ascii=False, default=str), result

    async def acall(**arguments: Any) -> tuple[str, dict[str, Any]]:
        return await run_in_executor(None, call, **arguments)

    return ConceptTool.from_function(
        call,
        acall,
        method=method,
        name=method.__name__,
        description=description_of(method),
        args_schema=arguments_of(method),
        response_format="content_and_artifact",
        handle_tool_error=True,
        handle_validation_error=lambda error: _cure(method.__name__, error),
    )


def arguments_of(method: Callable[..., Any]) -> type[BaseModel]:
    """Return the arguments of a method as a model that refuses all others."""
    hints = get_type_hints(method, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(method).parameters.items()
    }
    return create_model(method.__name__, __config__=ConfigDict(extra="forbid"), **fields)


def _cure(name: str, error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"error: {error}"
    problems = "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'the arguments'}: {problem['msg']}, got {shown(problem['input'], 60)}"
        for problem in error.errors()
    )
    return f"error: {name} was called wrongly ({problems}). Call it again with the arguments of its schema"
