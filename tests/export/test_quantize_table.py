import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from steersearch.export.quantize import quantize_rows, quantize_table
from steersearch.runtime.bundle.onnx_session import open_session


def lookup(table: np.ndarray, *, twice: bool = False) -> onnx.ModelProto:
    """Rows of a table, and of a smaller one that must stay as it is."""
    small = np.eye(len(table), 16, dtype=np.float32)
    nodes = [helper.make_node("Gather", [name, "ids"], [name + "_rows"]) for name in ("small", "table")]
    nodes += [helper.make_node("Gather", ["table", "ids"], ["again"])] if twice else []
    graph = helper.make_graph(
        nodes,
        "lookup",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info(name + "_rows", TensorProto.FLOAT, ["n", None]) for name in ("small", "table")],
        [numpy_helper.from_array(small, "small"), numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_numbers_by_hand():
    rows = np.array([[0, 15, 30, 45] + [0] * 12, [-3, 12, 0, 0] + [0] * 12], np.float32)
    numbers, scales, zeros = quantize_rows(rows, 4, 8)
    assert scales.tolist() == [[3, 1], [1, 1]]  # 45 / 15; a block of zeros has scale 1
    assert zeros.tolist() == [[0], [3]]
    assert numbers[0].tolist() == [0 | 5 << 4, 10 | 15 << 4, 0, 0, 0, 0, 0, 0]
    assert numbers[1].tolist() == [0 | 15 << 4, 3 | 3 << 4, 0x33, 0x33, 0, 0, 0, 0]
    numbers, scales, zeros = quantize_rows(np.array([[-1, 0, 0.5, 1.55]], np.float32), 8, 4)
    assert scales.tolist() == [[pytest.approx(0.01)]]
    assert (numbers.tolist(), zeros.tolist()) == ([[0, 100, 150, 255]], [[100]])


@pytest.mark.parametrize("bits", [8, 4])
@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-3, 3), width=st.sampled_from([32, 96, 128, 384]))
def test_onnxruntime_reads_rows_within_half_a_step(tmp_path_factory, bits, seed, shift, width):
    table = (np.random.default_rng(seed).normal(size=(7, width)) + shift).astype(np.float32)
    table[3] = 0
    path = tmp_path_factory.mktemp("table") / "table.onnx"
    model = quantize_table(lookup(table), bits)
    assert [node.op_type for node in model.graph.node] == ["Gather", "GatherBlockQuantized"]
    onnx.save(model, str(path))
    ids = np.array([6, 0, 3, 3])
    small, rows = open_session(path, 1).run(["small_rows", "table_rows"], {"ids": ids})
    np.testing.assert_array_equal(small, np.eye(7, 16)[ids])
    step = (max(table.max(), 0) - min(table.min(), 0)) / (2**bits - 1)
    assert np.abs(rows - table[ids]).max() <= 1.01 * step  # half a step for the number, half for the zero
    assert not rows[2].any()


def test_what_is_left_alone():
    for model in (lookup(np.ones((5, 17), np.float32)), lookup(np.ones((5, 32), np.float32), twice=True)):
        for bits in (4, 8):
            kept = {tensor.name for tensor in quantize_table(model, bits).graph.initializer}
            assert "table" in kept
