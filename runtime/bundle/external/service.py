"""`EmbeddingService`: a service that speaks OpenAI's ``/v1/embeddings``, as paid APIs, vLLM, TEI and Ollama do."""

from __future__ import annotations

import email.utils
import ipaddress
import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn
from urllib.parse import urlsplit

import numpy as np

from ....arrays import FloatArray
from ....errors import ConfigError, EmbedderError
from ....forks import lock_for_forks
from ....text import one_line, shown, visible
from .answers import BadAnswerError, first_words, most_bytes, read_vectors
from .http_client import Answer, HttpClient, NoAnswerError

KEY = "STEERSEARCH_EMBEDDER_KEY"
"""Environment variable with the key for the address that is given."""
OPENAI_KEY, OPENAI_HOST = "OPENAI_API_KEY", "api.openai.com"
"""The variable that OpenAI's own client reads; its key is sent to OpenAI and to nobody else."""
TEXTS, CHARACTERS = 128, 200_000
"""Texts and characters of a request at most. OpenAI takes 2,048 texts of 300,000 tokens together, others 32 texts: one
that refuses gets half as many."""
CONCURRENCY = 4
"""Requests at a time: waiting is most of what a service costs, and most allow more."""
TRIES = 6
BACKOFF, LONGEST_WAIT = 0.5, 20.0
"""Seconds before the second try, doubled for each further one, and the longest such wait."""
AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529)
"""HTTP statuses that a later try may mend."""
TOO_MUCH = (400, 413, 422)
"""Statuses with which services refuse a request for its size; a smaller one is tried."""
_NEAR = (".local", ".localhost", ".internal", ".svc", ".lan", ".home.arpa")


class EmbeddingService:
    """Embeds texts by a service. Threads may share one. The key is never shown, stored or pickled.

    Args:
        address: For example ``https://api.openai.com/v1``; ``/embeddings`` is added where it is missing.
        model: The model's name at the service; by default the one that the bundle was made with.
        api_key: By default ``$STEERSEARCH_EMBEDDER_KEY``, and for OpenAI's own address ``$OPENAI_API_KEY``.
        dimensions: Asks the service for vectors cut to so many numbers, where the model can be cut.
        batch: Texts per request.
        timeout: Seconds for one answer.
        patience: Seconds that all waits between tries of a request may take together.
        concurrency: Requests at a time where many texts are embedded.

    Raises:
        ConfigError: A setting is out of range, the address is none, or a key would go over an open network.
    """

    def __init__(
        self,
        address: str,
        model: str | None = None,
        *,
        api_key: str | None = None,
        dimensions: int | None = None,
        batch: int = TEXTS,
        timeout: float = 60.0,
        patience: float = 60.0,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self.model, self.dimensions, self.batch = model, dimensions, batch
        self.timeout, self.patience, self.concurrency = timeout, patience, concurrency
        cut = 1 if dimensions is None else dimensions
        for name, value in (("dimensions", cut), ("batch", batch), ("concurrency", concurrency)):
            if type(value) is not int or value < 1:
                raise ConfigError(f"{name} is {shown(value)}: it must be a whole number of at least 1")
        if not timeout > 0 or not patience >= 0:
            raise ConfigError(f"timeout is {timeout} and patience {patience}: give seconds, above 0 and at least 0")
        self._url = _url_of(address)
        parts = urlsplit(self._url)
        self.address = f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix('/embeddings')}"
        """Without what may be secret in it, for messages."""
        self._given = (address, model, dimensions, batch, timeout, patience, concurrency)
        self._key = _key_of(parts.hostname or "", api_key)
        if self._key and parts.scheme == "http" and not _is_near(parts.hostname or ""):
            raise ConfigError(f"the key would go to {self.address} unencrypted: write https://, or take the key away")
        self._client = HttpClient(self._url, timeout)
        self._base64 = True
        self._counting = lock_for_forks()
        self.tokens = 0
        """Tokens that the service has counted."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the key: the copy finds one in its environment."""
        return _again, self._given

    def __repr__(self) -> str:
        """Return address and model."""
        return f"EmbeddingService({self.address!r}, {self.model!r})"

    def embed(self, texts: Sequence[str], width: int | None = None) -> FloatArray:
        """Embed texts by one request, or by several where the service refuses it for its size.

        Args:
            texts: Any number that the service takes, at least one. An empty text is sent as a blank.
            width: Numbers per text that are expected; it bounds what is read.

        Returns:
            Rows as the service gave them, of any length, shape (n, width), float32.

        Raises:
            EmbedderError: The service does not answer, refuses, or its answer is none to these texts.
        """
        answer = self._ask(texts, width)
        if answer.status in TOO_MUCH and self._base64 and b"encoding_format" in answer.body:
            self._base64 = False
            answer = self._ask(texts, width)
        if answer.status in TOO_MUCH and len(texts) > 1:
            half = len(texts) // 2
            if answer.status != 400:
                self.batch = min(self.batch, max(1, half))
            return np.concatenate([self.embed(texts[:half], width), self.embed(texts[half:], width)])
        if answer.status != 200:
            self._refused(answer, texts)
        try:
            rows, tokens = read_vectors(answer.body, answer.headers.get("content-type", ""), len(texts))
        except BadAnswerError as error:
            raise EmbedderError(f"{self.name}: {self._safe(str(error))}") from error
        with self._counting:
            self.tokens += tokens
        return rows

    def named(self, model: str | None) -> EmbeddingService:
        """Return the same service for a model, over the same connections."""
        other = object.__new__(EmbeddingService)
        vars(other).update(vars(self), model=model)
        return other

    @property
    def name(self) -> str:
        """Address and model, for messages."""
        return f"{self.address} ({self.model})" if self.model else self.address

    def batches(self, texts: Sequence[str]) -> Iterator[Sequence[str]]:
        """Yield texts in order, as many at a time as one request takes."""
        start = 0
        while start < len(texts):
            stop, size = start + 1, len(texts[start])
            while stop < len(texts) and stop - start < self.batch and size + len(texts[stop]) <= CHARACTERS:
                size += len(texts[stop])
                stop += 1
            yield texts[start:stop]
            start = stop

    def _ask(self, texts: Sequence[str], width: int | None) -> Answer:
        """Send a request, again where that may help, and return the last answer."""
        request: dict[str, Any] = {"model": self.model or "", "input": [text or " " for text in texts]}
        if self.dimensions is not None:
            request["dimensions"] = self.dimensions
        if self._base64:
            request["encoding_format"] = "base64"
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "steersearch"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        body, most = json.dumps(request).encode(), most_bytes(len(texts), width)
        waited = 0.0
        for tried in range(1, TRIES + 1):
            asked = None
            try:
                answer = self._client.post(body, headers, most)
                if answer.status not in AGAIN or b"insufficient_quota" in answer.body:
                    return answer
                reason = f"HTTP {answer.status}{self._message(answer)}"
                asked = _seconds(answer.headers.get("retry-after"))
            except NoAnswerError as error:
                reason = self._safe(str(error))
                if not error.again:
                    raise EmbedderError(f"{self.name}: {reason}") from error
            wait = min(LONGEST_WAIT, BACKOFF * 2 ** (tried - 1)) * random.uniform(0.8, 1) if asked is None else asked
            if tried == TRIES or waited + wait > self.patience:
                wanted = f", it asks to wait {asked:g} s more" if asked else ""
                times = f"{tried} tries" if tried > 1 else "1 try"
                raise EmbedderError(f"{self.name}: {reason}, after {times} and {waited:.0f} s of waiting{wanted}")
            time.sleep(wait)
            waited += wait
        raise AssertionError("the last try returns or raises")

    def _refused(self, answer: Answer, texts: Sequence[str]) -> NoReturn:
        what = f"{self.name}: HTTP {answer.status}"
        if answer.status in (401, 403):
            found = "the key is refused" if self._key else "it wants a key"
            cure = f"set {OPENAI_KEY} or {KEY}" if OPENAI_HOST in self.address else f"set {KEY}"
            # The message may repeat parts of the key.
            raise EmbedderError(f"{what}, {found}: {cure}")
        if answer.status == 404:
            cure = "check the address, which often ends in /v1, and the model's name"
            raise EmbedderError(f"{what}{self._message(answer)}: {cure}")
        asked = f" for {shown(texts[0], 40)} of {len(texts[0]):,} characters" if answer.status in TOO_MUCH else ""
        raise EmbedderError(f"{what}{asked}{self._message(answer)}")

    def _message(self, answer: Answer) -> str:
        """Return what the service says about an error, with a comma before it; empty if it is nothing."""
        try:
            said = json.loads(answer.body)
            said = said.get("error", said.get("message", said.get("detail", "")))
            said = said.get("message", "") if isinstance(said, dict) else said
        except (ValueError, AttributeError, RecursionError):
            said = first_words(answer.body)
        text = self._safe(visible(one_line(said if isinstance(said, str) else json.dumps(said), 160)))
        return f", {text!r}" if text else ""

    def _safe(self, text: str) -> str:
        return text.replace(self._key, "…") if self._key else text


