"""Texts far longer than an embedder reads, with the tokenizer of all-MiniLM-L6-v2."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from steersearch.runtime.bundle.onnx_embedder import MAX_CHARACTERS, OnnxEmbedder
from steersearch.runtime.bundle.onnx_session import open_session

from .test_embedder import write_graph

LENGTH = 256


@pytest.fixture(scope="module")
def tokenizer_file() -> Path:
    sources = pytest.importorskip("steersearch.training.embedder_source", reason="needs the extra train")
    source = sources._packaged_minilm()
    if source is None:
        pytest.skip("needs the extra minilm")
    return Path(source.path_or_name) / "tokenizer.json"


@pytest.fixture(scope="module")
def whole(tokenizer_file) -> Tokenizer:
    """The tokenizer as it reads a text that nobody cut."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LENGTH)
    return tokenizer


@pytest.fixture(scope="module")
def embedder(tokenizer_file, tmp_path_factory) -> OnnxEmbedder:
    graph = write_graph(tmp_path_factory.mktemp("graph") / "embedder.onnx")
    return OnnxEmbedder(open_session(graph), tokenizer_file, LENGTH, 4)


def rest(characters: int, end: str) -> str:
    """One endless word and then an end, so many characters together."""
    return "x" * (characters - len(end)) + end


@pytest.mark.parametrize("around", [-1, 0, 1])
@pytest.mark.parametrize("size", [LENGTH * 32, LENGTH * 32 * 8, pytest.param(MAX_CHARACTERS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("unit", ["a solar storm, ", "\N{ROCKET}", "漢字", "naïve-ish ", "x" * 3000 + " ", "\x00b "])
def test_tokens_do_not_depend_on_the_cut(embedder, whole, unit, size, around):
    # At every size at which the embedder looks again.
    text = (unit * (size // len(unit) + 2))[: size + around]
    assert embedder.tokenise([text])[0].tolist() == whole.encode(text.strip()).ids


@pytest.mark.slow
@pytest.mark.parametrize("around", [-1, 0])
@pytest.mark.parametrize("end", [" solar storm", " " * 300 + "storm", "\N{ROCKET} storm", ", storm"])
def test_what_follows_an_endless_word_counts_up_to_the_cap(embedder, whole, end, around):
    text = rest(MAX_CHARACTERS + around, end)
    ids = embedder.tokenise([text])[0].tolist()
    assert ids == whole.encode(text).ids
    assert ids[-2] == whole.token_to_id("storm")


def test_what_follows_beyond_the_cap_does_not_count(embedder, whole):
    text = rest(MAX_CHARACTERS, "") + " solar storm"
    assert embedder.tokenise([text])[0].tolist() == whole.encode("x" * 500).ids
    assert whole.encode(text).ids != whole.encode("x" * 500).ids  # so it is the cap that this shows


def test_a_megabyte_of_one_word_is_one_unknown_word(embedder, whole):
    started = time.process_time()
    rows = embedder.tokenise(["x" * 10**6, "x" * 10**6 + " storm", "storm"])
    assert time.process_time() - started < 5
    unknown, storm = whole.token_to_id("[UNK]"), whole.token_to_id("storm")
    assert [row.tolist()[1:-1] for row in rows] == [[unknown], [unknown, storm], [storm]]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("character", ["x", " ", "\N{COMBINING ACUTE ACCENT}", "\N{ZERO WIDTH JOINER}", "\x00"])
def test_memory_for_48_megabytes_of_nothing(embedder, tokenizer_file, tmp_path, character):
    write_graph(tmp_path / "embedder.onnx")
    code = f"""
    import re
    from steersearch.runtime.bundle.onnx_embedder import OnnxEmbedder
    from steersearch.runtime.bundle.onnx_session import open_session
    embedder = OnnxEmbedder(open_session({str(tmp_path / "embedder.onnx")!r}), {str(tokenizer_file)!r}, {LENGTH}, 4)
    character = {character!r}
    text = "a" + character * (48_000_000 // len(character.encode())) + " b"
    embedder.tokenise(["warm", text.encode().decode()[:1000]])
    # Not ru_maxrss, which begins with what the process that started this one held.
    peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
    before = peak()
    embedder.tokenise([text, "b"])
    print((peak() - before) * 1024)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 400_000_000  # without the cap: 4.6 GB for one word
