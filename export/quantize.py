"""Make the embedder graph smaller. Encoder and decoder stay fp32: they are small, and there a code would flip.

On all-MiniLM-L6-v2 (232 texts; fp32 is 90 MB), what the table of token vectors costs beside matrices in blocks of 32:

| table | MB | mean cosine | least cosine | latents kept |
|---|---|---|---|---|
| fp32 | 59.9 | .9997 | .9994 | .967 |
| 8 bits, a scale per 128: `w8` | 25.2 | .9997 | .9993 | .968 |
| 4 bits, a scale per 16 | 22.2 | .9989 | .9981 | .945 |
| 4 bits, a scale per 32: `small` | 20.5 | .9987 | .9976 | .938 |
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ..arrays import FloatArray
from ..errors import ConfigError

Precision = Literal["fp32", "w8", "small", "int8"]

BLOCK_SIZE = 64
"""Weights of a matrix, and numbers of an activation, that share one scale in w8 and small.

Larger is quicker and less exact (a query in 4.2, 3.9, 3.6 ms with .967, .958, .948 of the latents at 32, 64, 128), and
from 128 on a row's last bit depends on how many rows there are (onnxruntime 1.32 with AVX-512), which the rounding of
the next activations makes .006: texts would change with their batch.
"""

MIN_ONNXRUNTIME: dict[Precision, str] = {"fp32": "1.20", "w8": "1.23", "small": "1.23", "int8": "1.20"}
"""Oldest onnxruntime per precision; 8-bit MatMulNBits came with 1.22, quantised tables with zero points with 1.23."""


def check_precision(precision: str) -> Precision:
    """The precision, if there is one of this name.

    Raises:
        ConfigError: There is none.
    """
    for known in get_args(Precision):
        if precision == known:
            return known  # type: ignore[no-any-return]
    raise ConfigError(f"precision is {precision!r}: it must be one of {', '.join(get_args(Precision))}")


def is_batch_invariant(precision: Precision) -> bool:
    """False for int8: its activations are scaled by the largest value of the whole batch, so texts see each other."""
    return precision != "int8"


def quantize(model: onnx.ModelProto, precision: Precision, scratch: Path) -> onnx.ModelProto:
    """The embedder graph in another precision.

    Args:
        model: The fp32 graph; may be changed.
        precision: ``fp32`` returns it as it is. ``w8`` keeps activations fp32 and stores the weights of every linear
            layer in 8 bits per block of 64 (MatMulNBits, accuracy_level 4: multiplied as int8;
            without it the weights are unpacked on every run, three times slower), and the table of token vectors
            in 8 bits. ``small`` stores that table in 4. ``int8`` quantises weights per channel, the table included,
            and activations per run.
        scratch: Folder for intermediate files.
    """
    if precision == "fp32":
        return model
    with _root_logger_kept():
        if precision == "int8":
            return _int8(model, scratch)
        return quantize_table(_matrices(model), 8 if precision == "w8" else 4)


def _matrices(model: onnx.ModelProto) -> onnx.ModelProto:
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    recipe = DefaultWeightOnlyQuantConfig(block_size=BLOCK_SIZE, is_symmetric=True, accuracy_level=4, bits=8)
    quantizer = MatMulNBitsQuantizer(model, algo_config=recipe)
    quantizer.process()
    result: onnx.ModelProto = quantizer.model.model
    return result


def _int8(model: onnx.ModelProto, scratch: Path) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = scratch / "int8.onnx"
    # reduce_range: without it x86 CPUs older than AVX-512 VNNI overflow when they add products of 8-bit numbers, and a
    # bundle does not know where it will run. On all-MiniLM-L6-v2 it costs nothing.
    quantize_dynamic(
        model,
        os.fspath(path),
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},  # fused nodes do not say what they give
    )
    result = onnx.load(os.fspath(path))
    path.unlink()
    return result


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """Undo what onnxruntime's quantisers do to logging: they configure the root logger and report every node to it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.addHandler(logging.NullHandler())  # with a handler there, basicConfig does nothing
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


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
