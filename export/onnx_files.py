"""What every exported graph goes through: torch's exporter without its chatter, one file on disk."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch

OPSET = 18
"""Old enough for every onnxruntime since 1.14 and for onnxruntime-web, new enough for both exporters."""
IR_VERSION = 10
"""Newer ones are refused by onnxruntime before 1.20; nothing here needs them."""
MAPPED_ABOVE = 16 * 2**20
"""Bytes; above this the weights go into a file beside the graph, which the runtime maps into memory."""

_WARNINGS = (
    # optimum 2.1 still calls the TorchScript exporter, which torch 2.9 and newer announce to remove.
    (DeprecationWarning, "You are using the legacy TorchScript-based ONNX export"),
    (DeprecationWarning, "The feature will be removed. Please remove usage of this function"),
    # "This value becomes a constant in the trace": where that is wrong, the parity gate finds it.
    (torch.jit.TracerWarning, ""),  # type: ignore[attr-defined]  # torch does not list it as exported
    # torch.export copies its own tree specifications in a way that it has deprecated.
    (FutureWarning, r"`isinstance\(treespec, LeafSpec\)` is deprecated"),
)
# torchvision's operators and weight deduplication across models: neither concerns a sentence embedder.
_LOGGERS = ("torch.onnx._internal.exporter._registration", "optimum.exporters.onnx")


@contextmanager
def quiet_exporters() -> Iterator[None]:
    """Silence what the exporters are known to say about themselves, and nothing else."""
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
        inputs: Example inputs; a dynamic dimension must be above 1 here or torch freezes it.
        outputs: Names of the outputs. A name that is also an operator's gives a graph that onnxruntime refuses.
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
    assert program is not None  # torch returns None from its old exporter only
    return program.model_proto


def name_dimensions(model: onnx.ModelProto, names: Mapping[str, Sequence[object]]) -> onnx.ModelProto:
    """Keep only the named outputs and give inputs and outputs readable dimensions; changes and returns `model`."""
    outputs = [value for value in model.graph.output if value.name in names]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    for value in (*model.graph.input, *model.graph.output):
        for dim, name in zip(value.type.tensor_type.shape.dim, names[value.name], strict=True):
            if isinstance(name, int):
                dim.dim_value = name
            else:
                dim.dim_param = str(name)
    del model.graph.value_info[:]  # still speaks of the exporter's own dimension names; onnxruntime infers it anew
    _strip_notes(model.graph)
    return model


def _strip_notes(graph: onnx.GraphProto) -> None:
    """Remove the exporter's notes: they hold stack traces with the paths of the exporting machine."""
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]


def write_model(model: onnx.ModelProto, path: Path) -> None:
    """Check a graph and write it, with its weights beside it when there are many.

    Weights beside the graph are mapped into memory and not read into it: 58 MB less for all-MiniLM-L6-v2 in w8.
    """
    model.ir_version = min(model.ir_version, IR_VERSION)
    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if size > MAPPED_ABOVE:
        beside = f"{path.name}.data"
        onnx.save_model(model, os.fspath(path), save_as_external_data=True, location=beside)
        shutil.copymode(path, path.with_name(beside))  # onnx makes it readable by its owner only
    else:
        path.write_bytes(model.SerializeToString())
    onnx.checker.check_model(os.fspath(path))


def opset_of(models: Iterable[onnx.ModelProto]) -> int:
    """Highest version of the standard operator set in these graphs."""
    entries = [entry for model in models for entry in model.opset_import]
    return max(int(entry.version) for entry in entries if entry.domain in ("", "ai.onnx"))


def first_line(error: BaseException) -> str:
    """First line of an error's message, or the name of its type when it has none."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
