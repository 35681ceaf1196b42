"""`sae features label` and `report` as a user meets them, with a language model behind a real local server too."""

import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from steersearch.cli import app
from steersearch.cli.output import console, stderr
from steersearch.errors import BundleError, ConfigError, DataError, IndexFolderError
from steersearch.runtime import Bundle, SteerableIndex


def sae(*arguments):
    return CliRunner().invoke(app, ["features", *map(str, arguments)])


@pytest.fixture
def folder(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("STEERSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(console, "_width", 200)
    monkeypatch.setattr(stderr, "_width", 200)
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


@pytest.fixture
def documents(topic_texts, tmp_path):
    path = tmp_path / "docs.jsonl"
    rows = [(f"{id}-{i}", text) for i in range(3) for id, text in zip(topic_texts.ids, topic_texts.texts, strict=True)]
    path.write_text("".join(json.dumps({"id": id, "text": text}) + "\n" for id, text in rows))
    return path


def test_label_then_list_show_and_report(folder, documents, tmp_path):
    result = sae("label", "--bundle", folder, "--data", documents)
    assert result.exit_code == 0, result.exception
    assert "latents fire on 180 documents" in result.output
    assert "held-out AUC, median" in result.output
    assert re.search(r"steers, median: .\.\d\d with a boost; of those that could be tested \d+ % read", result.output)
    listed = json.loads(sae("list", "--bundle", folder, "--clear", "--json").stdout)
    assert any(feature["steers"] is not None for feature in listed)
    assert all(feature["score"] >= 0.65 for feature in listed)
    shown = sae("show", listed[0]["name"], "--bundle", folder)
    assert shown.exit_code == 0
    assert "on held-out documents" in shown.stdout
    page = tmp_path / "report.html"
    written = json.loads(sae("report", "--bundle", folder, "--out", page, "--json").stdout)
    assert written == {"report": str(page), "bytes": page.stat().st_size}
    assert listed[0]["label"] in page.read_text()


def test_from_an_index_and_edits_stay(folder, topic_texts, tmp_path, monkeypatch):
    with SteerableIndex.create(tmp_path / "index", folder) as index:
        index.add(topic_texts.texts, topic_texts.ids)
    latent = next(feature.name for feature in Bundle.load(folder).features if feature.p95)
    assert sae("rename", latent, "my own words", "--bundle", folder).exit_code == 0
    result = sae("label", "--bundle", folder, "--index", tmp_path / "index", "--quick", "--json")
    assert result.exit_code == 0, result.exception
    figures = json.loads(result.stdout)
    assert figures["documents"] == 60
    kinds = [figures[name] for name in ("reads_and_steers", "only_reads", "only_steers", "neither")]
    assert sum(kinds) == pytest.approx(1, abs=1e-3)
    assert 0 <= figures["median_steers"] <= 1
    assert figures["clear"] + figures["unclear"] == figures["alive"] <= figures["latents"] == 64
    again = Bundle.load(folder)
    assert again.features.get("my own words").name == latent
    assert again.interpretation is not None
    with SteerableIndex.open(tmp_path / "index") as index:
        assert index.search("raise", boost={"my own words": 1.0})


def test_wrong_use(folder, documents, tiny_bundle, topic_texts, tmp_path):
    assert isinstance(sae("label", "--bundle", folder).exception, ConfigError)
    both = sae("label", "--bundle", folder, "--data", documents, "--index", "index")
    assert "either with --data FILE or with --index FOLDER" in str(both.exception)
    few = tmp_path / "few.txt"
    few.write_text("one\ntwo\n")
    assert isinstance(sae("label", "--bundle", folder, "--data", few).exception, DataError)
    assert isinstance(sae("report", "--bundle", folder).exception, BundleError)
    assert isinstance(sae("label", "--bundle", folder, "--index", tmp_path / "none").exception, IndexFolderError)
    assert Bundle.load(folder).interpretation is None


class Handler(BaseHTTPRequestHandler):
    """Answers as an OpenAI-compatible server does: the words of the first passage as labels."""

    asked = 0

    def do_POST(self):
        type(self).asked += 1
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = {
            "role": "assistant",
            "content": f'["an idea {Handler.asked}", "raised exceptions", "class attributes"]',
        }
        body = json.dumps(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": request["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def test_labels_of_a_language_model(folder, documents, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "local")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_address[1]}/v1")
    options = ("--bundle", folder, "--data", documents, "--quick", "--model", "openai:local-model", "--json")
    first = sae("label", *options, "--max-calls", 4)
    assert first.exit_code == 0, first.exception
    asked = json.loads(first.stdout)["asked"]
    assert asked["calls"] == Handler.asked == 4
    assert asked["stopped"]
    entries = Bundle.load(folder).interpretation.entries
    better = [entry for entry in entries if entry.source != "phrases"]
    assert len(better) == asked["labels"]
    again = json.loads(sae("label", *options, "--max-calls", 0).stdout)["asked"]
    assert (again["calls"], again["cached"], again["labels"]) == (0, 4, asked["labels"])
    server.shutdown()
    server.server_close()
