"""Somebody's ONNX graph as the embedder of a bundle: what it lacks of a bundle's graph is added to it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..arrays import FloatArray, unit_rows
from ..errors import DataError
from ..runtime.bundle.manifest import EMBEDDER, TOKENIZER
from ..runtime.bundle.onnx_embedder import OUTPUT, TOKENS
from ..training.embedder_source import EmbedderSource
from ..training.embedders.folders import TOKENIZER as SOURCE_TOKENIZER
from ..training.embedders.graph import INPUTS, GraphModel, pad_id
from ..training.embedders.pooling import LEAST
from ..training.embedders.tokenizer import open_tokenizer
from .attention import fuse_attention
from .embedder import Via
from .exportable import Report
from .onnx_files import name_dimensions, write_model
from .quantize import Precision, quantize
from .token_vectors import append_tail, rename

OLDEST_OPSET = 11
"""Has all that is added to a graph."""
IN_THE_GRAPH = "in the graph"
"""`pooling` of the manifest where the graph pools itself."""
_AT_ONCE = 8
_PREFIX = "steersearch_"


class OwnGraphExport:
    """A graph with a vector for each token or each text; see `ExportableEmbedder`."""

    kind = "onnx"

    def __init__(self, source: EmbedderSource) -> None:
        """Open the graph; a DataError when it cannot be used."""
        self._folder = Path(source.path_or_name)
        self._model = GraphModel(self._folder, max_length=source.max_length, pooling=source.pooling)
        self.pooling = self._model.pooling or IN_THE_GRAPH
        self._cut = source.truncate_dim
        self.d_in = self._model.encode(["width"])[:, : self._cut].shape[1]

    def write(self, folder: Path, precision: Precision, via: Via, report: Report) -> None:
        """Write embedder.onnx, with pooling and normalisation in it, and tokenizer.json."""
        report(f"adding {self._model.pooling or 'the normalisation'} to {self._model.path.name}, {precision}")
        graph = onnx.load(os.fspath(self._model.path))
        complete = completed(graph, self._model.output, self._model.pooling, self.d_in, truncated=bool(self._cut))
        write_model(quantize(fuse_attention(complete), precision, folder), folder / EMBEDDER)
        tokenizer = open_tokenizer(self._folder / SOURCE_TOKENIZER)
        if not tokenizer.padding:
            # The runtime takes the id that fills short rows from here.
            pad = pad_id(self._folder, tokenizer)
            tokenizer.enable_padding(pad_id=pad, pad_token=tokenizer.id_to_token(pad) or "[PAD]")
        (folder / TOKENIZER).write_text(tokenizer.to_str(), encoding="utf-8")

    def reference(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts with the graph as it was, pooled in NumPy."""
        rows = [self._model.encode(texts[at : at + _AT_ONCE]) for at in range(0, len(texts), _AT_ONCE)]
        return unit_rows(np.concatenate(rows)[:, : self._cut])


