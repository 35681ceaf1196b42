"""`make_app`: the studio as an ASGI application: JSON under ``/api/``, the page everywhere else.

Work is done in threads and never cut off: a tab that is closed meanwhile gets no answer, and the next one finds it.
"""

from __future__ import annotations

import json
import logging
import mimetypes
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from ...errors import IndexLockedError, MissingExtraError, SteersearchError, StorageError, UnknownFeatureError
from ...json_values import finite_json
from ...text import one_line, shown
from ..optional import needs
from .actions import GET, ROUTES, Forbidden, NotThere
from .guard import LOOPBACK, Application, Guard
from .requests import read_json
from .studio import Studio

with needs("starlette", "uvicorn", pip="'steersearch[studio]'"):
    import anyio.to_thread
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

logger = logging.getLogger(__name__)

PAGE = Path(__file__).with_name("page")
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
Values: TypeAlias = Mapping[str, Any]


def make_app(
    studio: Studio, *, hosts: tuple[str, ...] | None = LOOPBACK, token: str | None = None, page: Path = PAGE
) -> Application:
    """Return the application of a studio.

    Args:
        studio: What answers.
        hosts: Names that requests may give this server; None for any, which takes a token.
        token: What requests to ``/api`` must bring; None for no token.
        page: The folder of the page.

    Raises:
        ConfigError: As `Guard`.
    """
    routes = [
        Route(f"/api/{path}", partial(_answer, studio, method, answer), methods=[method])
        for method, path, answer in ROUTES
    ]
    files = {f"/{path.relative_to(page).as_posix()}": path for path in page.rglob("*") if path.is_file()}
    if "/index.html" in files:
        files["/"] = files["/index.html"]
    routes.append(Route("/{name:path}", partial(_file, files), methods=["GET"]))
    handlers: Any = {HTTPException: _http_error, Exception: _fault}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), hosts, token)


async def _answer(studio: Studio, method: str, answer: Callable[..., Any], request: Request) -> Response:
    """Answer a request of the interface, in a thread."""
    body = b"" if method in (GET, "DELETE") else await request.body()
    values: dict[str, Any] = {**request.query_params} if method == GET else {}

    def work() -> Response:
        try:
            if method not in (GET, "DELETE"):
                values.update(body=read_json(body))
            return _json(answer(studio, **request.path_params, values=values))
        except SteersearchError as error:
            return _json({"error": one_line(str(error), 2_000)}, status_of(error))
        except RecursionError:
            return _json({"error": "the request is nested too deeply: send it flatter"}, 400)

    return await anyio.to_thread.run_sync(work)


def status_of(error: SteersearchError) -> int:
    """Return the status of an error of ours."""
    if isinstance(error, NotThere | UnknownFeatureError):
        return 404
    if isinstance(error, Forbidden):
        return 403
    if isinstance(error, IndexLockedError):
        return 409
    if isinstance(error, MissingExtraError):
        return 501
    return 503 if isinstance(error, StorageError) else 400


async def _file(files: Mapping[str, Path], request: Request) -> Response:
    """Send a file of the page. Only those that were there when the studio opened have a name."""
    path = files.get(request.url.path)
    if path is None or request.url.path.startswith("/api/"):
        raise HTTPException(404)
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    content = await anyio.to_thread.run_sync(path.read_bytes)
    return Response(content, media_type=kind)


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 400
    what = {404: "there is nothing at", 405: "this cannot be done with"}.get(status, "this cannot be answered:")
    return _json({"error": f"{what} {shown(request.url.path)}"}, status)


async def _fault(request: Request, error: Exception) -> Response:
    """Answer where something of ours is wrong."""
    logger.error("%s failed: %s: %s", request.url.path, type(error).__name__, one_line(str(error), 500))
    return _json({"error": f"this is a fault of steersearch ({type(error).__name__}): please report it"}, 500)


def _json(value: Any, status: int = 200) -> Response:
    return Response(json_bytes(value), status, media_type="application/json")


def json_bytes(value: Any) -> bytes:
    """Return JSON. What JSON lacks is null, and half of a character pair is an escape."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(finite_json(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace")
