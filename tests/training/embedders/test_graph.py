import json
import os

import numpy as np
import onnx
import pytest
from onnx import helper

from steersearch.errors import ConfigError, DataError
from steersearch.training.embedders.pooling import POOLINGS, pool
from steersearch.training.embedding import Embedder, resolve_embedder

from ...tiny_graph import build_graph, token_graph
from ...tiny_static import WORDS, word_table

SWITCHES = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def vectors(*words):
    """What `token_graph` gives for a text: "the", the words, "of", each plus the first row."""
    table = word_table()
    return table[[WORDS.index(word) for word in ("the", *words, "of")]] + table[0]


def unit(row):
    return row / np.linalg.norm(row)


BY_HAND = {
    "mean": lambda rows: rows.mean(0),
    "cls": lambda rows: rows[0],
    "max": lambda rows: rows.max(0),
    "lasttoken": lambda rows: rows[-1],
    "weightedmean": lambda rows: np.average(rows, axis=0, weights=np.arange(1, 1 + len(rows))),
    "mean_sqrt_len_tokens": lambda rows: rows.sum(0) / np.sqrt(len(rows)),
}


@pytest.mark.parametrize("pooling", POOLINGS)
def test_tokens_are_pooled_as_asked(tmp_path, pooling):
    source = resolve_embedder(build_graph(tmp_path / "model"), pooling=pooling)
    assert (source.kind, source.pooling) == ("onnx", pooling)
    rows = Embedder(source).embed(["whale", "tax law in a court"])
    expected = [vectors("whale"), vectors("tax", "law", "[UNK]", "a", "court")]
    np.testing.assert_allclose(rows, [unit(BY_HAND[pooling](each)) for each in expected], atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "mean+cls", "max", "weightedmean", "lasttoken", "mean_sqrt_len_tokens"])
def test_pooling_is_that_of_sentence_transformers(pooling):
    import torch
    from sentence_transformers.models import Pooling

    tokens = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])
    chosen = {key: name in pooling.split("+") for name, key in SWITCHES.items()}
    features = {"token_embeddings": torch.tensor(tokens), "attention_mask": torch.tensor(mask)}
    expected = Pooling(4, **chosen)(features)["sentence_embedding"].numpy()
    names = "cls+mean" if pooling == "mean+cls" else pooling
    np.testing.assert_allclose(pool(tokens, mask, names), expected, atol=1e-6)


def test_files_beside_the_graph_say_the_pooling(tmp_path):
    switches = dict.fromkeys(SWITCHES.values(), False) | {"pooling_mode_cls_token": True}
    by_file = Embedder(build_graph(tmp_path / "old", pooling=switches))
    np.testing.assert_allclose(by_file.embed(["whale"])[0], unit(vectors("whale")[0]), atol=1e-6)
    newer = Embedder(build_graph(tmp_path / "new", place="onnx/model.onnx", pooling={"pooling_mode": "max"}))
    np.testing.assert_allclose(newer.embed(["whale"])[0], unit(vectors("whale").max(0)), atol=1e-6)
    # What is asked for counts more.
    other = Embedder(resolve_embedder(tmp_path / "old", pooling="mean"))
    np.testing.assert_allclose(other.embed(["whale"])[0], unit(vectors("whale").mean(0)), atol=1e-6)
    assert other.fingerprint != by_file.fingerprint
    assert other.describe()["pooling"] == "mean"


def test_pooling_is_never_guessed(tmp_path):
    folder = build_graph(tmp_path / "model")
    with pytest.raises(DataError, match=r"a vector for each token.*--pooling \(cls, max, mean,"):
        Embedder(folder)
    with pytest.raises(ConfigError, match="pooling is 'average': choose cls, max, mean"):
        resolve_embedder(folder, pooling="average")
    with pytest.raises(ConfigError, match="pooling is 'softmax'"):
        Embedder(build_graph(tmp_path / "bad", pooling={"pooling_mode": "softmax"}))