def completed(
    model: onnx.ModelProto, output: str, pooling: str, d_in: int, *, truncated: bool = False
) -> onnx.ModelProto:
    """Make a bundle's embedder of a graph: tokens (B, S) int64 in, `sentence_embedding` (B, d_in) float32 out.

    With the pooling ``mean`` the token vectors are a second output, as in `token_vectors`.

    Args:
        model: Is changed.
        output: Its output that is read.
        pooling: As in `training.embedders.pooling`; empty where `output` is one vector per text.
        d_in: Width of the embeddings.
        truncated: These are the first `d_in` of more numbers.

    Raises:
        DataError: The graph is of an opset that is too old.
    """
    opset = max((int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < OLDEST_OPSET:
        raise DataError(f"the graph is of opset {opset}, from {OLDEST_OPSET} on it can be used: export it again")
    graph = model.graph
    held = {tensor.name for tensor in graph.initializer}
    # Graphs before IR version 4 list their weights as inputs too.
    inputs = {value.name: value.type.tensor_type.elem_type for value in graph.input if value.name not in held}
    model.ir_version = max(model.ir_version, 4)
    for name in (OUTPUT, TOKENS):
        rename(graph, name, _PREFIX + name)
        output = _PREFIX + name if output == name else output
    before = []
    for name in [name for name, kind in inputs.items() if kind == TensorProto.INT32]:
        rename(graph, name, f"{_PREFIX}{name}")
        before.append(helper.make_node("Cast", [name], [f"{_PREFIX}{name}"], to=TensorProto.INT32))
    steps = _Steps(opset)
    rows = steps.add("Cast", output, to=TensorProto.FLOAT)
    tokens_given = pooling == "mean"
    if tokens_given:
        steps.nodes.append(helper.make_node("Identity", [rows], [TOKENS]))
    if pooling:
        inputs.setdefault("attention_mask", TensorProto.INT64)
        mask = steps.add("Cast", "attention_mask", to=TensorProto.FLOAT)  # (B, S)
        parts = [steps.pool(rows, mask, name) for name in pooling.split("+")]
        rows = steps.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    if truncated:
        ends = [steps.constant([value], np.int64) for value in (0, d_in, 1)]
        rows = steps.add("Slice", rows, *ends)  # from 0 to d_in on axis 1
    steps.nodes.append(helper.make_node("LpNormalization", [rows], [OUTPUT], axis=1, p=2))
    nodes = [*before, *graph.node, *steps.nodes]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.initializer.extend(steps.constants)
    tokens = ("batch", "sequence")
    graph.input.extend(
        helper.make_tensor_value_info(name, TensorProto.INT64, tokens) for name in INPUTS if name in inputs
    )
    shapes: dict[str, tuple[str | int, ...]] = {OUTPUT: ("batch", d_in)}
    if tokens_given:
        shapes[TOKENS] = (*tokens, d_in)
        if truncated:
            append_tail(graph, [d_in])
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    del model.metadata_props[:]
    model.doc_string = ""
    return name_dimensions(model, {**dict.fromkeys(inputs, tokens), **shapes})


class _Steps:
    """Nodes that are added to a graph, each with one output."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        name = f"{_PREFIX}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant and return its name."""
        name = f"{_PREFIX}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def shaped(self, name: str, *shape: int) -> str:
        """Give a tensor another shape, where 0 is a size that stays and -1 the rest."""
        return self.add("Reshape", name, self.constant(shape, np.int64))

    def pool(self, tokens: str, mask: str, pooling: str) -> str:
        """Pool token vectors (B, S, d), with a mask (B, S) of floats, to (B, d): `training.embedders.pooling.pool`."""
        if pooling == "cls":
            return self.add("Gather", tokens, self.constant(0, np.int64), axis=1)
        here = self.shaped(mask, 0, 0, 1)  # (B, S, 1)
        if pooling == "max":
            # 0 for a token, LEAST for padding, whose own numbers are taken away.
            absent = self.add("Mul", self.add("Sub", self.constant(1), here), self.constant(LEAST))
            kept = self.add("Add", self.add("Mul", tokens, here), absent)
            axes = [self.constant([1], np.int64)] if self.opset >= 18 else []
            attributes = {} if axes else {"axes": [1]}
            return self.add("ReduceMax", kept, *axes, keepdims=0, **attributes)
        weights = self.shaped(mask, 0, 1, -1)  # (B, 1, S)
        if pooling in ("weightedmean", "lasttoken"):
            place = self.add("CumSum", mask, self.constant(1, np.int64))  # 1, 2, … n, n, …
            if pooling == "lasttoken":
                count = self.shaped(self.add("MatMul", weights, here), 0, 1)  # (B, 1)
                # 1 at the last token, 0 before it.
                place = self.add("Relu", self.add("Sub", place, self.add("Sub", count, self.constant(1))))
            weights = self.shaped(self.add("Mul", place, mask), 0, 1, -1)
        sums = self.shaped(self.add("MatMul", weights, tokens), 0, -1)  # (B, d)
        if pooling == "lasttoken":
            return sums
        total = self.add("Max", self.shaped(self.add("MatMul", weights, here), 0, 1), self.constant(1e-9))
        return self.add("Div", sums, self.add("Sqrt", total) if pooling == "mean_sqrt_len_tokens" else total)
