"""Calls of a chat model that are counted, capped, timed and tried again."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError  # the builtin one from Python 3.11 on
from pathlib import Path
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage

from ...errors import ConfigError, MissingExtraError, StorageError
from ...extras import installed, require
from ...text import one_line
from .prompt import REMINDER, SYSTEM, clean_label, read_answer

require("langchain", "langchain_core")


T = TypeVar("T")

BACKOFF = 2.0
"""Seconds before the second try. Provider clients have tries and waits of their own for rate limits."""
ANSWER_TOKENS = 100
"""Taken for the length of an answer until there is one to go by."""
WRONG_SETTING = (401, 404)
"""HTTP: the key or the model's name is wrong, so every further call would fail alike."""
TRANSIENT = (408, 409, 425, 429)
"""Besides these, 5xx and errors without a status (no connection) are worth a second try."""


class NoLabelsError(Exception):
    """The model gave no usable answer; the message says why."""


class Cap:
    """Counts calls and tokens, and says no before a cap is exceeded. Safe to use from several threads."""

    def __init__(self, max_calls: int | None, max_tokens: int | None) -> None:
        self.max_calls, self.max_tokens = max_calls, max_tokens
        self.calls = self.input_tokens = self.output_tokens = 0
        self.reached = ""
        """The cap that forbade a call, in words."""
        self._open = self._largest = 0
        self._lock = threading.Lock()

    def take(self, prompt: str) -> bool:
        """Count a call if it fits. Calls under way count as the largest so far: no one knows a call's cost before."""
        with self._lock:
            self._largest = max(self._largest, estimate(SYSTEM + prompt) + ANSWER_TOKENS)
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
        """What a call that was taken did cost."""
        with self._lock:
            self._open -= 1
            self.input_tokens += input_tokens
            self.output_tokens += output_tokens
            self._largest = max(self._largest, input_tokens + output_tokens)


class Asker:
    """Asks a chat model for labels, a few seconds at a time. Safe to use from several threads."""

    def __init__(self, model: BaseChatModel, cap: Cap, timeout: float) -> None:
        self._model, self.cap, self._timeout = model, cap, timeout
        self.stop = threading.Event()
        """Once set, nothing is tried again."""

    def ask(self, prompt: str, count: int) -> tuple[str, ...]:
        """Labels for the feature of a prompt, whose first call was already taken from the cap.

        Raises:
            NoLabelsError: It answered nonsense, also when it was asked again.
            Exception: Whatever the model's client raised, also when it was tried again.
        """
        answer = self._call(prompt)
        labels = read_answer(answer, count)
        if not labels and not self.stop.is_set() and self.cap.take(prompt + REMINDER):
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
            if self.stop.wait(BACKOFF) or not self.cap.take(prompt):
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
            input_tokens = usage["input_tokens"] if usage else estimate(SYSTEM + prompt)
            output_tokens = usage["output_tokens"] if usage else estimate(text)
        except FutureTimeoutError as error:
            input_tokens = estimate(SYSTEM + prompt)  # a call that is given up is paid for
            raise NoLabelsError(f"no answer within {self._timeout:g} s") from error
        finally:
            self.cap.settle(input_tokens, output_tokens)
        return text


def in_thread(work: Callable[..., T], *args: Any) -> Future[T]:
    """Run a function in a daemon thread: unlike an executor's, it does not keep Python from ending."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work(*args))
        except BaseException as error:  # it belongs to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def http_status(error: BaseException) -> int | None:
    """The HTTP status in a provider's error, where it has one: LangChain has no type for it before 1.7."""
    for each in (error, error.__cause__):
        for name in ("status_code", "code"):
            status = getattr(each, name, None)
            if isinstance(status, int):
                return status
    return None


def estimate(text: str) -> int:
    """Tokens of a text, when no one counted: one per 4 characters."""
    return -(-len(text) // 4)


def shortened(text: object, length: int = 200) -> str:
    """The beginning of a text in one line."""
    return one_line(str(text), length)


require("langchain", "langchain_core")


def open_model(model: str) -> BaseChatModel:
    """A chat model by name, `provider:name`.

    Raises:
        MissingExtraError: The package langchain or the provider's package is not installed.
        ConfigError: There is no such provider, or its key is not set.
    """
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
    except Exception as error:  # every provider has errors of its own for a missing key
        raise ConfigError(
            f"the chat model {model!r} cannot be opened: {shortened(error)}; it is written provider:name, and the "
            "provider's key is an environment variable"
        ) from error


def model_name(model: BaseChatModel) -> str:
    """What a chat model calls itself."""
    names = (getattr(model, name, None) for name in ("model_name", "model", "model_id"))
    return next((name for name in names if isinstance(name, str) and name), type(model).__name__)


logger = logging.getLogger(__name__)


class Answers:
    """Labels that were paid for, in a JSON-lines file: `{"key", "model", "latent", "labels"}`.

    Raises:
        StorageError: The file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, ...]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab+") as file:  # also finds out before any call is paid for that it can be written
                file.seek(0)
                lines = file.read().splitlines(keepends=True)
                if lines and not lines[-1].endswith(b"\n"):  # its writer was killed
                    file.truncate(sum(map(len, lines[:-1])))
                    lines.pop()
        except OSError as error:
            raise self._unusable(error) from error
        for line in lines:
            try:
                record = json.loads(line)
                labels = [label for raw in record["labels"] if (label := clean_label(raw))]
                self._known[record["key"]] = tuple(labels)
            except (ValueError, KeyError, TypeError, AttributeError):
                logger.warning("a damaged line of %s is passed over", path)

    def get(self, key: str) -> tuple[str, ...] | None:
        """The labels under a key; None when it was never answered."""
        return self._known.get(key) or None

    def add(self, key: str, model: str, latent: int, labels: tuple[str, ...]) -> None:
        """Keep an answer; it is in the file when this returns."""
        record = {"key": key, "model": model, "latent": latent, "labels": labels}
        try:
            with self._lock, self._path.open("ab") as file:
                file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        except OSError as error:
            raise self._unusable(error) from error
        self._known[key] = labels

    def _unusable(self, error: OSError) -> StorageError:
        return StorageError(
            f"cannot use the label cache {self._path}: {error.strerror or error}; free space, mend its permissions or "
            "give another file"
        )


def cache_key(model: str, prompt: str) -> str:
    """Name of an answer: sha256 of everything that it follows from."""
    return hashlib.sha256("\0".join((model, SYSTEM, prompt)).encode()).hexdigest()