def test_a_graph_that_pools_itself(tmp_path):
    folder = build_graph(tmp_path / "model", mean="sentence_embedding")
    one = Embedder(folder).embed(["whale"])[0]
    np.testing.assert_allclose(one, unit(vectors("whale").mean(0)), atol=1e-6)
    with pytest.raises(DataError, match=r"gives odd \(2, 9, 8\), odder \(2, 8\)|--pooling"):
        Embedder(build_graph(tmp_path / "odd", output="odd", mean="odder"))
    pooled = Embedder(resolve_embedder(tmp_path / "odd", pooling="cls"))
    np.testing.assert_allclose(pooled.embed(["whale"])[0], unit(vectors("whale")[0]), atol=1e-6)


@pytest.mark.parametrize(
    "how", [{"kind": "int32"}, {"inputs": ["input_ids"]}, {"inputs": ["input_ids", "attention_mask"]}, {"half": True}]
)
def test_graphs_of_other_forms(tmp_path, how):
    source = resolve_embedder(build_graph(tmp_path / "model", **how), pooling="mean")
    rows = vectors("whale") - (0 if "token_type_ids" in how.get("inputs", ["token_type_ids"]) else word_table()[0])
    tolerance = 2e-3 if how.get("half") else 1e-6
    np.testing.assert_allclose(Embedder(source).embed(["whale"])[0], unit(rows.mean(0)), atol=tolerance)


def test_where_the_length_is_said(tmp_path):
    folder = build_graph(tmp_path / "model")
    assert resolve_embedder(folder).max_length == 512
    content = json.loads((folder / "tokenizer.json").read_text())
    content["truncation"] = {"max_length": 6, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    assert resolve_embedder(folder).max_length == 6
    embedder = Embedder(resolve_embedder(folder, pooling="mean"))
    np.testing.assert_allclose(*embedder.embed(["a sea ship tax", "a sea ship tax law"]), atol=1e-6)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 5}')
    assert resolve_embedder(folder).max_length == 5


def with_node(operator, **attributes):
    model = token_graph()
    model.graph.node.insert(0, helper.make_node(operator, ["input_ids"], ["unused"], **attributes))
    return model


def outside():
    model = token_graph()
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "../secret.bin")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    return model


def fixed():
    model = token_graph()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return model


def wants_more():
    model = token_graph()
    model.graph.input.append(helper.make_tensor_value_info("past_key_values", onnx.TensorProto.INT64, ["b", "s"]))
    return model


REFUSED = {
    "an operator of an unknown domain": (lambda: with_node("Run", domain="my.code"), "the operator my.code:Run"),
    "weights outside of the folder": (outside, "reads the file '../secret.bin'"),
    "a fixed size": (fixed, "input_ids of a fixed size: export it with a dynamic batch"),
    "another input": (wants_more, "wants past_key_values, expected only input_ids"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_hostile_and_odd_graphs_are_refused(tmp_path, case):
    make, message = REFUSED[case]
    folder = tmp_path / "model"
    build_graph(folder)
    (folder / "model.onnx").write_bytes(make().SerializeToString())
    with pytest.raises(DataError, match=message):
        Embedder(resolve_embedder(folder, pooling="mean"))


def test_damaged_files(tmp_path):
    folder = build_graph(tmp_path / "model")
    (folder / "model.onnx").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="it is not an ONNX graph"):
        Embedder(resolve_embedder(folder, pooling="mean"))
    os.remove(folder / "model.onnx")
    with pytest.raises(DataError, match=r"is no embedder.*no model\.onnx with tokenizer\.json"):
        resolve_embedder(folder)
    dense = build_graph(tmp_path / "dense")
    modules = [{"idx": i, "name": str(i), "path": "", "type": f"x.{k}"} for i, k in enumerate(["Transformer", "Dense"])]
    (dense / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(DataError, match="a module Dense after its graph"):
        Embedder(resolve_embedder(dense, pooling="mean"))
