"""The real OpenAI client against a real server on this machine that speaks its protocol."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from langchain_openai import ChatOpenAI

from steersearch.errors import ConfigError, SteersearchError
from steersearch.integrations.labeling import client as _label_calls
from steersearch.integrations.labeling.run import label_with_model

from .labeling_model import by_length, entry, topical

USAGE = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}


class Server(ThreadingHTTPServer):
    """Answers `/v1/chat/completions`; `troubles` are met first, one per request: a status, or "hang"."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply = topical
        self.usage: dict[str, int] | None = USAGE
        self.troubles: list[int | str] = []
        self.requests: list[dict[str, Any]] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append({"path": self.path, "key": self.headers["Authorization"], **request})
        trouble = self.server.troubles.pop(0) if self.server.troubles else None
        if trouble == "hang":
            self.server.closing.wait(20)
            return
        if isinstance(trouble, int):
            self.send(trouble, {"error": {"message": f"made to fail\nwith {trouble}", "code": "made_up"}})
            return
        message = {"role": "assistant", "content": self.server.reply(request["messages"][-1]["content"])}
        answer = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": request["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }
        self.send(200, answer | ({"usage": self.server.usage} if self.server.usage else {}))

    def send(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def _straight_and_quick(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(_label_calls, "BACKOFF", 0.01)


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def model(server):
    return ChatOpenAI(model="tiny", base_url=server.url, api_key="local", max_retries=0)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "labels.jsonl"


def test_labels_come_back(server, model, cache):
    entries = [entry(latent) for latent in range(7)]
    outcome = label_with_model(model, entries, by_length, cache=cache)
    assert outcome.labels[0].text == "solar flares"
    assert set(outcome.labels) == set(range(7))
    assert (outcome.calls, outcome.input_tokens, outcome.output_tokens) == (7, 840, 210)
    assert outcome.model == "tiny"
    first = server.requests[0]
    assert (first["path"], first["key"], first["model"]) == ("/v1/chat/completions", "Bearer local", "tiny")
    assert [message["role"] for message in first["messages"]] == ["system", "user"]
    assert label_with_model(model, entries, by_length, cache=cache).cached == 7
    assert len(server.requests) == 7


def test_by_name(server, cache, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "from the environment")
    outcome = label_with_model("openai:tiny", [entry(0)], by_length, cache=cache)
    assert (outcome.labels[0].text, outcome.model) == ("solar flares", "openai:tiny")
    assert server.requests[0]["key"] == "Bearer from the environment"
    assert server.requests[0]["model"] == "tiny"


def test_a_server_that_counts_no_tokens(server, model, cache):
    server.usage = None
    outcome = label_with_model(model, [entry(0)], by_length, cache=cache)
    assert 150 < outcome.input_tokens < 400
    assert outcome.output_tokens == -(-len(topical("solar flares")) // 4)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_passing_error(server, model, cache, status):
    server.troubles = [status]
    outcome = label_with_model(model, [entry(0)], by_length, cache=cache)
    assert outcome.labels[0].text == "solar flares"
    assert (outcome.calls, outcome.input_tokens, outcome.skipped) == (2, 120, {})


def test_a_hanging_answer(server, model, cache):
    server.troubles = ["hang", "hang"]
    outcome = label_with_model(model, [entry(0), entry(1)], by_length, cache=cache, timeout=0.5, concurrency=1)
    assert outcome.skipped == {0: "no answer within 0.5 s"}
    assert outcome.labels[1].text == "sea ice"


@pytest.mark.parametrize("status", [401, 404])
def test_a_wrong_key_or_model(server, model, cache, status):
    label_with_model(model, [entry(0)], by_length, cache=cache)
    server.troubles = [status] * 9
    with pytest.raises(ConfigError, match="'tiny' cannot be used") as raised:
        label_with_model(model, [entry(latent) for latent in range(7)], by_length, cache=cache, concurrency=1)
    assert f"made to fail with {status}" in str(raised.value)
    assert len(server.requests) == 2  # one for each run: the error ends the second at once
    assert label_with_model(model, [entry(0)], by_length, cache=cache).cached == 1


def test_nonsense(server, model, cache):
    server.reply = lambda prompt: "Great question!" if "sea ice" in prompt else topical(prompt)
    outcome = label_with_model(model, [entry(latent) for latent in range(3)], by_length, cache=cache)
    assert outcome.skipped == {1: "its answer holds no list of labels: 'Great question!'"}
    assert list(outcome.labels) == [0, 2]


def test_no_server(cache):
    with Server() as gone:
        url = gone.url
    model = ChatOpenAI(model="tiny", base_url=url, api_key="local", max_retries=0)
    with pytest.raises(SteersearchError, match="5 features in a row"):
        label_with_model(model, [entry(latent) for latent in range(9)], by_length, cache=cache)
