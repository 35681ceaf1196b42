import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer

from steersearch.errors import ConfigError, DataError, MissingExtraError
from steersearch.export.embedder import choose_exporter, embedder_graph, load_embedder, pooling_of, write_tokenizer
from steersearch.export.onnx_files import write_model
from steersearch.export.parity import EDGE_CASES
from steersearch.runtime.bundle.onnx_embedder import OnnxEmbedder
from steersearch.runtime.bundle.onnx_session import open_session
from steersearch.training.embedding import Embedder, resolve_embedder

from ..tiny_model import MAX_LENGTH, build_tiny_embedder

TEXTS = [*EDGE_CASES, "open the file and read its lines", "import " * 200, "A class statement", "file file file"]
VARIANTS = [
    ("optimum", "mean", True),
    ("torch", "mean", True),
    ("optimum", "cls", False),
    ("torch", "cls", False),
    ("optimum", "max", True),
    ("torch", "max", True),
]


def exported(folder: Path, tmp_path: Path, via: str) -> OnnxEmbedder:
    model = load_embedder(resolve_embedder(folder))
    write_tokenizer(model, tmp_path / "tokenizer.json")
    write_model(embedder_graph(model, via, tmp_path), tmp_path / "embedder.onnx")
    session = open_session(tmp_path / "embedder.onnx", threads=1)
    return OnnxEmbedder(session, tmp_path / "tokenizer.json", model.max_seq_length, 32)


@pytest.mark.parametrize(("via", "pooling", "normalise"), VARIANTS)
def test_both_exporters_give_what_training_saw(tmp_path, via, pooling, normalise):
    folder = build_tiny_embedder(tmp_path / "model", pooling=pooling, normalise=normalise)
    embedder = exported(folder, tmp_path, via)
    expected = Embedder(folder, device="cpu").embed(TEXTS)
    for batch_size in (1, 3, 32):
        np.testing.assert_allclose(embedder.embed(TEXTS, batch_size=batch_size), expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(embedder.embed(TEXTS), axis=1), 1, atol=1e-6)
    assert pooling_of(load_embedder(resolve_embedder(folder))) == pooling


@pytest.mark.parametrize("via", ["optimum", "torch"])
def test_the_graph_is_plain(tiny_graphs, via):
    graph = onnx.load_from_string(tiny_graphs[via]).graph

    def interface(values):
        return {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}

    tokens = ["batch", "sequence"]
    assert interface(graph.input) == {"input_ids": tokens, "attention_mask": tokens}
    assert interface(graph.output) == {"sentence_embedding": ["batch", 32], "token_embeddings": [*tokens, 32]}
    data = graph.SerializeToString()
    for trace in (b"site-packages", b".py", str(Path.home()).encode()):  # nothing of the exporting machine
        assert trace not in data


def test_every_length_of_text_and_batch(tiny_source, tiny_model, tiny_graphs, tmp_path):
    write_tokenizer(load_embedder(tiny_source), tmp_path / "tokenizer.json")
    (tmp_path / "embedder.onnx").write_bytes(tiny_graphs["torch"])
    session = open_session(tmp_path / "embedder.onnx", threads=1)
    embedder = OnnxEmbedder(session, tmp_path / "tokenizer.json", MAX_LENGTH, 32)
    texts = [" ".join(["file"] * n) for n in range(MAX_LENGTH + 5)]
    expected = tiny_model.encode(texts, batch_size=1)
    np.testing.assert_allclose(embedder.embed(texts, batch_size=1), expected, atol=1e-6)
    np.testing.assert_allclose(embedder.embed(texts, batch_size=len(texts)), expected, atol=1e-6)


def test_tokenizer_file_is_the_embedders_own(tiny_embedder_folder, tiny_source, tmp_path):
    write_tokenizer(load_embedder(tiny_source), tmp_path / "tokenizer.json")
    assert json.loads((tmp_path / "tokenizer.json").read_text()) == json.loads(
        (tiny_embedder_folder / "tokenizer.json").read_text()
    )


