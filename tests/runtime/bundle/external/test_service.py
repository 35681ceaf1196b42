"""A service on the loopback with every fault that one can have."""

import os
import pickle
import socket
import time

import numpy as np
import pytest

from steersearch.errors import ConfigError, EmbedderError
from steersearch.runtime.bundle.external import service as module
from steersearch.runtime.bundle.external.answers import BYTES_AT_LEAST
from steersearch.runtime.bundle.external.service import KEY, OPENAI_KEY, EmbeddingService

from ....embedding_server import (
    changed,
    cut_off,
    dripping,
    hashed,
    huge,
    hung_up,
    reversed_order,
    running,
    slow,
    status,
)

TEXTS = ["one", "two", "three"]
SECRET = "sk-very-secret-7"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "BACKOFF", 0.01)
    for name in (KEY, OPENAI_KEY):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with running() as found:
        yield found


def ask(server, texts=TEXTS, **how):
    return EmbeddingService(server.address, "m", **how).embed(texts, 16)


def refused(server, *faults, texts=TEXTS, **how):
    """The message of the error, which is one line and names the address."""
    server.faults[:] = faults
    with pytest.raises(EmbedderError) as raised:
        ask(server, texts, **how)
    message = str(raised.value)
    assert "\n" not in message
    assert server.address in message
    return message


def test_a_request_is_what_the_protocol_says(server):
    np.testing.assert_array_equal(ask(server, dimensions=16), hashed(TEXTS))
    path, headers, request = server.seen[0]
    assert path == "/v1/embeddings"
    assert request == {"model": "m", "input": TEXTS, "dimensions": 16, "encoding_format": "base64"}
    assert "Authorization" not in headers


def test_floats_are_taken_where_base64_is_not(server):
    server.base64 = False
    service = EmbeddingService(server.address, "m")
    np.testing.assert_array_equal(service.embed(TEXTS, 16), hashed(TEXTS))
    np.testing.assert_array_equal(service.embed(TEXTS, 16), hashed(TEXTS))
    assert ["encoding_format" in request for _, _, request in server.seen] == [True, False, False]
    assert service.tokens == 18


def test_an_empty_text_is_sent_as_a_blank(server):
    ask(server, ["", "one"])
    assert server.seen[0][2]["input"] == [" ", "one"]


def test_rows_are_put_in_order_by_their_index(server):
    server.faults[:] = [reversed_order]
    np.testing.assert_array_equal(ask(server), hashed(TEXTS))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[0].update(index=1), "index 1 twice"),
        (lambda data: data[0].update(index=3), "has the index 3, expected 0 to 2"),
        (lambda data: data[0].update(index=True), "has the index True"),
        (lambda data: data[0].pop("index"), "has the index None"),
        (lambda data: data[:2], "2 vectors for 3 texts"),
        (lambda data: data * 2, "6 vectors for 3 texts"),
        (lambda data: data[1].update(embedding=[1.0]), "vectors of 1 and of 16 numbers"),
        (lambda data: data[1].update(embedding=[]), "vector 1 of its answer is empty"),
        (lambda data: data[1].update(embedding=["a"] * 16), "expected numbers"),
        (lambda data: data[1].update(embedding="no base64!"), "expected numbers"),
        (lambda data: data[1].update(embedding=None), "expected numbers"),
        (lambda data: data[1].update(embedding=[[1.0]]), "expected numbers"),
        (lambda data: ["a", "b", "c"], "has the index None"),
    ],
)
def test_an_answer_that_does_not_fit_the_texts_is_refused(server, change, message):
    assert message in refused(server, changed(change))
    assert len(server.seen) == 1


def test_numbers_beyond_float32_and_nan_come_as_they_are(server):
    server.faults[:] = [changed(lambda data: data[0].update(embedding=[float("nan")] * 15 + [1e300]))]
    row = ask(server)[0]
    assert np.isnan(row[:15]).all()
    assert np.isinf(row[15])


def test_pages_and_other_json_say_that_the_address_may_be_wrong(server):
    html = b"<html><title>Sign in</title>"
    message = refused(server, lambda handler, texts: handler.reply(html, kind="text/html; charset=utf-8"))
    assert "text/html that is no JSON (<html><title>Sign in</title>)" in message
    assert "/v1" in message
    assert "no list `data`: {'object': 'list'}" in refused(server, status(200, b'{"object": "list"}'))
    assert "no list `data`" in refused(server, status(200, b"[]"))
    assert "is no JSON" in refused(server, status(200, b"[" * 100_000))


@pytest.mark.parametrize("code", [429, 500, 503, 529])
def test_what_passes_is_tried_again(server, code):
    server.faults[:] = [status(code), status(code)]
    np.testing.assert_array_equal(ask(server), hashed(TEXTS))
    assert len(server.seen) == 3


