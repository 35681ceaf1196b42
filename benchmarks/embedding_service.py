"""A service on this machine that speaks OpenAI's /v1/embeddings, with a bundle's own embedder behind it.

    python -m benchmarks.embedding_service --bundle bundle [--port 8080]

Stands in for a paid service in examples and measurements: any model name is taken, vectors are those of the bundle.
"""

from __future__ import annotations

import argparse
import base64
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from steersearch.errors import SteersearchError
from steersearch.runtime import Bundle


class Service(ThreadingHTTPServer):
    """Answers POST /v1/embeddings on the loopback; port 0 takes a free one."""

    daemon_threads = True

    def __init__(self, bundle: Bundle, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.bundle = bundle

    @property
    def address(self) -> str:
        """The base URL that clients are given."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_POST(self) -> None:
        status: int
        try:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            texts = [request["input"]] if isinstance(request["input"], str) else request["input"]
            rows = self.server.bundle.embed_documents(texts)
            coded = request.get("encoding_format") == "base64"
            data = [
                {
                    "object": "embedding",
                    "index": i,
                    "embedding": base64.b64encode(row).decode() if coded else row.tolist(),
                }
                for i, row in enumerate(np.ascontiguousarray(rows, "<f4"))
            ]
            usage = {"prompt_tokens": 0, "total_tokens": 0}
            status, body = 200, {"object": "list", "model": request.get("model", ""), "data": data, "usage": usage}
        except (ValueError, KeyError, TypeError, SteersearchError) as error:
            status, body = 400, {"error": {"message": str(error), "type": "invalid_request_error"}}
        self._reply(status, body)

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--port", type=int, default=8080)
    args = parser.parse_args()
    with Service(Bundle.load(args.bundle), args.port) as service:
        print(f"embeddings at {service.address}", flush=True)
        service.serve_forever()


if __name__ == "__main__":
    main()