def test_lower_casing_that_sentence_transformers_does_itself(tmp_path):
    folder = build_tiny_embedder(tmp_path / "model")
    cased = Tokenizer.from_file(str(folder / "tokenizer.json"))
    state = json.loads(cased.to_str())
    state["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(state))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"do_lower_case": False}))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 64, "do_lower_case": true}')
    embedder = exported(folder, tmp_path, "optimum")
    np.testing.assert_allclose(embedder.embed(["OPEN a File"]), embedder.embed(["open a file"]), atol=1e-6)
    np.testing.assert_allclose(
        embedder.embed(["OPEN a File"]), Embedder(folder, device="cpu").embed(["OPEN a File"]), atol=1e-6
    )


def test_embedders_that_a_bundle_cannot_hold(tiny_embedder_folder, tiny_source, tmp_path):
    folder = build_tiny_embedder(tmp_path / "model")
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:1]))
    with pytest.raises(DataError, match=r"made of Transformer: only one .* sae train --vectors"):
        load_embedder(resolve_embedder(folder))
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"config\.json cannot be read"):
        load_embedder(resolve_embedder(folder))
    assert load_embedder(replace(tiny_source, max_length=7)).max_seq_length == 7


def test_choosing_an_exporter(monkeypatch):
    assert [choose_exporter(via) for via in ("auto", "optimum", "torch")] == ["optimum", "optimum", "torch"]
    with pytest.raises(ConfigError, match="via is 'tensorflow': it must be auto, optimum or torch"):
        choose_exporter("tensorflow")
    monkeypatch.setitem(sys.modules, "optimum.exporters.onnx", None)  # as when optimum-onnx is not installed
    assert choose_exporter("auto") == "torch"
    with pytest.raises(MissingExtraError, match="use --via torch"):
        choose_exporter("optimum")


def test_an_architecture_that_an_exporter_does_not_know(tiny_model, tiny_graphs, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise KeyError("no such architecture")

    monkeypatch.setattr("optimum.exporters.onnx.onnx_export_from_model", refuse)
    monkeypatch.setattr("steersearch.export.embedder._export_with_torch", lambda model, tail: 1 / 0)
    with pytest.raises(DataError, match=r"optimum cannot export it .*no such architecture.*: try --via torch"):
        embedder_graph(tiny_model, "optimum", tmp_path)
    with pytest.raises(DataError, match=r"optimum cannot .*; torch cannot export it \(division by zero\).*--vectors"):
        embedder_graph(tiny_model, "auto", tmp_path)
    by_torch = onnx.load_from_string(tiny_graphs["torch"])
    monkeypatch.setattr("steersearch.export.embedder._export_with_torch", lambda model, tail: by_torch)
    steps = []
    assert len(embedder_graph(tiny_model, "auto", tmp_path, steps.append).graph.node) > 10
    assert steps == [
        "exporting the embedder with optimum",
        "exporting the embedder with torch, since optimum cannot export it ('no such architecture')",
    ]


def test_a_graph_that_gives_other_embeddings_is_not_taken(tiny_model, tiny_graphs, tmp_path, monkeypatch):
    wrong = onnx.load_from_string(tiny_graphs["optimum"])
    table = max(wrong.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    table.raw_data = (np.frombuffer(table.raw_data, np.float32)[::-1]).tobytes()
    monkeypatch.setattr("steersearch.export.embedder._export_with_optimum", lambda model, scratch: wrong)
    with pytest.raises(DataError, match="optimum makes a graph whose embeddings differ by"):
        embedder_graph(tiny_model, "optimum", tmp_path)


def test_the_loaded_model_still_works_after_an_export(tiny_source, tiny_model, tiny_graphs):
    assert set(tiny_graphs) == {"optimum", "torch"}  # both were made from tiny_model
    np.testing.assert_array_equal(
        tiny_model.encode(["open a file"]), load_embedder(tiny_source).encode(["open a file"])
    )
