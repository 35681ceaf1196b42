"""Serving a studio on a socket."""

from __future__ import annotations

import socket

import uvicorn

from ...errors import ConfigError
from ...text import shown
from .guard import LOOPBACK, Application

PORT = 8766
"""Where a studio is, so that a link is good tomorrow too."""
GRACE = 2
"""Seconds for answers that are being written when the studio ends."""


def bind(host: str, port: int | None) -> socket.socket:
    """Return a bound socket, at `PORT`, or at a free port where that is taken, if none is given.

    Raises:
        ConfigError: The port is taken, or the host is no address of this machine.
    """
    last: Exception | None = None
    for tried in (PORT, 0) if port is None else (port,):
        try:
            return _bound(host, tried)
        # ValueError and TypeError: a text that can be no address.
        except (OSError, ValueError, TypeError, OverflowError) as error:
            last = error
    raise ConfigError(
        f"{shown(host)} port {port or PORT} cannot be used ({getattr(last, 'strerror', None) or last}): "
        "choose another --port, or 0 for a free one"
    ) from last


def address_of(bound: socket.socket, token: str | None) -> str:
    """Return what a browser opens."""
    host, port = bound.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    if host in ("0.0.0.0", "::"):
        name = socket.gethostname()
    return f"http://{name}:{port}/" + ("" if token is None else f"?token={token}")


def hosts_of(host: str) -> tuple[str, ...] | None:
    """Return the names that requests may give a server on this address; None for any, where it is no loopback."""
    return LOOPBACK if host in LOOPBACK else None


def run(application: Application, bound: socket.socket) -> None:
    """Serve until Ctrl-C, which is passed on as KeyboardInterrupt."""
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    uvicorn.Server(config).run(sockets=[bound])


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except BaseException:
        made.close()
        raise
    return made
