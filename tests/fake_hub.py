"""A Hugging Face hub on this machine: as much of its HTTP API as reading and writing a model needs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Files = dict[str, bytes]


class FakeHub:
    """Repositories in memory; start with `with`, and set HF_ENDPOINT to `endpoint`."""

    def __init__(self) -> None:
        self.commits: dict[str, list[tuple[str, Files]]] = {}
        self.requests: list[str] = []
        self.uploaded: Files = {}
        self.cut_short: str | None = None
        """A file whose content is broken off in the middle."""
        self.forbidden = False
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeHub:
        threading.Thread(target=self._server.serve_forever, daemon=True, kwargs={"poll_interval": 0.01}).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def commit(self, repo: str, files: Files) -> str:
        """Add a commit whose files are those of the last one and these; return its name."""
        known = self.commits.setdefault(repo, [])
        files = (known[-1][1] if known else {}) | files
        name = hashlib.sha1(repr((len(known), sorted(files.items()))).encode()).hexdigest()
        known.append((name, files))
        return name

    def find(self, repo: str, revision: str) -> tuple[str, Files] | None:
        """Return the commit of a branch or the commit itself."""
        known = self.commits.get(repo, [])
        if revision == "main":
            return known[-1] if known else None
        return next((commit for commit in known if commit[0] == revision), None)


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._read(body=False)

    def do_GET(self) -> None:
        self._read(body=True)

    def do_POST(self) -> None:
        self.hub.requests.append(f"POST {self.path}")
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.hub.forbidden:
            self._json({"error": "Unauthorized"}, 401)
        elif self.path == "/api/repos/create":
            asked = json.loads(data)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.hub.commits.setdefault(name, [])
            # huggingface_hub reads the name out of it, by the address of the real hub.
            self._json({"url": f"https://huggingface.co/{name}", "private": asked.get("private")})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [{"path": f["path"], "shouldIgnore": False} for f in json.loads(data)["files"]]
            for file in files:
                file["uploadMode"] = (
                    "lfs" if re.search(r"\.(onnx|data|gz|npz|safetensors)$", file["path"]) else "regular"
                )
            self._json({"files": files})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {
                    "oid": o["oid"],
                    "size": o["size"],
                    "actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{o['oid']}"}},
                }
                for o in json.loads(data)["objects"]
            ]
            self._json({"transfer": "basic", "objects": objects})
        elif "/commit/" in self.path:
            self._commit(data)
        else:
            self._json({"error": "unknown"}, 404)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.uploaded[hashlib.sha256(data).hexdigest()] = data
        self._json({})

    def _commit(self, data: bytes) -> None:
        files: Files = {}
        for line in map(json.loads, data.decode().splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.uploaded[value["oid"]]
        repo = re.fullmatch(r"/api/models/(.+)/commit/.+", self.path)
        assert repo is not None
        name = self.hub.commit(repo[1], files)
        self._json(
            {"commitUrl": f"https://huggingface.co/{repo[1]}/commit/{name}", "commitOid": name, "hookOutput": ""}
        )

    def _read(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.hub.requests.append(f"{self.command} {path}")
        if self.hub.forbidden:
            self._json({"error": "Unauthorized"}, 401)
            return
        if found := re.fullmatch(r"/api/models/(.+)/revision/(.+)", path):
            self._describe(found[1], found[2])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(found[1], found[2], found[3], body)
        else:
            self._json({"error": "unknown"}, 404)

    def _describe(self, repo: str, revision: str) -> None:
        commit = self.hub.find(repo, revision)
        if commit is None:
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            return
        siblings: list[dict[str, Any]] = [{"rfilename": n, "size": len(c), "blobId": "0"} for n, c in commit[1].items()]
        self._json({"id": repo, "modelId": repo, "sha": commit[0], "siblings": siblings, "tags": [], "private": False})

    def _file(self, repo: str, revision: str, name: str, body: bool) -> None:
        commit = self.hub.find(repo, revision)
        if commit is None or name not in commit[1]:
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        content = commit[1][name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit[0])
        self.end_headers()
        if body and name == self.hub.cut_short:
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif body:
            self.wfile.write(content)

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
