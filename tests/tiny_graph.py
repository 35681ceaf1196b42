"""ONNX graphs of a few tokens, as somebody else may have exported them: a look-up, and what is asked for after it."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .tiny_static import WORDS, word_table, word_tokenizer

KINDS = {"int64": TensorProto.INT64, "int32": TensorProto.INT32}
ALL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def token_graph(
    *, inputs=ALL_INPUTS, kind="int64", output="last_hidden_state", opset=17, half=False, mean=None, table=None
):
    """A graph that gives `output`, a vector for each token (that of the word, plus the first one's for its type).

    `mean` is the name of a second output, the mean over all positions, padding included. `half` makes it float16.
    """
    table = (word_table() if table is None else table).astype(np.float16 if half else np.float32)
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["words"])]
    last = "words"
    if "token_type_ids" in inputs:
        nodes += [helper.make_node("Gather", ["table", "token_type_ids"], ["types"])]
        nodes += [helper.make_node("Add", ["words", "types"], ["both"])]
        last = "both"
    nodes.append(helper.make_node("Identity", [last], [output]))
    number = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    outputs = [helper.make_tensor_value_info(output, number, ["b", "s", table.shape[1]])]
    if mean:
        nodes.append(helper.make_node("ReduceMean", [last], [mean], axes=[1], keepdims=0))
        outputs.append(helper.make_tensor_value_info(mean, number, ["b", table.shape[1]]))
    graph = helper.make_graph(
        nodes,
        "somebody's",
        [helper.make_tensor_value_info(name, KINDS[kind], ["b", "s"]) for name in inputs],
        outputs,
        [numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def own_tokenizer():
    """The words of `WORDS` between two [CLS] and [SEP], padded with [PAD]."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = word_tokenizer(WORDS)
    tokenizer.post_processor = TemplateProcessing(single="the $A of", special_tokens=[("the", 8), ("of", 7)])
    return tokenizer


def build_graph(folder: Path, model=None, *, place="model.onnx", tokenizer=None, pooling=None, **how) -> Path:
    """Write a folder with a graph and its tokenizer; `pooling` is the content of 1_Pooling/config.json."""
    import json

    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model or token_graph(**how), path)
    (tokenizer or own_tokenizer()).save(str(folder / "tokenizer.json"))
    if pooling is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder
