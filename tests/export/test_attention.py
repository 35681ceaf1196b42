import logging
from collections import Counter

import numpy as np
import onnx
import pytest
from onnxruntime.transformers import optimizer

from steersearch.export.attention import fuse_attention


def ops(model):
    return Counter(node.op_type for node in model.graph.node)


def test_attention_becomes_one_node_a_layer(tiny_graphs):
    found = ops(onnx.load_from_string(tiny_graphs["optimum"]))
    assert found["MultiHeadAttention"] == 2
    assert not found["Softmax"]
    assert found["MatMul"] == 2 * 6  # queries, keys, values, output and two more: all can be quantised
    assert found["Gather"]  # so can the table of token vectors


def test_nothing_is_printed(tiny_graphs, capfd):
    fuse_attention(onnx.load_from_string(tiny_graphs["torch"]))
    fuse_attention(onnx.load_from_string(tiny_graphs["optimum"]))
    assert capfd.readouterr() == ("", "")


def test_a_graph_that_is_written_in_another_way_stays_as_it_is(tiny_graphs):
    model = onnx.load_from_string(tiny_graphs["torch"])
    before = model.SerializeToString()
    assert fuse_attention(model) is model
    assert model.SerializeToString() == before


@pytest.mark.parametrize("how", ["raises", "wrong"])
def test_what_the_optimiser_gets_wrong_is_not_used(tiny_graphs, monkeypatch, caplog, how):
    model = onnx.load_from_string(tiny_graphs["optimum"])

    class Result:
        def __init__(self):
            self.model = onnx.ModelProto()
            self.model.CopyFrom(model)
            table = max(self.model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
            table.raw_data = (np.frombuffer(table.raw_data, np.float32)[::-1]).tobytes()

    def optimise(*_, **__):
        if how == "raises":
            raise ValueError("a graph of two gigabytes")
        return Result()

    monkeypatch.setattr(optimizer, "optimize_model", optimise)
    with caplog.at_level(logging.INFO):
        assert fuse_attention(model) is model
    assert "two gigabytes" in caplog.text if how == "raises" else "differ by" in caplog.text
    assert logging.root.manager.disable == logging.NOTSET
