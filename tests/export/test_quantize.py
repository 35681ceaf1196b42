import logging
import subprocess
import sys

import numpy as np
import onnx
import pytest

from steersearch.errors import ConfigError
from steersearch.export.embedder import load_embedder, write_tokenizer
from steersearch.export.onnx_files import write_model
from steersearch.export.quantize import check_precision, is_batch_invariant, quantize
from steersearch.runtime.bundle.onnx_embedder import OnnxEmbedder
from steersearch.runtime.bundle.onnx_session import open_session

TEXTS = ["open a file", "!", "the class statement makes a class " * 9, "import the module json", "x"]


@pytest.fixture(scope="module", params=["optimum", "torch"])
def graph(request, tiny_graphs) -> bytes:
    return tiny_graphs[request.param]


@pytest.fixture
def quantised(graph, tiny_source, tmp_path):
    def make(precision: str, *, batch_invariant: bool = True) -> OnnxEmbedder:
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        path = tmp_path / f"{precision}.onnx"
        write_model(quantize(onnx.load_from_string(graph), precision, scratch), path)
        assert list(scratch.iterdir()) == []
        write_tokenizer(load_embedder(tiny_source), tmp_path / "tokenizer.json")
        return OnnxEmbedder(open_session(path, 1), tmp_path / "tokenizer.json", 64, 32, batch_invariant)

    return make


@pytest.mark.parametrize(("precision", "cosine"), [("w8", 0.999), ("small", 0.99)])
def test_is_close_and_does_not_depend_on_the_batch(quantised, precision, cosine):
    exact, small = quantised("fp32").embed(TEXTS), quantised(precision)
    rows = small.embed(TEXTS)
    assert cosine < (rows * exact).sum(1).min() < 1
    alone = np.concatenate([small.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(rows, alone, atol=1e-6)


def test_int8_depends_on_the_batch_and_therefore_gets_none(quantised):
    exact, small = quantised("fp32").embed(TEXTS), quantised("int8")
    alone = np.concatenate([small.embed([text]) for text in TEXTS])
    assert np.abs(small.embed(TEXTS) - alone).max() > 1e-4  # why the manifest has `batch_invariant`
    rows = quantised("int8", batch_invariant=False).embed(TEXTS)
    np.testing.assert_array_equal(rows, alone)
    assert (rows * exact).sum(1).min() > 0.98


def test_what_is_quantised(graph, tmp_path):
    ops = [
        {n.op_type for n in quantize(onnx.load_from_string(graph), p, tmp_path).graph.node}
        for p in ("w8", "small", "int8")
    ]
    assert {"MatMulNBits", "GatherBlockQuantized"} <= ops[0] == ops[1]
    assert {"MatMulInteger", "DynamicQuantizeLinear"} <= ops[2]
    assert [is_batch_invariant(p) for p in ("fp32", "w8", "small", "int8")] == [True, True, True, False]


def test_logging_stays_as_the_application_set_it(graph, tmp_path, capfd):
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    for precision in ("w8", "small", "int8"):
        quantize(onnx.load_from_string(graph), precision, tmp_path)
    assert (list(root.handlers), root.level) == before
    assert capfd.readouterr() == ("", "")


def test_an_application_without_logging_hears_nothing(graph, tmp_path):
    # In a new process: onnxruntime configures the root logger when its module is imported for the first time.
    (tmp_path / "graph.onnx").write_bytes(graph)
    code = """if True:
        import logging, pathlib, onnx
        from steersearch.export.quantize import quantize
        for precision in ("w8", "int8"):
            quantize(onnx.load("graph.onnx"), precision, pathlib.Path("."))
        assert logging.getLogger().handlers == [] and logging.getLogger().level == logging.WARNING
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_unknown_precision():
    names = ["fp32", "fp16", "w8", "small", "int8"]
    assert [check_precision(name) for name in names] == names
    with pytest.raises(ConfigError, match="precision is 'fp8': it must be one of fp32, fp16, w8, small, int8"):
        check_precision("fp8")
