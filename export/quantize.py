"""Quantisation of the embedder graph. Encoder and decoder remain fp32: they are small, and the codes would change.

Precision of the table of token vectors on all-MiniLM-L6-v2 (232 texts; 90 MB in fp32), with matrices in blocks of 32:

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
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ..arrays import FloatArray
from ..errors import ConfigError

Precision = Literal["fp32", "fp16", "w8", "small", "int8"]
"""`fp16` is for a table of token vectors only, `small` and `int8` are for graphs only."""

BLOCK_SIZE = 64
"""Weights of a matrix, and numbers of an activation, that share one scale in w8 and small.

Larger blocks are faster and less exact: a query takes 4.2, 3.9, 3.6 ms and keeps .967, .958, .948 of the latents at 32,
64, 128. From 128 on, the last bit of a row depends on the number of rows (onnxruntime 1.32 with AVX-512); rounding of
the next activations turns that into .006, so that a text would change with its batch.
"""

MIN_ONNXRUNTIME: dict[Precision, str] = {"fp32": "1.20", "fp16": "1.20", "w8": "1.23", "small": "1.23", "int8": "1.20"}
"""Oldest onnxruntime per precision: 1.22 added 8-bit MatMulNBits, 1.23 quantised tables with zero points."""
ByteArray = NDArray[np.uint8]
_BLOCKS = {8: (128, 64, 32, 16), 4: (32, 16)}
"""Numbers of a table's row that share a scale, by bits and in order of preference; onnxruntime takes powers of two from
16 on."""


def check_precision(precision: str) -> Precision:
    """Return the precision of this name.

    Raises:
        ConfigError: An unknown name.
    """
    if precision not in get_args(Precision):
        raise ConfigError(f"precision is {precision!r}: it must be one of {', '.join(get_args(Precision))}")
    return cast(Precision, precision)


def is_batch_invariant(precision: Precision) -> bool:
    """Return whether embeddings do not depend on the batch: in int8 its largest value scales all activations."""
    return precision != "int8"


def quantize(model: onnx.ModelProto, precision: Precision, scratch: Path) -> onnx.ModelProto:
    """Convert the embedder graph, which may be changed, to another precision; ``fp32`` returns it as it is.

    ``w8`` stores the weights of every linear layer in 8 bits, with a scale per block of 64 (MatMulNBits), and the table
    of token vectors in 8 bits; activations are fp32. ``small`` stores the table in 4 bits. ``int8`` quantises weights
    per channel, the table included, and activations per run; `scratch` is a folder for its intermediate files.

    Raises:
        ConfigError: `precision` is ``fp16``.
    """
    if precision == "fp32":
        return model
    if precision == "fp16":
        raise ConfigError("precision fp16 is for a table of token vectors, and this embedder is a graph: choose w8")
    with _preserve_root_logger():
        if precision == "int8":
            return _quantize_dynamically(model, scratch)
        return quantize_table(_quantize_matrices(model), 8 if precision == "w8" else 4)


def _quantize_matrices(model: onnx.ModelProto) -> onnx.ModelProto:
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    # accuracy_level 4 multiplies as int8; otherwise every run unpacks the weights and takes three times as long.
    config = DefaultWeightOnlyQuantConfig(block_size=BLOCK_SIZE, is_symmetric=True, accuracy_level=4, bits=8)
    quantizer = MatMulNBitsQuantizer(model, algo_config=config)
    quantizer.process()
    result: onnx.ModelProto = quantizer.model.model
    return result


def _quantize_dynamically(model: onnx.ModelProto, scratch: Path) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = scratch / "int8" / "int8.onnx"
    path.parent.mkdir()
    # reduce_range: without it, sums of 8-bit products overflow on x86 CPUs older than AVX-512 VNNI, and a bundle must
    # run there too. On all-MiniLM-L6-v2 it costs nothing.
    quantize_dynamic(
        model,
        os.fspath(path),
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        # Fused nodes do not declare the type of their outputs.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        # A message of protobuf ends at 2 GB.
        use_external_data_format=True,
    )
    result = onnx.load(os.fspath(path))
    shutil.rmtree(path.parent)
    return result


@contextmanager
def _preserve_root_logger() -> Iterator[None]:
    """Undo the changes of onnxruntime's quantisers to logging: they configure the root logger and log every node."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    # `basicConfig` does nothing when there is a handler.
    root.addHandler(logging.NullHandler())
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def quantize_table(model: onnx.ModelProto, bits: int) -> onnx.ModelProto:
    """Quantise the largest look-up table of a graph to 8 or 4 bits, with a scale and a zero point per block.

    A run unpacks only the rows that it looks up, so it takes no longer. onnxruntime's own quantiser supports 4 bits
    only, writes a type that needs opset 21, and also quantises the small tables of positions, whose rows are used for
    every text: it keeps 2 % fewer latents. The graph is changed and returned; it stays as it is when no block size
    divides the width of the table.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    uses = [name for node in graph.node for name in node.input]
    tables = [
        (position, weights[node.input[0]])
        for position, node in enumerate(graph.node)
        if node.op_type == "Gather" and node.input[0] in weights and uses.count(node.input[0]) == 1
    ]
    tables = [(position, t) for position, t in tables if len(t.dims) == 2 and t.data_type == onnx.TensorProto.FLOAT]
    if not tables:
        return model
    position, table = max(tables, key=lambda pair: int(np.prod(pair[1].dims)))
    # With 4 bits an even number of blocks, since zeros are packed in pairs.
    block = next((block for block in _BLOCKS[bits] if int(table.dims[1]) % (block * (8 // bits)) == 0), None)
    if block is None:
        return model
    old = graph.node[position]
    names = [f"{table.name}_{part}" for part in ("quantized", "scales", "zeros")]
    arrays: tuple[NDArray[Any], ...] = quantize_rows(numpy_helper.to_array(table), bits, block)
    graph.initializer.remove(table)
    graph.initializer.extend(numpy_helper.from_array(a, name) for a, name in zip(arrays, names, strict=True))
    new = helper.make_node(
        "GatherBlockQuantized",
        [names[0], old.input[1], *names[1:]],
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


def quantize_rows(rows: FloatArray, bits: int, block: int) -> tuple[ByteArray, FloatArray, ByteArray]:
    """Quantise rows (n, d) so that ``(numbers - zero) * scale`` is nearest to them, with a scale per `block` of a row.

    Returns:
        Numbers (n, d * bits / 8) uint8, scales (n, d / block) float32, zeros (n, d / block * bits / 8) uint8. With 4
        bits a byte holds two numbers, the first in the low half.
    """
    blocks = rows.astype(np.float32).reshape(len(rows), -1, block)
    # The range includes 0, so that 0 remains exactly 0.
    low, high = np.minimum(blocks.min(2), 0), np.maximum(blocks.max(2), 0)
    top = 2**bits - 1
    scales = ((high - low) / top).astype(np.float32)
    scales[scales == 0] = 1
    zeros = np.clip(np.round(-low / scales), 0, top).astype(np.uint8)
    numbers = np.clip(np.round(blocks / scales[..., None]) + zeros[..., None], 0, top).astype(np.uint8)
    flat: ByteArray = numbers.reshape(len(rows), -1)
    return (_pack_pairs(flat), scales, _pack_pairs(zeros)) if bits == 4 else (flat, scales, zeros)


def _pack_pairs(halves: ByteArray) -> ByteArray:
    return np.bitwise_or(halves[:, 0::2], np.left_shift(halves[:, 1::2], np.uint8(4)), dtype=np.uint8)
