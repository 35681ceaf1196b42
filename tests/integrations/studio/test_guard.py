"""Who may ask, and what every answer says to the browser."""

import anyio
import pytest
from starlette.testclient import TestClient

from steersearch.errors import ConfigError
from steersearch.integrations.studio.app import make_app
from steersearch.integrations.studio.guard import LARGEST_BODY, Guard
from steersearch.integrations.studio.studio import Studio

TOKEN = "a-token-of-some-length"
STATE = {"query": "names"}
WRITES = [
    ("PUT", "/api/concepts/mine", {"key": {"feature": 1}}),
    ("DELETE", "/api/concepts/mine", None),
    ("PUT", "/api/snapshots/mine", {"state": STATE}),
    ("DELETE", "/api/snapshots/mine", None),
    ("POST", "/api/judgments", {"query": "names", "id": "classes-1", "grade": 1}),
    ("POST", "/api/features/1/edit", {"action": "hide"}),
]


def ask(client, method, path, body=None, **headers):
    return (
        client.request(method, path, json=body, headers=headers)
        if body is not None
        else client.request(method, path, headers=headers)
    )


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:1", "localhost.:8766", "192.168.0.7", "", "[::"]
)
def test_a_name_that_leads_here_is_refused(client, host):
    for path in ("/api/info", "/"):
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == 421
        assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:8766", "LOCALHOST", "[::1]:8766"])
def test_names_of_this_machine_are_answered(client, host):
    assert client.get("/api/info", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://127.0.0.1:8766.evil.example", "null", "http://127.0.0.1:9"]
)
def test_pages_of_others_are_refused(client, origin):
    for method, path, body in [("POST", "/api/search", STATE), *WRITES]:
        assert ask(client, method, path, body, origin=origin).status_code == 403


def test_its_own_page_is_answered(client):
    headers = {"origin": "http://127.0.0.1:8766", "sec-fetch-site": "same-origin"}
    assert client.post("/api/search", json=STATE, headers=headers).status_code == 200
    assert client.post("/api/search", json=STATE, headers={"sec-fetch-site": "cross-site"}).status_code == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_form_is_no_request(client, kind):
    answer = client.post("/api/search", content=b'{"query": "names"}', headers={"content-type": kind})
    assert answer.status_code == 415


def test_every_answer_has_the_headers(client):
    for path, headers in [("/api/info", {}), ("/", {}), ("/api/none", {}), ("/api/info", {"host": "evil.example"})]:
        answer = client.get(path, headers=headers)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers


def test_only_who_has_the_token_gets_in(tiny_index):
    client = TestClient(make_app(Studio(tiny_index), hosts=None, token=TOKEN), base_url="http://somewhere:8766")
    assert client.get("/api/info").status_code == 401
    for wrong in (f"Bearer {TOKEN}x", TOKEN, "Bearer ", f"bearer {TOKEN}", "Bearer \xff"):
        assert client.get("/api/info", headers={"authorization": wrong.encode("latin-1")}).status_code == 401
    twice = [("authorization", f"Bearer {TOKEN}"), ("authorization", f"Bearer {TOKEN}")]
    assert client.get("/api/info", headers=twice).status_code == 401
    assert client.get("/api/info", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(("hosts", "token"), [(None, None), (None, "short"), (("localhost",), "with a blank in it")])
def test_a_token_is_needed_and_is_a_secret(tiny_index, hosts, token):
    with pytest.raises(ConfigError, match="token"):
        make_app(Studio(tiny_index), hosts=hosts, token=token)


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_nothing_is_written_unless_it_is_allowed(reader, tiny_index, method, path, body):
    answer = ask(reader, method, path, body)
    assert answer.status_code == 403
    assert "--allow-write" in answer.json()["error"]
    assert not tiny_index.path.with_name("index.studio").exists()


@pytest.mark.parametrize("size", [LARGEST_BODY + 1, 10 * LARGEST_BODY])
def test_a_large_body_is_not_read(client, size):
    answer = client.post("/api/search", content=b" " * size, headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_a_body_without_a_length_is_bounded_too():
    read, sent = [], []

    async def receive():
        read.append(1)
        return {"type": "http.request", "body": b" " * 500_000, "more_body": True}

    async def send(message):
        sent.append(message)

    async def never(scope, receive, send):
        raise AssertionError

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/api/search", "headers": headers}
    anyio.run(Guard(never), scope, receive, send)
    assert sent[0]["status"] == 413
    assert len(read) < 10


@pytest.mark.parametrize(
    "path",
    [
        *("/../pyproject.toml", "/%2e%2e/app.py", "/..%2fapp.py", "/page/../app.py", "//etc/passwd", "/etc/passwd"),
        *("/.git/config", "/index.html/", "/%00", "/core/../../app.py", "/..\\app.py", "/guard.py"),
    ],
)
def test_no_file_outside_the_page(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text


@pytest.mark.parametrize(
    "name",
    ["..", "../x", "a/b", "..%2fx", ".hidden", "a\\b", "con", "NUL.txt", "x" * 81, "%00", "a%0ab", "x:y", " "],
)
def test_names_stay_in_their_folder(client, tiny_index, name):
    before = sorted(path for path in tiny_index.path.parent.rglob("*") if "index.studio" not in str(path))
    for kind, body in (("concepts", {"key": {"feature": 1}}), ("snapshots", {"state": STATE})):
        assert client.put(f"/api/{kind}/{name}", json=body).status_code in (400, 404, 405)
    studio = tiny_index.path.with_name("index.studio")
    assert not [path for path in studio.rglob("*") if path.is_file()]
    assert sorted(path for path in tiny_index.path.parent.rglob("*") if "index.studio" not in str(path)) == before