def test_tries_have_an_end_and_the_message_counts_them(server):
    message = refused(server, *[status(503, b'{"error": {"message": "over\\nloaded"}}')] * 9)
    assert "HTTP 503, 'over loaded', after 6 tries" in message
    assert len(server.seen) == module.TRIES


def test_retry_after_is_obeyed(server):
    server.faults[:] = [status(429, retry_after="0.3")]
    start = time.monotonic()
    ask(server)
    assert time.monotonic() - start >= 0.3


def test_nobody_waits_for_longer_than_patience(server):
    start = time.monotonic()
    message = refused(server, status(429, retry_after="3600"))
    assert "after 1 try and 0 s of waiting, it asks to wait 3600 s more" in message
    message = refused(server, status(503, retry_after="Fri, 31 Dec 2999 23:59:59 GMT"))
    assert "it asks to wait" in message
    assert "inf" in refused(server, status(503, retry_after="inf"))
    assert time.monotonic() - start < 5
    server.faults[:] = [status(429, retry_after="soon"), status(429, retry_after="-5")]
    ask(server)


def test_an_account_without_money_is_not_asked_again(server):
    message = refused(server, status(429, b'{"error": {"code": "insufficient_quota", "message": "You exceeded"}}'))
    assert "HTTP 429, 'You exceeded'" in message
    assert len(server.seen) == 1


def test_other_refusals_are_told_at_once(server):
    assert "HTTP 404" in refused(server, status(404))
    assert "ends in /v1" in refused(server, status(404))
    message = refused(server, *[status(400, b'{"error": {"message": "too long"}}')] * 9, texts=["a" * 50_000])
    assert "HTTP 400 for 'aaa" in message
    assert "of 50,000 characters, 'too long'" in message
    assert len(message) < 300


def test_a_service_that_takes_fewer_texts_gets_fewer(server):
    server.most_texts = 4
    texts = [f"text {i}" for i in range(30)]
    service = EmbeddingService(server.address, "m")
    np.testing.assert_array_equal(service.embed(texts, 16), hashed(texts))
    assert service.batch <= 4
    assert [len(batch) for batch in service.batches(texts)][:2] == [service.batch] * 2


def test_batches_hold_few_enough_texts_and_characters():
    service = EmbeddingService("http://localhost/v1", "m", batch=3)
    texts = ["a"] * 4 + ["b" * 150_000, "c" * 60_000, "d" * 900_000, "e"]
    batches = list(service.batches(texts))
    assert [[len(text) for text in batch] for batch in batches] == [
        [1, 1, 1],
        [1, 150_000],
        [60_000],
        [900_000],
        [1],
    ]
    assert list(service.batches([])) == []


def test_a_slow_service_is_given_up(server):
    start = time.monotonic()
    message = refused(server, *[slow(1.0)] * 9, timeout=0.1, patience=0.015)
    assert "no answer within 0.1 s, after" in message
    message = refused(server, *[dripping(3.0)] * 9, timeout=0.2, patience=0)
    assert "no answer within 0.2 s, after 1 try" in message
    assert time.monotonic() - start < 2.5


def test_an_answer_that_breaks_off_is_asked_for_again(server):
    server.faults[:] = [cut_off, hung_up]
    np.testing.assert_array_equal(ask(server), hashed(TEXTS))
    assert "cut off" in refused(server, *[cut_off] * 9)


def test_a_huge_answer_is_not_read_to_its_end(server):
    message = refused(server, huge)
    assert f"more than {BYTES_AT_LEAST + 3 * (16 * 32 + 1024):,} bytes" in message
    message = refused(server, status(200, b" " * (1 << 21)))
    assert "its answer has 2,097,152 bytes, expected at most" in message
    assert len(server.seen) == 2


def test_nobody_listens():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(EmbedderError, match=f"127.0.0.1:{port}/v1.*: nobody listens there"):
        EmbeddingService(f"http://127.0.0.1:{port}/v1", "m").embed(TEXTS)


def test_connections_stay_open_and_a_closed_one_is_opened_again(server):
    service = EmbeddingService(server.address, "m")
    for _ in range(3):
        service.embed(TEXTS, 16)
    assert server.connections == 1
    server.faults[:] = [hung_up]
    service.embed(TEXTS, 16)
    assert server.connections == 2
    assert len(server.seen) == 5


