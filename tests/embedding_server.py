"""A server on the loopback that speaks OpenAI's /v1/embeddings, and misbehaves when it is told to."""

import base64
import hashlib
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np


def hashed(texts, width=16):
    """One unit vector per text, made of its checksum."""
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") for text in texts]
    rows = np.stack([np.random.default_rng(seed).standard_normal(width) for seed in seeds])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class EmbeddingServer(ThreadingHTTPServer):
    """Answers with the vectors of `embed`, unless `faults` has something else for the next request."""

    daemon_threads, block_on_close = True, False

    def __init__(self, embed=hashed):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.embed = embed
        self.faults = []
        """What is done with the next requests: functions of the handler and the texts; None answers well."""
        self.seen = []
        """(path, headers, request) of every request."""
        self.most_texts = 2048
        self.base64 = True
        self.connections = 0

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def texts(self):
        """All texts that were asked for."""
        return [text for _, _, request in self.seen for text in request["input"]]

    def get_request(self):
        self.connections += 1
        return super().get_request()

    def handle_error(self, request, client_address):
        pass  # clients hang up


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, dict(self.headers), request))
        self.request_fields, texts = request, request["input"]
        fault = self.server.faults.pop(0) if self.server.faults else None
        if fault is not None:
            fault(self, texts)
        elif len(texts) > self.server.most_texts:
            self.reply({"error": {"message": f"batch size {len(texts)} > {self.server.most_texts}"}}, 422)
        elif not self.server.base64 and "encoding_format" in request:
            self.reply({"error": "unknown field encoding_format"}, 400)
        else:
            self.answer(self.server.embed(texts))

    def answer(self, rows, order=None):
        order = range(len(rows)) if order is None else order
        coded = self.request_fields.get("encoding_format") == "base64"

        def number(row):
            return base64.b64encode(np.asarray(row, "<f4").tobytes()).decode() if coded else np.asarray(row).tolist()

        data = [{"object": "embedding", "index": i, "embedding": number(rows[i])} for i in order]
        self.reply({"object": "list", "data": data, "model": "m", "usage": {"total_tokens": 3 * len(rows)}})

    def reply(self, body, status=200, headers=(), kind="application/json"):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def running(embed=hashed):
    """Run a server in a thread."""
    server = EmbeddingServer(embed)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# Faults.


def status(code, body=b"", **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, texts: handler.reply(body, code, names)


def reversed_order(handler, texts):
    rows = handler.server.embed(texts)
    handler.answer(rows, order=range(len(rows))[::-1])


def changed(change):
    """The right answer after `change(data)`, as a list of numbers."""

    def fault(handler, texts):
        rows = handler.server.embed(texts)
        data = [{"index": i, "embedding": row.tolist()} for i, row in enumerate(rows)]
        handler.reply({"data": change(data) or data})

    return fault


def slow(seconds):
    def fault(handler, texts):
        time.sleep(seconds)
        handler.answer(handler.server.embed(texts))

    return fault


def dripping(seconds):
    """Sends its head at once and a byte now and then."""

    def fault(handler, texts):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.02)

    return fault


def cut_off(handler, texts):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data": [')
    handler.close_connection = True


def hung_up(handler, texts):
    handler.close_connection = True
    handler.connection.shutdown(2)


def huge(handler, texts):
    """Sends more than anybody asked for, without saying how much."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    for _ in range(200):
        handler.wfile.write(b" " * (1 << 16))
