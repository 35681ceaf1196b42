"""A sentence-transformers model as one ONNX graph: tokens in, unit sentence embedding out.

Two ways that give the same graph interface. optimum knows many architectures and is quick; torch.export needs no
optimum, whose latest release cannot be installed beside transformers 5.
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
from ..training.embedding import EmbedderSource
from .attention import fuse_attention
from .onnx_files import OPSET, first_line, name_dimensions, quiet_exporters, to_onnx

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Via = Literal["auto", "optimum", "torch"]


def load_embedder(source: EmbedderSource) -> SentenceTransformer:
    """Load an embedder for export: on the CPU, fp32, and ending in a Normalize module.

    Raises:
        DataError: The files cannot be loaded, or it is not a text model of the kind that a bundle can hold.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    folder = source.path_or_name
    try:
        model = SentenceTransformer(
            folder, device="cpu", local_files_only=True, model_kwargs={"attn_implementation": "eager"}
        )
        model = model.float().eval()
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, AttributeError) as error:
        raise DataError(f"{folder} cannot be loaded as a sentence-transformers model: {first_line(error)}") from error
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
    """How the model makes one vector of many, for example ``mean``."""
    pooling: Any = model[1]
    return str(pooling.get_pooling_mode_str())


def embedder_graph(model: SentenceTransformer, via: Via, scratch: Path) -> onnx.ModelProto:
    """embedder.onnx: `input_ids` and `attention_mask` (B, S) int64 to `sentence_embedding` (B, d_in) float32.

    Args:
        model: From `load_embedder`.
        via: ``optimum``, ``torch``, or ``auto`` for optimum where it is installed.
        scratch: Folder for intermediate files.

    Raises:
        DataError: The exporter cannot trace this model.
    """
    chosen = choose_exporter(via)
    try:
        graph = _by_optimum(model, scratch) if chosen == "optimum" else _by_torch(model)
    except OSError:  # the disk, not the model
        raise
    except Exception as error:  # whatever an exporter raises about an architecture that it does not know
        other = "torch" if chosen == "optimum" else "optimum"
        raise DataError(f"{chosen} cannot export this embedder ({first_line(error)}): try --via {other}") from error
    tokens = ("batch", "sequence")
    width = int(model.get_sentence_embedding_dimension() or 0)
    shapes = {"input_ids": tokens, "attention_mask": tokens, "sentence_embedding": ("batch", width)}
    return fuse_attention(name_dimensions(graph, shapes))


def write_tokenizer(model: SentenceTransformer, path: Path) -> None:
    """Write the tokenizer that the model really uses, before any text has changed its truncation and padding."""
    from tokenizers import Tokenizer, normalizers

    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    if getattr(model[0], "do_lower_case", False):  # sentence-transformers does this outside of the tokenizer
        steps = [normalizers.Lowercase(), *([tokenizer.normalizer] if tokenizer.normalizer else [])]
        tokenizer.normalizer = normalizers.Sequence(steps)
    path.write_text(tokenizer.to_str(), encoding="utf-8")


def choose_exporter(via: str) -> Literal["optimum", "torch"]:
    """Which exporter makes the embedder graph.

    Raises:
        ConfigError: `via` is not ``auto``, ``optimum`` or ``torch``.
        MissingExtraError: optimum was asked for and is not installed.
    """
    if via not in ("auto", "optimum", "torch"):
        raise ConfigError(f"via is {via!r}: it must be auto, optimum or torch")
    if via == "torch":
        return "torch"
    try:  # optimum alone has no exporter, and optimum-onnx may not fit the installed transformers
        import optimum.exporters.onnx  # noqa: F401
    except ImportError as error:
        if via == "auto":
            return "torch"
        raise MissingExtraError(f"optimum's exporter cannot be imported ({error}): use --via torch") from error
    return "optimum"


def _by_optimum(model: SentenceTransformer, scratch: Path) -> onnx.ModelProto:
    from optimum.exporters.onnx import onnx_export_from_model

    # The folder also receives a tokenizer and a config that the bundle does not use.
    with tempfile.TemporaryDirectory(dir=scratch) as folder, quiet_exporters():
        onnx_export_from_model(model, folder, task="feature-extraction", opset=OPSET, do_validation=False)
        return onnx.load(os.path.join(folder, "model.onnx"))


class _Embedder(nn.Module):
    """All modules of the sentence-transformers model, with tensors in place of its dict of features."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        features: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
        embedding: Tensor = self.model(features)["sentence_embedding"]
        return embedding


def _by_torch(model: SentenceTransformer) -> onnx.ModelProto:
    ids = torch.ones(2, 8, dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0  # an all-ones mask could be traced as no mask
    inputs = {"input_ids": ids, "attention_mask": mask}
    return to_onnx(_Embedder(model), inputs, ["sentence_embedding"], {name: [0, 1] for name in inputs})