def test_the_key_is_sent_and_never_shown(server, monkeypatch):
    monkeypatch.setenv(KEY, f"{SECRET}\n")
    service = EmbeddingService(server.address, "m")
    service.embed(TEXTS, 16)
    assert server.seen[0][1]["Authorization"] == f"Bearer {SECRET}"
    assert SECRET not in repr(service) + repr(pickle.dumps(service))
    for code in (401, 404, 500):
        body = f'{{"error": {{"message": "bad key {SECRET} given"}}}}'.encode()
        assert SECRET not in refused(server, *[status(code, body)] * 9)
    assert f"HTTP 401, the key is refused: set {KEY}" in refused(server, status(401))
    monkeypatch.delenv(KEY)
    assert f"it wants a key: set {KEY}" in refused(server, status(401))
    again = pickle.loads(pickle.dumps(EmbeddingService(server.address, "m", api_key=SECRET)))
    again.embed(TEXTS, 16)
    assert "Authorization" not in server.seen[-1][1]


def test_openais_key_is_for_openai_alone(server, monkeypatch):
    monkeypatch.setenv(OPENAI_KEY, SECRET)
    ask(server)
    assert "Authorization" not in server.seen[0][1]
    assert EmbeddingService("https://api.openai.com/v1")._key == SECRET
    assert EmbeddingService("https://api.openai.com.example.org/v1")._key == ""


def test_redirects_keep_the_request_and_not_the_key(server):
    with running() as other:
        server.faults[:] = [status(307, location=f"{other.address}/embeddings")]
        rows = ask(server, api_key=SECRET)
        np.testing.assert_array_equal(rows, hashed(TEXTS))
        assert server.seen[0][1]["Authorization"]
        assert "Authorization" not in other.seen[0][1]
        assert other.seen[0][2] == server.seen[0][2]
        server.faults[:] = [status(308, location="/v2/embeddings")]
        ask(server, api_key=SECRET)
        assert server.seen[-1][0] == "/v2/embeddings"
        assert server.seen[-1][1]["Authorization"]
        assert "redirects more than 3 times" in refused(server, *[status(307, location="/again")] * 9)
        found = status(302, location=f"http://user:{SECRET}@127.0.0.1/login?next={SECRET}")
        message = refused(server, found)
        assert "it redirects to http://127.0.0.1/login (HTTP 302): give that address" in message
        assert SECRET not in message
        for odd in ("file:///etc/passwd", "ftp://127.0.0.1/"):
            assert "give that address" in refused(server, status(307, location=odd))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("api.openai.com/v1", "write it like https://"),
        ("ftp://host/v1", "write it like https://"),
        ("https://", "write it like https://"),
        ("https://host:port/v1", "write it like https://"),
        ("https://ho st/v1", "write it like https://"),
        ("https://höst/v1", "write it like https://"),
        ("https://host\n/v1", "write it like https://"),
        (f"https://user:{SECRET}@host/v1", "holds a password"),
        ("", "write it like https://"),
    ],
)
def test_addresses_that_are_none(address, message):
    with pytest.raises(ConfigError, match=message) as raised:
        EmbeddingService(address)
    assert SECRET not in str(raised.value)


def test_what_is_secret_in_an_address_is_not_shown():
    service = EmbeddingService(f"https://host:8443/openai/embeddings?key={SECRET}#{SECRET}", "m")
    assert service.address == "https://host:8443/openai"
    assert service._url == f"https://host:8443/openai/embeddings?key={SECRET}"


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("127.0.0.1", True),
        ("[::1]", True),
        ("10.1.2.3", True),
        ("embedder", True),
        ("vllm.models.svc", True),
        ("8.8.8.8", False),
        ("api.example.org", False),
    ],
)
def test_a_key_goes_over_open_networks_encrypted(host, near):
    if near:
        EmbeddingService(f"http://{host}/v1", api_key=SECRET)
    else:
        with pytest.raises(ConfigError, match="unencrypted") as raised:
            EmbeddingService(f"http://{host}/v1", api_key=SECRET)
        assert SECRET not in str(raised.value)
    EmbeddingService(f"http://{host}/v1")
    EmbeddingService(f"https://{host}/v1", api_key=SECRET)


@pytest.mark.parametrize(
    "setting",
    [{"dimensions": 0}, {"dimensions": 1.5}, {"batch": 0}, {"timeout": 0}, {"patience": -1}, {"api_key": "a\nb"}],
)
def test_settings_out_of_range(setting):
    with pytest.raises(ConfigError):
        EmbeddingService("https://host/v1", "m", **setting)


def test_a_proxy_of_the_environment_is_used(server, monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("http_proxy", server.address.removesuffix("/v1").replace("//", "//me:pass@"))
    EmbeddingService("http://models.example.org/v1", "m").embed(TEXTS, 16)
    path, headers, _ = server.seen[0]
    assert path == "http://models.example.org/v1/embeddings"
    assert headers["Host"] == "models.example.org"
    assert headers["Proxy-Authorization"] == "Basic bWU6cGFzcw=="
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    ask(server)
    assert server.seen[1][0] == "/v1/embeddings"
