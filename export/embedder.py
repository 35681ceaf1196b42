"""A sentence-transformers model as one ONNX graph: tokens in, unit sentence embedding out.

Two exporters give the same graph interface. optimum supports many architectures and is fast. torch.export works without
optimum, whose latest release cannot be installed together with transformers 5.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import onnx
import torch
from torch import Tensor, nn

from ..errors import ConfigError, DataError, MissingExtraError
from ..text import first_line
from ..training.embedding import EmbedderSource
from ..training.sentence_model import open_model
from .attention import fuse_attention
from .onnx_files import OPSET, name_dimensions, quiet_exporters, to_onnx

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Via = Literal["auto", "optimum", "torch"]


def load_embedder(source: EmbedderSource) -> SentenceTransformer:
    """Load an embedder for export: on the CPU, in fp32, with a Normalize module at the end.

    Raises:
        DataError: The files cannot be loaded, or the model is of a kind that cannot be exported.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    folder = source.path_or_name
    model = open_model(folder, device="cpu", attn_implementation="eager").float().eval()
    modules = list(model)
    if not (len(modules) > 1 and isinstance(modules[0], Transformer) and isinstance(modules[1], Pooling)):
        kinds = [type(module).__name__ for module in modules]
        raise DataError(f"{folder} is made of {kinds}: only a Transformer followed by Pooling can be exported")
    if not getattr(model.tokenizer, "is_fast", False):
        raise DataError(f"{folder} has no fast tokenizer (tokenizer.json), which the runtime needs")
    if not isinstance(modules[-1], Normalize):
        model = SentenceTransformer(modules=[*modules, Normalize()], device="cpu")
    model.max_seq_length = source.max_length
    return model


def pooling_of(model: SentenceTransformer) -> str:
    """Return the pooling mode of a model, for example ``mean``."""
    pooling: Any = model[1]
    return str(pooling.get_pooling_mode_str())


def embedder_graph(model: SentenceTransformer, via: Via, scratch: Path) -> onnx.ModelProto:
    """Export embedder.onnx: `input_ids`, `attention_mask` (B, S) int64 to `sentence_embedding` (B, d_in) float32.

    `model` is from `load_embedder`; `scratch` is a folder for intermediate files.

    Raises:
        DataError: The exporter cannot trace this model.
    """
    exporter = choose_exporter(via)
    try:
        graph = _export_with_optimum(model, scratch) if exporter == "optimum" else _export_with_torch(model)
    # A fault of the disk, not of the model.
    except OSError:
        raise
    # For an unknown architecture an exporter may raise anything.
    except Exception as error:
        other = "torch" if exporter == "optimum" else "optimum"
        reason = first_line(str(error), type(error).__name__)
        raise DataError(f"{exporter} cannot export this embedder ({reason}): try --via {other}") from error
    tokens = ("batch", "sequence")
    width = int(model.get_sentence_embedding_dimension() or 0)
    shapes = {"input_ids": tokens, "attention_mask": tokens, "sentence_embedding": ("batch", width)}
    return fuse_attention(name_dimensions(graph, shapes))


def write_tokenizer(model: SentenceTransformer, path: Path) -> None:
    """Write the tokenizer of a model. Called before it embeds, which changes the tokenizer's truncation and padding."""
    from tokenizers import Tokenizer, normalizers

    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    # sentence-transformers lower-cases outside of the tokenizer.
    if getattr(model[0], "do_lower_case", False):
        steps = [normalizers.Lowercase(), *([tokenizer.normalizer] if tokenizer.normalizer else [])]
        tokenizer.normalizer = normalizers.Sequence(steps)
    path.write_text(tokenizer.to_str(), encoding="utf-8")


def choose_exporter(via: str) -> Literal["optimum", "torch"]:
    """Return the exporter to use for the embedder graph.

    Raises:
        ConfigError: `via` is not ``auto``, ``optimum`` or ``torch``.
        MissingExtraError: `via` is ``optimum``, which is not installed.
    """
    if via not in ("auto", "optimum", "torch"):
        raise ConfigError(f"via is {via!r}: it must be auto, optimum or torch")
    if via == "torch":
        return "torch"
    # optimum alone has no exporter, and optimum-onnx may not support the installed transformers.
    try:
        import optimum.exporters.onnx  # noqa: F401
    except ImportError as error:
        if via == "auto":
            return "torch"
        raise MissingExtraError(f"optimum's exporter cannot be imported ({error}): use --via torch") from error
    return "optimum"


def _export_with_optimum(model: SentenceTransformer, scratch: Path) -> onnx.ModelProto:
    from optimum.exporters.onnx import onnx_export_from_model

    # The folder also receives a tokenizer and a config that the bundle does not use.
    with tempfile.TemporaryDirectory(dir=scratch) as folder, quiet_exporters():
        onnx_export_from_model(model, folder, task="feature-extraction", opset=OPSET, do_validation=False)
        return onnx.load(os.path.join(folder, "model.onnx"))


class _Embedder(nn.Module):
    """A sentence-transformers model whose inputs and outputs are tensors instead of a dict of features."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        features: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
        embedding: Tensor = self.model(features)["sentence_embedding"]
        return embedding


def _export_with_torch(model: SentenceTransformer) -> onnx.ModelProto:
    ids = torch.ones(2, 8, dtype=torch.int64)
    mask = torch.ones_like(ids)
    # A mask of ones only could be traced as no mask.
    mask[1, 5:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    return to_onnx(_Embedder(model), inputs, ["sentence_embedding"], {name: [0, 1] for name in inputs})
