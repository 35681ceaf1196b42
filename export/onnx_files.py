"""Tracing, cleaning and writing of ONNX graphs."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch

OPSET = 18
"""Supported by onnxruntime since 1.14, by onnxruntime-web and by both exporters."""
IR_VERSION = 10
"""onnxruntime before 1.20 refuses newer versions, which the graphs do not need."""
MAPPED_ABOVE = 16 * 2**20
"""Bytes of weights above which they are written to a second file, which the runtime maps into memory."""

_WARNINGS = (
    # optimum 2.1 uses the TorchScript exporter, which is deprecated since torch 2.9.
    (DeprecationWarning, "You are using the legacy TorchScript-based ONNX export"),
    (DeprecationWarning, "The feature will be removed. Please remove usage of this function"),
    # "This value becomes a constant in the trace": the parity gate finds where that is wrong.
    (torch.jit.TracerWarning, ""),  # type: ignore[attr-defined]  # torch does not list it as exported
    # torch.export uses a deprecated function of torch itself.
    (FutureWarning, r"`isinstance\(treespec, LeafSpec\)` is deprecated"),
)
# They warn about torchvision's operators and weight deduplication, which do not concern a sentence embedder.
_LOGGERS = ("torch.onnx._internal.exporter._registration", "optimum.exporters.onnx")


@contextmanager
def quiet_exporters() -> Iterator[None]:
    """Silence the known warnings of the exporters about themselves, and no others."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for category, message in _WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def to_onnx(
    module: torch.nn.Module,
    inputs: Mapping[str, torch.Tensor],
    outputs: Sequence[str],
    dynamic: Mapping[str, Sequence[int]],
) -> onnx.ModelProto:
    """Trace a module with torch.export.

    Args:
        module: Takes `inputs` as keyword arguments.
        inputs: Example inputs; a dynamic dimension must be above 1 here, or torch makes it constant.
        outputs: Names of the outputs. onnxruntime refuses a graph where one is also the name of an operator.
        dynamic: Dimensions of each input that may change.
    """
    shapes = {name: {dim: torch.export.Dim.DYNAMIC for dim in dims} for name, dims in dynamic.items()}
    with quiet_exporters(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            kwargs=dict(inputs),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    # Only torch's old exporter returns None.
    assert program is not None
    return program.model_proto


def name_dimensions(model: onnx.ModelProto, names: Mapping[str, Sequence[object]]) -> onnx.ModelProto:
    """Remove all outputs of a graph but the named ones, and name the dimensions of its inputs and outputs.

    An int is a fixed size. The graph is changed and returned.
    """
    outputs = [value for value in model.graph.output if value.name in names]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    for value in (*model.graph.input, *model.graph.output):
        for dim, name in zip(value.type.tensor_type.shape.dim, names[value.name], strict=True):
            if isinstance(name, int):
                dim.dim_value = name
            else:
                dim.dim_param = str(name)
    # It holds the exporter's own dimension names; onnxruntime infers it again.
    del model.graph.value_info[:]
    # The exporter's metadata are stack traces with paths of the exporting machine.
    graph = model.graph
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
    return model


def write_model(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph and check it; many weights go to a second file, ``<name>.data``.

    The runtime maps that file into memory and does not copy it: 58 MB less for all-MiniLM-L6-v2 in w8.
    """
    model.ir_version = min(model.ir_version, IR_VERSION)
    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if size > MAPPED_ABOVE:
        weights = f"{path.name}.data"
        onnx.save_model(model, os.fspath(path), save_as_external_data=True, location=weights)
        # onnx makes it readable by its owner only.
        shutil.copymode(path, path.with_name(weights))
    else:
        path.write_bytes(model.SerializeToString())
    onnx.checker.check_model(os.fspath(path))


@contextmanager
def saved(model: onnx.ModelProto, scratch: Path | None = None) -> Iterator[Path]:
    """Write a graph to a temporary folder, its weights to a file beside it, and give its path.

    A protobuf message ends at 2 GB, so larger graphs cannot be copied or opened in memory. `model` keeps its weights.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder, "graph.onnx")
        onnx.save_model(model, os.fspath(path), save_as_external_data=True, location=f"{path.name}.data")
        # Saving moves them out of the graph.
        onnx.load_external_data_for_model(model, folder)
        yield path


def opset_of(models: Iterable[onnx.ModelProto]) -> int:
    """Return the highest version of the standard operator set in these graphs."""
    entries = [entry for model in models for entry in model.opset_import]
    return max(int(entry.version) for entry in entries if entry.domain in ("", "ai.onnx"))
