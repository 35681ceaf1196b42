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
from typing import Literal, get_args

import onnx

from ..errors import ConfigError
from .tables import quantize_table

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
