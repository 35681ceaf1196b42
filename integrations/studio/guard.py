"""Who may ask: an ASGI application around the studio's, which refuses requests before anything reads them.

A page in a browser can send requests to any address of this machine. So a request must name this server as its host (a
name that leads here by DNS rebinding is another), come from a page of this server if it comes from a page, and bring
the token where there is one. Bodies are JSON and bounded.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from ...errors import ConfigError

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names of this machine in a request."""
SHORTEST_TOKEN = 16
LARGEST_BODY = 2_000_000
"""Bytes."""
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """An ASGI application that passes on what may be asked, and adds `HEADERS` to every answer.

    Args:
        application: What answers.
        hosts: Names that a request may give this server; None for any, which takes a token.
        token: What requests to ``/api`` must bring as ``Authorization: Bearer TOKEN``; None for no token.

    Raises:
        ConfigError: The token is too short to be a secret or cannot stand in a header, or is missing where any host is
            served.
    """

    def __init__(
        self, application: Application, hosts: tuple[str, ...] | None = LOOPBACK, token: str | None = None
    ) -> None:
        if token is not None and (
            len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token
        ):
            raise ConfigError(
                f"the token has {len(token)} characters: expected at least {SHORTEST_TOKEN} letters, digits and signs "
                "without blanks; leave it out for a random one"
            )
        if hosts is None and token is None:
            raise ConfigError("a studio that others can reach needs a token: give --token, or leave --host out")
        self._application, self._hosts = application, hosts
        self._header = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._application(scope, receive, send)
            return
        refusal = self._refusal(scope)
        body = b""
        if refusal is None and scope["method"] in ("POST", "PUT"):
            read = await _read(receive, _one(scope, b"content-length"))
            if read is None:
                refusal = 413, f"the body is larger than {LARGEST_BODY:,} bytes: send less"
            else:
                body = read
        if refusal is not None:
            await _refuse(send, *refusal)
            return
        sent = False

        async def receive_body() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_headers(scope["path"])]
            await send(message)

        await self._application(scope, receive_body, send_with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return the status and the reason of a request that is not answered."""
        host = _one(scope, b"host")
        name = _name_of(host)
        if name is None or (self._hosts is not None and name not in self._hosts):
            return 421, f"this studio is not called {host.decode('latin-1')[:80]!r}: open the address that it printed"
        origin = _one(scope, b"origin")
        if origin and urlsplit(origin.decode("latin-1")).netloc.encode("latin-1") != host:
            return 403, "the request comes from a page of another address: open the studio itself"
        site = _one(scope, b"sec-fetch-site")
        api = scope["path"].startswith("/api/")
        if api and site not in (b"", b"same-origin", b"none"):
            return 403, "the request comes from another page: open the studio itself"
        if api and self._header is not None:
            # The comparison takes equally long for every token.
            if not hmac.compare_digest(_one(scope, b"authorization"), self._header):
                return 401, "the token is missing or wrong: open the address with the token that `sae studio` printed"
        if scope["method"] in ("POST", "PUT"):
            # A form of another page cannot send this type without asking first.
            kind = _one(scope, b"content-type").split(b";")[0].strip().lower()
            if kind != b"application/json":
                return 415, "the body must be JSON: send the header Content-Type: application/json"
        return None


def _one(scope: Scope, name: bytes) -> bytes:
    """Return the value of a header; empty without one, and where it stands there more than once."""
    found = [value for key, value in scope.get("headers", ()) if key.lower() == name]
    return found[0] if len(found) == 1 else b""


def _name_of(host: bytes) -> str | None:
    """Return the name in a Host header without the port; None where there is none."""
    try:
        return urlsplit(f"//{host.decode('ascii')}").hostname
    except ValueError:
        return None


async def _read(receive: Receive, length: bytes) -> bytes | None:
    """Return a body; None for one that is too large, of which no more is read than that takes."""
    if length.isdigit() and int(length[:20]) > LARGEST_BODY:
        return None
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST_BODY:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _refuse(send: Send, status: int, why: str) -> None:
    body = json.dumps({"error": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *_headers("/api/")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 413:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _headers(path: str) -> list[tuple[bytes, bytes]]:
    cache = "no-store" if path.startswith("/api/") else "no-cache"
    return [(name.encode(), value.encode()) for name, value in {**HEADERS, "cache-control": cache}.items()]
