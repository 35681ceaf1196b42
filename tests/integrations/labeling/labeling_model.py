"""A chat model for tests of labelling, and features for it to label."""

import json
from collections.abc import Callable
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from steersearch.runtime.bundle.interpretation import Entry, Passage, Score

TOPICS = ["solar flares", "sea ice", "bird song", "bread baking", "chess openings", "glass making", "tax law"]


def entry(latent: int, auc: float | None = 0.6, *, label: str | None = "") -> Entry:
    """A feature on a topic of `TOPICS`; `auc` is the held-out score of the label it has."""
    topic = TOPICS[latent % len(TOPICS)]
    return Entry(
        latent,
        phrases=(f"{topic} words",),
        label=f"old {latent}" if label == "" else label,
        score=None if auc is None else Score(auc, auc, auc, 0.01, 0.5, 0.5, 9),
        top=(Passage(f"d{latent}", f"All about {topic} no. {latent}.", 2.0),),
        near_misses=(Passage("other", "Something else.", 0.0),),
    )


class Model(BaseChatModel):
    """Answers what `reply` makes of a prompt, with as many tokens as it says, and keeps the prompts."""

    reply: Callable[[str], Any]
    usage: tuple[int, int] | None = (100, 10)
    prompts: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "counting"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        prompt = messages[-1].content
        self.prompts.append(prompt)
        answer = self.reply(prompt)
        if self.usage:
            message = AIMessage(
                answer,
                usage_metadata={
                    "input_tokens": self.usage[0],
                    "output_tokens": self.usage[1],
                    "total_tokens": sum(self.usage),
                },
            )
        else:
            message = AIMessage(answer)
        return ChatResult(generations=[ChatGeneration(message=message)])


def topical(prompt: str) -> str:
    topic = next(topic for topic in TOPICS if topic in prompt)
    return json.dumps([f"{topic} in general", topic, f"not {topic}"])


def by_length(latent: int, label: str) -> float:
    """The shorter the better: 12 letters are 0.88."""
    return round(1 - len(label) / 100, 2)
