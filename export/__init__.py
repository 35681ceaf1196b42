"""Export of a checkpoint as a verified ONNX bundle (extra ``export``).

Read in this order: `bundle` (all steps), `embedder` and `attention` (the embedder's graph), `quantize` (smaller
weights), `graphs` (encoder and decoder), `onnx_files` (tracing and writing), `parity` (the comparison with torch),
`licences` (the LICENSES file), `pretrained` (autoencoders that come with the package).
"""

from ..extras import require

require("export", "torch", "onnx", "onnxscript", "sentence_transformers")

from .bundle import export_bundle  # noqa: E402
from .pretrained import export_pretrained, load_pretrained, pretrained_names  # noqa: E402

__all__ = ["export_bundle", "export_pretrained", "load_pretrained", "pretrained_names"]
