"""Attention as one node in place of twenty: the same numbers, a tenth to a seventh of a short query's time less."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from ..arrays import FloatArray
from .onnx_files import first_line

logger = logging.getLogger(__name__)

DOMAIN = "com.microsoft"
SAME = 1e-5
"""Largest difference between the embeddings of the two graphs: rounding."""


def fuse_attention(model: onnx.ModelProto) -> onnx.ModelProto:
    """The embedder graph with onnxruntime's fused attention, or as it was where its optimiser does not know the model.

    Queries, keys and values stay separate products, whose weights can be quantised; the table of token vectors stays a
    look-up for the same reason. Whatever the optimiser does, its graph counts only where it gives the same embeddings
    of a padded batch.

    Args:
        model: `input_ids` and `attention_mask` to `sentence_embedding`, traced with "eager" attention; not changed.
    """
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    options.use_multi_head_attention, options.enable_embed_layer_norm = True, False
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # it reports every node that it does not fuse
    try:
        with redirect_stdout(io.StringIO()):  # it prints where it cannot infer a shape, which it does not need
            fused: onnx.ModelProto = optimize_model(copied, "bert", optimization_options=options, opt_level=0).model
        if not any(entry.domain == DOMAIN for entry in fused.opset_import):  # the optimiser forgets to say so
            fused.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
        if any(node.op_type == "MultiHeadAttention" for node in fused.graph.node):
            difference = float(np.abs(_embeddings(model) - _embeddings(fused)).max())
            reason = "" if difference <= SAME else f"embeddings differ by {difference:.2g}"
        else:
            reason = "it is written in another way"
    except Exception as error:  # the optimiser and protobuf raise what they like; the graph works without them
        reason = first_line(error)
    finally:
        logging.disable(level)
    if reason:
        logger.info("attention is not fused: %s", reason)
    return model if reason else fused


def _embeddings(model: onnx.ModelProto) -> FloatArray:
    """Embeddings of two texts, of which the second is padded, shape (2, d_in)."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ids = np.arange(16, dtype=np.int64).reshape(2, 8)
    mask = np.ones_like(ids)
    mask[1, 5:] = 0
    feeds: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    rows: FloatArray = session.run(None, {entry.name: feeds[entry.name] for entry in session.get_inputs()})[0]
    return rows
