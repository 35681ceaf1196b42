"""The vectors of a text's tokens as a second output of an embedder's graph, of which the embedding is the mean.

What follows the pooling is done with each token's vector too. That is exact for what is linear (a product, a bias, the
first numbers of a vector) and for a division by a length, which turns no vector. An activation, a normalisation of the
numbers (LayerNorm) and another pooling are neither, and a graph with one of them gets no second output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..arrays import FloatArray
from ..runtime.bundle.onnx_embedder import TOKENS

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_PREFIX = "steersearch_token_"


@dataclass(frozen=True)
class Product:
    """A linear layer: ``rows @ weight.T + bias``."""

    weight: FloatArray
    """Shape (d_out, d_in)."""
    bias: FloatArray | None
    """Shape (d_out,)."""


Tail = Sequence[Product | int]
"""What follows the pooling: products, and how many of the first numbers are kept."""


def tail_of(model: SentenceTransformer) -> Tail | None:
    """Return what a model from `load_embedder` does after its pooling; None where no sum over tokens is the embedding.

    A `Normalize` before a product with a bias is such a case: how much the bias counts depends on the whole text.
    """
    from sentence_transformers.models import Dense, Normalize, Pooling
    from torch import nn

    modules = list(model)
    place = next(i for i, module in enumerate(modules) if isinstance(module, Pooling))
    pooling: Any = modules[place]
    if pooling.get_pooling_mode_str() != "mean":
        return None
    tail: list[Product | int] = []
    divided = False
    for module in modules[place + 1 :]:
        if isinstance(module, Normalize):
            divided = True
        elif isinstance(module, Dense):
            linear: Any = module.linear
            if not isinstance(module.activation_function, nn.Identity) or (divided and linear.bias is not None):
                return None
            bias = None if linear.bias is None else linear.bias.detach().numpy()
            tail.append(Product(linear.weight.detach().numpy(), bias))
        elif hasattr(module, "width"):
            cut: Any = module.width
            tail.append(int(cut))
        else:
            return None
    return tail


def with_token_vectors(model: onnx.ModelProto, tail: Tail) -> bool:
    """Let a graph give its output `token_embeddings` as its last one, with the tail done to it.

    The graph is changed, unless it has no such output; then False is returned.
    """
    graph = model.graph
    given = next((value for value in graph.output if value.name == TOKENS), None)
    if given is None:
        return False
    graph.output.remove(given)
    if tail:
        append_tail(graph, tail)
    graph.output.append(helper.make_tensor_value_info(TOKENS, onnx.TensorProto.FLOAT, ("batch", "sequence", "width")))
    return True


def append_tail(graph: onnx.GraphProto, tail: Tail) -> None:
    """Do the tail with the tensor `token_embeddings`, which is renamed; the result has its name."""
    rows = f"{_PREFIX}0"
    rename(graph, TOKENS, rows)
    count = 0

    def constant(value: Any) -> str:
        name = f"{_PREFIX}constant_{len(graph.initializer)}"
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(operator: str, *inputs: str) -> str:
        nonlocal count
        count += 1
        graph.node.append(helper.make_node(operator, inputs, [f"{_PREFIX}{count}"], name=f"{_PREFIX}node_{count}"))
        return f"{_PREFIX}{count}"

    for step in tail:
        if isinstance(step, int):
            ends = [constant(np.array([value], np.int64)) for value in (0, step, 2)]
            rows = add("Slice", rows, *ends)  # from 0 to `step` on axis 2
            continue
        rows = add("MatMul", rows, constant(step.weight.T))
        if step.bias is not None:
            rows = add("Add", rows, constant(step.bias))
    rename(graph, rows, TOKENS)


def rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Rename a tensor in a graph and in the graphs inside it."""
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                rename(inner, old, new)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        if value.name == old:
            value.name = new
