"""Turn a checkpoint into a verified ONNX bundle (extra ``export``)."""

from ..extras import require

require("export", "torch", "onnx", "onnxscript", "sentence_transformers")

from .bundle import export_bundle  # noqa: E402
from .pretrained import load_pretrained, pretrained_names  # noqa: E402

__all__ = ["export_bundle", "load_pretrained", "pretrained_names"]
