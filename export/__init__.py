"""Export of a checkpoint as a verified ONNX bundle (extra ``export``).

Read in this order: `bundle` (all steps), `exportable` (what every kind of embedder has), `transformer`, `static` and
`own_graph` (the kinds), `embedder` and `attention` (the graph of a transformer), `quantize` (smaller
weights), `graphs` (encoder and decoder), `onnx_files` (tracing and writing), `parity` (the comparison with torch),
`licences` (the LICENSES file), `pretrained` (autoencoders that come with the package).
"""

from ..cpus import let_threads_sleep
from ..extras import require

require("export", "torch", "onnx", "onnxscript", "sentence_transformers")
let_threads_sleep()  # before torch is loaded

from .bundle import export_bundle  # noqa: E402
from .pretrained import export_pretrained, load_pretrained, pretrained_names  # noqa: E402

__all__ = ["export_bundle", "export_pretrained", "load_pretrained", "pretrained_names"]
