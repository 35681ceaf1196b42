"""The command line as a user meets it: real processes, exit codes, one line on stderr."""

import json
import os
import re
import subprocess
import sys

import pytest

COMMANDS = ("demo", "train", "export", "index", "search", "explain", "features", "eval")


def sae(*arguments, script="main", **env):
    code = f"from steersearch.cli import {script}; {script}()"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "120", "NO_COLOR": "1"} | env,
        timeout=120,
    )


def one_line(result, exit_code):
    assert result.returncode == exit_code, result.stderr
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.fixture(scope="module")
def documents(topic_texts, tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "docs.jsonl"
    rows = zip(topic_texts.ids, topic_texts.texts, topic_texts.metadata, strict=True)
    path.write_text("".join(json.dumps({"id": i, "text": t, "topic": m["topic"]}) + "\n" for i, t, m in rows))
    return path


@pytest.fixture(scope="module")
def index(documents, tiny_bundle):
    path = documents.parent / "index"
    result = sae("index", "--data", documents, "--bundle", tiny_bundle, "--out", path, "--json")
    assert result.returncode == 0, result.stderr
    figures = {"added": 60, "added_documents": 60, "cut": 0, "pieces": 60, "documents": 60}
    figures |= {"unchanged": 0, "replaced": 0, "dropped": 0}
    assert json.loads(result.stdout) == {"index": str(path), **figures, "problems": {}}
    return path


def test_help_teaches():
    top = sae("--help")
    assert top.returncode == 0
    for command in COMMANDS:
        assert command in top.stdout
        page = sae(command, "--help")
        assert page.returncode == 0
        assert len(page.stdout) > 300
    assert "--ckpt" in sae("--help", script="main_export").stdout
    assert sae("--version").stdout.startswith("steersearch ")


def test_an_empty_query_and_a_strength_after_a_colon_are_told(index):
    assert "the query is empty" in one_line(sae("search", " ", "--index", index), 2)
    told = sae("search", "a value", "--index", index, "--boost", "exceptions:1.5")
    assert told.returncode == 0
    assert "--boost 'exceptions=1.5'" in told.stderr


def test_search(index):
    plain = sae("search", "an exception", "--index", index, "-k", 3)
    assert plain.returncode == 0
    assert re.match(r"\s+1  0\.\d+  \w+-\d+  ", plain.stdout)
    steered = sae("search", "a name", "-i", index, "--boost", "an exception is raised=3", "--boost", "f1=0", "--json")
    body = json.loads(steered.stdout)
    assert [concept["strength"] for concept in body["concepts"]] == [3.0, 0.0]
    assert len(body["hits"]) == 5
    assert body["hits"][0]["metadata"]["topic"] == "exceptions"
    both = sae("search", "a name", "-i", index, "--boost", "an exception is raised=3", "--compare")
    assert "plain" in both.stdout
    assert "▲" in both.stdout
    only = sae("search", "x", "-i", index, "--filter", '{"topic": "modules"}', "--json")
    assert {hit["metadata"]["topic"] for hit in json.loads(only.stdout)["hits"]} == {"modules"}


def test_indexing_again_replaces(index, documents, tiny_bundle):
    result = sae("index", "--data", documents, "--bundle", tiny_bundle, "--index", index, "--json")
    assert json.loads(result.stdout)["documents"] == 60


def test_explain_adds_up(index):
    hit = json.loads(sae("search", "raise an exception", "-i", index, "-k", 1, "--json").stdout)["hits"][0]
    body = json.loads(sae("explain", "raise an exception", hit["id"], "-i", index, "--json").stdout)
    assert sum(part["contribution"] for part in body["parts"]) + body["rest"] == pytest.approx(hit["score"], abs=1e-5)
    assert "not expressed by any active feature" in sae("explain", "raise an exception", hit["id"], "-i", index).stdout


def test_features(tiny_bundle):
    listed = json.loads(sae("features", "--bundle", tiny_bundle, "-n", 5, "--json").stdout)
    assert len(listed) == 5
    assert listed[0]["density"] >= listed[-1]["density"]
    one = sae("features", listed[0]["name"], "--bundle", tiny_bundle)
    assert one.stdout.startswith(listed[0]["name"])
    assert "words" in one.stdout
    assert json.loads(sae("features", "exception", "--bundle", tiny_bundle, "--json").stdout)
    similar = sae("features", "similar", listed[0]["name"], "-n", 3, "--bundle", tiny_bundle, "--json")
    assert len(json.loads(similar.stdout)) == 3


@pytest.mark.slow
def test_train_and_export(documents, tiny_embedder_folder, tmp_path):
    out, cache = tmp_path / "model.pt", tmp_path / "cache"
    trained = sae(
        *("train", "--data", documents, "--embedder", tiny_embedder_folder, "--latents", 32, "--k", 4),
        *("--steps", 5, "--out", out, "--cache", cache, "--fast-queries", "--json"),
    )
    assert trained.returncode == 0, trained.stderr
    assert 0 < json.loads(trained.stdout)["metrics"]["l0"] <= 4
    assert 0 < json.loads(trained.stdout)["fast_queries"]["cosine"] <= 1
    assert not out.with_name("model.pt.resume").exists()
    lines = [json.loads(line) for line in out.with_name("model.metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert "dev_retention" in lines[-1]
    assert "step 5 of 5: loss" in trained.stderr
    exported = sae("--ckpt", out, "--out", tmp_path / "bundle", "--via", "torch", "--json", script="main_export")
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout)["parity"]["encoder_agreement"] >= 0.999
    assert (tmp_path / "bundle" / "fast_queries.npz").is_file()
    assert "overwrite" in one_line(sae("--ckpt", out, "--out", tmp_path / "bundle", script="main_export"), 1)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["search", "x", "--index", "{index}", "-k", "0"], 2, "at least 1"),
        (["search", "x", "--index", "{index}", "--boost", "f9999=1"], 2, "f0 to f63"),
        (["search", "x", "--index", "{index}", "--boost", "jazz=loud"], 2, "not a number"),
        (["search", "x", "--index", "{index}", "--clamp", "jazz"], 2, "no value"),
        (["search", "x", "--index", "{index}", "--filter", "{"], 2, "not JSON"),
        (["search", "x", "--index", "{index}", "--filter", '{"a": {"$gtr": 1}}'], 2, "$gt"),
        (["search", "x", "--index", "nowhere"], 1, "sae index"),
        (["explain", "x", "nobody", "--index", "{index}"], 1, "nobody"),
        (["features", "--bundle", "nowhere"], 1, "nowhere"),
        (["features", "show", "f64", "--bundle", "{bundle}"], 2, "f0 to f63"),
        (["features", "show", "nobody", "--bundle", "{bundle}"], 2, "nearest"),
        (["features", "rename", "f1", "f2", "--bundle", "{bundle}"], 2, "looks like a latent"),
        (["features", "merge", "f1", "--into", "alone", "--bundle", "{bundle}"], 2, "one member"),
        (["features", "search", "--bundle", "{bundle}"], 2, "--like"),
        (["features", "--bundle", "{bundle}", "list"], 2, "before the options"),
        (["features", "export", "--out", "x.txt", "--bundle", "{bundle}"], 2, ".csv or .jsonl"),
        (["features", "export", "f1", "--out", "nowhere/x.csv", "--bundle", "{bundle}"], 2, ".svg"),
        (["index", "--data", "nowhere.jsonl"], 1, "nowhere.jsonl"),
        (["index", "build", "--data", "nowhere.jsonl"], 1, "nowhere.jsonl"),
        (["index", "verify", "--index", "nowhere"], 1, "is not an index"),
        (["index", "compact", "--index", "nowhere"], 1, "is not an index"),
        (["index", "info", "--index", "nowhere", "--json"], 1, "is not an index"),
        (["train", "--data", "nowhere.jsonl"], 1, "nowhere.jsonl"),
        (["train", "--data", "{documents}", "--k", "0"], 2, "k is 0"),
        (["train", "--data", "{documents}", "--out", "."], 2, "name the file to write, such as model.pt"),
        (["train", "--data", "{documents}", "--depth", "0"], 2, "encoder_depth is 0"),
        (["export", "--ckpt", "nowhere.pt"], 1, "sae train"),
        (["export", "--pretrained", "bge"], 2, "no pretrained model 'bge'"),
        (["export"], 2, "--pretrained minilm"),
    ],
)
def test_errors_are_one_line(arguments, exit_code, message, index, documents, tiny_bundle):
    places = {"{index}": index, "{documents}": documents, "{bundle}": tiny_bundle}
    assert message in one_line(sae(*(places.get(argument, argument) for argument in arguments)), exit_code)


def test_wrong_use_is_exit_code_2():
    assert sae("search").returncode == 2
    assert sae("train", "--steps", "many", "--data", "x").returncode == 2
    assert sae("features", "rename", "f1").returncode == 2
    assert sae("features", "serach", "cells").returncode == 2


@pytest.mark.parametrize(
    ("blocked", "arguments", "extra"),
    [
        ("torch", ["train", "--data", "x.jsonl"], "train"),
        ("onnx", ["export", "--ckpt", "x.pt"], "export"),
        ("ir_measures", ["eval", "--data", "x"], "eval"),
    ],
)
def test_a_missing_extra_is_one_line_with_the_pip_command(blocked, arguments, extra, tmp_path):
    (tmp_path / "x" / "qrels").mkdir(parents=True)
    code = f"import sys; sys.modules[{blocked!r}] = None; from steersearch.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert f"pip install 'steersearch[{extra}]'" in one_line(result, 2)