def _again(address: str, model: str | None, *settings: Any) -> EmbeddingService:
    names = ("dimensions", "batch", "timeout", "patience", "concurrency")
    return EmbeddingService(address, model, **dict(zip(names, settings, strict=True)))


def _url_of(address: str) -> str:
    """Check an address and return the URL that requests go to."""
    expected = "write it like https://api.openai.com/v1"
    if not isinstance(address, str) or any(ord(c) <= 32 or ord(c) > 126 for c in address):
        raise ConfigError(f"the address of the embedder is {shown(address)}: {expected}")
    parts = urlsplit(address)
    try:
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    # Shown without what stands before an @, which may be a password.
    bare = address.rpartition("@")[2]
    if "@" in parts.netloc:
        raise ConfigError(f"the address of the embedder holds a password (…@{bare}): give it in {KEY} instead")
    if not good:
        raise ConfigError(f"the address of the embedder is {shown(bare)}: {expected}")
    path = parts.path.rstrip("/")
    path = path if path.endswith("/embeddings") else f"{path}/embeddings"
    return parts._replace(path=path, fragment="").geturl()


def _key_of(host: str, given: str | None) -> str:
    names = (KEY, OPENAI_KEY) if host == OPENAI_HOST else (KEY,)
    key = given if given is not None else next((os.environ[name] for name in names if os.environ.get(name)), "")
    if not isinstance(key, str) or any(not 32 < ord(c) < 127 for c in key.strip()):
        raise ConfigError(f"the key of the embedder holds characters that no key has: check {' and '.join(names)}")
    return key.strip()


def _is_near(host: str) -> bool:
    """Return whether a host is this machine or in a private network, where services often speak plain http."""
    try:
        found = ipaddress.ip_address(host)
        return found.is_loopback or found.is_private
    except ValueError:
        return "." not in host or host.endswith(_NEAR)


def _seconds(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which may be a date; None without a usable one."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
