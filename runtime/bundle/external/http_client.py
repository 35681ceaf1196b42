"""`HttpClient`: POST requests to one address with a time limit, a size limit, proxies and careful redirects."""

from __future__ import annotations

import ssl
import weakref
from base64 import b64encode
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from threading import Timer
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from ....forks import renew_after_fork

REDIRECTS = 3
_BLOCK = 1 << 16
_MOVED, _SAME_METHOD = (301, 302, 303, 307, 308), (307, 308)
_SECRET = ("authorization",)


class NoAnswerError(Exception):
    """There was no whole answer; the message says why. A second try may help where `again`."""

    def __init__(self, reason: str, *, again: bool = True) -> None:
        super().__init__(reason)
        self.again = again


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


class HttpClient:
    """Sends POST requests to one address over connections that stay open. Threads may share one.

    Proxies are those of the environment, as `urllib` reads them. Certificates are verified.

    Args:
        url: Where to, ``http`` or ``https``.
        timeout: Seconds from the start of a request to the last byte of its answer.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._url, self._timeout = urlsplit(url), timeout
        self._context: ssl.SSLContext | None = None
        self._idle: list[HTTPConnection] = []
        weakref.finalize(self, _close_all, self._idle)
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Forget the connections of the parent: two processes must not talk over one."""
        _close_all(self._idle)

    def post(self, body: bytes, headers: Mapping[str, str], most: int) -> Answer:
        """Send a request and return the answer, at most `most` bytes of it.

        A redirect that keeps the method (307, 308) is followed, without the key where it leads to another host or port.

        Raises:
            NoAnswerError: The server is not reached, does not answer in time, answers too much, or redirects in a way
                that is not followed.
        """
        url, sent = self._url, dict(headers)
        for _ in range(REDIRECTS + 1):
            answer = self._send(url, body, sent, most)
            if answer.status not in _MOVED:
                return answer
            found = urlsplit(urljoin(url.geturl(), answer.headers.get("location", "")))
            where = f"{found.scheme}://{found.netloc.rpartition('@')[2]}{found.path}"
            safe = found.scheme == "https" or (found.scheme == "http" and url.scheme == "http")
            if answer.status not in _SAME_METHOD or not found.hostname or not safe:
                raise NoAnswerError(f"it redirects to {where} (HTTP {answer.status}): give that address", again=False)
            if _origin(found) != _origin(url):
                sent = {name: value for name, value in sent.items() if name.lower() not in _SECRET}
            url = found
        raise NoAnswerError(f"it redirects more than {REDIRECTS} times", again=False)

    def _send(self, url: SplitResult, body: bytes, headers: Mapping[str, str], most: int) -> Answer:
        own = _origin(url) == _origin(self._url)
        while own:
            try:
                connection = self._idle.pop()
            except IndexError:
                # Another thread may have taken the last one.
                break
            try:
                return self._exchange(connection, url, body, headers, most, own)
            except NoAnswerError as error:
                # The server closed it meanwhile, which says nothing about this request.
                if not isinstance(error.__cause__, ConnectionError):
                    raise
        return self._exchange(self._connection(url), url, body, headers, most, own)

    def _exchange(
        self,
        connection: HTTPConnection,
        url: SplitResult,
        body: bytes,
        headers: Mapping[str, str],
        most: int,
        own: bool,
    ) -> Answer:
        late: list[bool] = []
        # The timeout of a socket counts anew with every byte, and a slow server sends one from time to time.
        clock = Timer(self._timeout, _give_up, (connection, late))
        clock.daemon = True
        clock.start()
        kept = False
        try:
            connection.request("POST", self._target(url), body, {**headers, **self._for_proxy(url)})
            # A response that is the last of its connection has to be closed by itself.
            with connection.getresponse() as response:
                content = _read(response, most)
            if late:
                raise TimeoutError
            kept = own and not response.will_close
            return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, content)
        except (OSError, HTTPException, ValueError) as error:
            if late or isinstance(error, TimeoutError):
                # Without a cause: only what a closed connection caused is tried over a new one at once.
                raise NoAnswerError(f"no answer within {self._timeout:g} s") from None
            raise NoAnswerError(_reason(error), again=not isinstance(error, _FINAL)) from error
        finally:
            clock.cancel()
            if kept and not late:
                self._idle.append(connection)
            else:
                connection.close()

    def _target(self, url: SplitResult) -> str:
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        return f"http://{url.netloc}{path}" if url.scheme == "http" and _proxy(url) else path

    def _for_proxy(self, url: SplitResult) -> dict[str, str]:
        proxy = _proxy(url) if url.scheme == "http" else None
        return _authorisation(proxy) if proxy else {}

    def _connection(self, url: SplitResult) -> HTTPConnection:
        host, port = url.hostname or "", url.port
        proxy = _proxy(url)
        at = (proxy.hostname or "", proxy.port or 80) if proxy else (host, port)
        if url.scheme == "http":
            return HTTPConnection(*at, timeout=self._timeout)
        if self._context is None:
            self._context = ssl.create_default_context()
        connection = HTTPSConnection(*at, timeout=self._timeout, context=self._context)
        if proxy:
            connection.set_tunnel(host, port or 443, _authorisation(proxy))
        return connection


_FINAL = (ssl.SSLCertVerificationError, ConnectionRefusedError, ValueError)
"""Errors that a second try a moment later will not mend: a wrong certificate, nobody who listens, a wrong address."""


def _read(response: HTTPResponse, most: int) -> bytes:
    if (response.length or 0) > most:
        raise ValueError(f"its answer has {response.length:,} bytes, expected at most {most:,}")
    parts, size = [], 0
    while block := response.read(_BLOCK):
        parts.append(block)
        size += len(block)
        if size > most:
            raise ValueError(f"its answer has more than {most:,} bytes")
    if response.length:
        raise ConnectionError("its answer was cut off")
    return b"".join(parts)


def _give_up(connection: HTTPConnection, late: list[bool]) -> None:
    late.append(True)
    # Closing alone does not wake the thread that waits for it.
    if connection.sock is not None:
        try:
            connection.sock.shutdown(2)
        except OSError:
            pass


def _proxy(url: SplitResult) -> SplitResult | None:
    """Return the proxy for an address; None where there is none."""
    found = getproxies().get(url.scheme)
    if not found or proxy_bypass(url.netloc.rpartition("@")[2]):
        return None
    return urlsplit(found if "://" in found else f"http://{found}")


def _authorisation(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _close_all(connections: list[HTTPConnection]) -> None:
    while connections:
        connections.pop().close()
