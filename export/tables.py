"""The table of token vectors in 8 or 4 bits: half to three quarters of a small embedder's bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ..metrics import FloatArray

Bytes = NDArray[np.uint8]
_BLOCKS = {8: (128, 64, 32, 16), 4: (32, 16)}
"""Numbers that share a scale, in order of preference; onnxruntime takes powers of two from 16 on."""


def quantize_table(model: onnx.ModelProto, bits: int) -> onnx.ModelProto:
    """Store the largest table that a graph looks rows up in as whole numbers, with a scale and a zero per block.

    Only the looked-up rows are unpacked in a run, so it costs no time. onnxruntime's own quantiser does 4 bits only,
    writes a type that needs opset 21, and takes the small tables of positions too, whose rows are in every text: it
    keeps 2 % fewer latents.

    Args:
        model: Changed and returned; as it is where no table has a width that blocks divide.
        bits: 8 or 4.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    uses = [name for node in graph.node for name in node.input]
    tables = [
        (place, weights[node.input[0]])
        for place, node in enumerate(graph.node)
        if node.op_type == "Gather" and node.input[0] in weights and uses.count(node.input[0]) == 1
    ]
    tables = [(place, t) for place, t in tables if len(t.dims) == 2 and t.data_type == onnx.TensorProto.FLOAT]
    if not tables:
        return model
    place, table = max(tables, key=lambda pair: int(np.prod(pair[1].dims)))
    block = _block(int(table.dims[1]), bits)
    if block is None:
        return model
    old = graph.node[place]
    names = [f"{table.name}_{part}" for part in ("quantized", "scales", "zeros")]
    arrays: tuple[NDArray[Any], ...] = quantize_rows(numpy_helper.to_array(table), bits, block)
    graph.initializer.remove(table)
    graph.initializer.extend(numpy_helper.from_array(a, name) for a, name in zip(arrays, names, strict=True))
    inputs = [names[0], old.input[1], *names[1:]]
    new = helper.make_node(
        "GatherBlockQuantized",
        inputs,
        list(old.output),
        name=old.name,
        domain="com.microsoft",
        gather_axis=0,
        quantize_axis=1,
        block_size=block,
        bits=bits,
    )
    old.CopyFrom(new)
    if all(entry.domain != "com.microsoft" for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def quantize_rows(rows: FloatArray, bits: int, block: int) -> tuple[Bytes, FloatArray, Bytes]:
    """Whole numbers, scales and zeros, so that ``(numbers - zero) * scale`` is nearest to the rows.

    Args:
        rows: Shape (n, d), d a multiple of `block`.
        bits: 8, or 4, two numbers to a byte, the first in the low half.
        block: Neighbours in a row that share a scale and a zero.

    Returns:
        Numbers (n, d * bits / 8) uint8, scales (n, d / block) float32, zeros (n, d / block * bits / 8) uint8.
    """
    blocks = rows.astype(np.float32).reshape(len(rows), -1, block)
    low, high = np.minimum(blocks.min(2), 0), np.maximum(blocks.max(2), 0)  # so that a zero stays exactly zero
    top = 2**bits - 1
    scales = ((high - low) / top).astype(np.float32)
    scales[scales == 0] = 1
    zeros = np.clip(np.round(-low / scales), 0, top).astype(np.uint8)
    numbers = np.clip(np.round(blocks / scales[..., None]) + zeros[..., None], 0, top).astype(np.uint8)
    flat: Bytes = numbers.reshape(len(rows), -1)
    return (_packed(flat), scales, _packed(zeros)) if bits == 4 else (flat, scales, zeros)


def _packed(halves: Bytes) -> Bytes:
    return np.bitwise_or(halves[:, 0::2], np.left_shift(halves[:, 1::2], np.uint8(4)), dtype=np.uint8)


def _block(width: int, bits: int) -> int | None:
    """The first block that divides a row; in 4 bits an even number of times, since zeros are packed in pairs."""
    pairs = 8 // bits
    return next((block for block in _BLOCKS[bits] if width % (block * pairs) == 0), None)
