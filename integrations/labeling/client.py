"""`LabelClient`: calls of a chat model that are timed, tried again, and kept within a `CallBudget`."""

from __future__ import annotations

import re
import threading
from concurrent.futures import TimeoutError as FutureTimeoutError  # the builtin one from Python 3.11 on

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage

from ...background import in_thread
from ...errors import ConfigError, MissingExtraError
from ...extras import installed
from ...text import one_line
from .prompt import REMINDER, SYSTEM, read_answer

BACKOFF = 2.0
"""Seconds before the second try. Providers' clients try again and wait for rate limits themselves."""
WRONG_SETTING = (401, 404)
"""HTTP: the key or the model's name is wrong, so every further call would fail alike."""
TRANSIENT = (408, 409, 425, 429)
"""Besides these, 5xx and errors without a status (no connection) are worth a second try."""
ANSWER_TOKENS = 100
"""Tokens that an answer is taken to have until there was one."""


class NoLabelsError(Exception):
    """The model gave no usable answer; the message says why."""


class CallBudget:
    """Counts calls and tokens, and refuses a call before a cap is exceeded; None for no cap. Threads may share one."""

    def __init__(self, max_calls: int | None, max_tokens: int | None) -> None:
        self.max_calls, self.max_tokens = max_calls, max_tokens
        self.calls = self.input_tokens = self.output_tokens = 0
        self.reached = ""
        """The cap that refused a call, in words."""
        self._open = self._largest = 0
        self._lock = threading.Lock()

    def reserve(self, text: str) -> bool:
        """Count a call with this text if it fits. Nobody knows its cost before, so it is taken to be the largest."""
        with self._lock:
            self._largest = max(self._largest, estimated_tokens(text) + ANSWER_TOKENS)
            tokens = self.input_tokens + self.output_tokens + (self._open + 1) * self._largest
            if self.max_calls is not None and self.calls >= self.max_calls:
                self.reached = f"{self.max_calls} calls"
                return False
            if self.max_tokens is not None and tokens > self.max_tokens:
                self.reached = f"{self.max_tokens} tokens"
                return False
            self.calls += 1
            self._open += 1
            return True

    def settle(self, input_tokens: int, output_tokens: int) -> None:
        """Record the cost of a reserved call that ended."""
        with self._lock:
            self._open -= 1
            self.input_tokens += input_tokens
            self.output_tokens += output_tokens
            self._largest = max(self._largest, input_tokens + output_tokens)


class LabelClient:
    """Gets labels from a chat model, `timeout` seconds for a call. Threads may share one."""

    def __init__(self, model: BaseChatModel, budget: CallBudget, timeout: float) -> None:
        self._model, self.budget, self._timeout = model, budget, timeout
        self.stop = threading.Event()
        """Once set, nothing is tried again."""

    def reserve(self, prompt: str) -> bool:
        """Reserve the first call for a prompt; False when the budget forbids it."""
        return self.budget.reserve(SYSTEM + prompt)

    def labels_for(self, prompt: str, count: int) -> tuple[str, ...]:
        """Return labels for a prompt whose first call is reserved; raise `NoLabelsError` or the second try's error."""
        answer = self._call(prompt)
        labels = read_answer(answer, count)
        if not labels and not self.stop.is_set() and self.reserve(prompt + REMINDER):
            answer = self._call(prompt + REMINDER)
            labels = read_answer(answer, count)
        if not labels:
            raise NoLabelsError(f"its answer holds no list of labels: {shortened(answer, 60)!r}")
        return labels

    def _call(self, prompt: str) -> str:
        try:
            return self._call_once(prompt)
        except Exception as error:
            status = http_status(error)
            if status is not None and status < 500 and status not in TRANSIENT:
                raise
            if self.stop.wait(BACKOFF) or not self.reserve(prompt):
                raise
        return self._call_once(prompt)

    def _call_once(self, prompt: str) -> str:
        # The clock is ours: not every provider's client takes a time limit, and none takes it under the same name.
        future = in_thread(self._model.invoke, [SystemMessage(SYSTEM), HumanMessage(prompt)])
        input_tokens = output_tokens = 0
        try:
            message = future.result(self._timeout)
            text = str(message.text)
            usage = message.usage_metadata
            input_tokens = usage["input_tokens"] if usage else estimated_tokens(SYSTEM + prompt)
            output_tokens = usage["output_tokens"] if usage else estimated_tokens(text)
        except FutureTimeoutError as error:
            input_tokens = estimated_tokens(SYSTEM + prompt)  # a call that is given up is paid for
            raise NoLabelsError(f"no answer within {self._timeout:g} s") from error
        finally:
            self.budget.settle(input_tokens, output_tokens)
        return text


def open_model(model: str) -> BaseChatModel:
    """Open a chat model by name, `provider:name`; errors as of `label_with_model`."""
    if not installed("langchain"):
        raise MissingExtraError(
            f"the chat model {model!r} is opened by langchain, which is not installed: "
            "pip install langchain, and the provider's package, for example langchain-openai"
        )
    from langchain.chat_models import init_chat_model

    try:
        return init_chat_model(model)
    except ImportError as error:
        command = re.search(r"pip install [\w\"'\[\]-]+", str(error))
        raise MissingExtraError(
            f"the chat model {model!r} needs a package that is not installed: "
            f"{command[0] if command else shortened(error)}"
        ) from error
    # Every provider has errors of its own for a missing key.
    except Exception as error:
        raise ConfigError(
            f"the chat model {model!r} cannot be opened: {shortened(error)}; it is written provider:name, and the "
            "provider's key is an environment variable"
        ) from error


def model_name(model: BaseChatModel) -> str:
    """Return the name of a chat model."""
    names = (getattr(model, name, None) for name in ("model_name", "model", "model_id"))
    return next((name for name in names if isinstance(name, str) and name), type(model).__name__)


def http_status(error: BaseException) -> int | None:
    """Return the HTTP status in a provider's error, where it has one: LangChain has no type for it before 1.7."""
    for each in (error, error.__cause__):
        for name in ("status_code", "code"):
            status = getattr(each, name, None)
            if isinstance(status, int):
                return status
    return None


def estimated_tokens(text: str) -> int:
    """Return the tokens of a text where the model does not count them: one per 4 characters."""
    return -(-len(text) // 4)


def shortened(text: object, length: int = 200) -> str:
    """Return the beginning of a text in one line."""
    return one_line(str(text), length)
