"""A sentence-transformers model as one ONNX graph: tokens in, unit sentence embedding out.

Two exporters give the same graph interface. optimum supports many architectures and is fast. torch.export works without
optimum, whose latest release cannot be installed together with transformers 5.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ..errors import ConfigError, DataError, MissingExtraError
from ..runtime.bundle.onnx_embedder import OUTPUT, TOKENS
from ..text import first_line
from ..training.embedding import EmbedderSource
from ..training.prepared_model import prepare_model
from ..training.sentence_model import VECTORS_CURE, open_model
from .attention import embeddings_of, fuse_attention
from .onnx_files import OPSET, name_dimensions, quiet_exporters, saved, to_onnx
from .token_vectors import Tail, tail_of, with_token_vectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Via = Literal["auto", "optimum", "torch"]
MAX_DIFFERENCE = 1e-3
"""Between the embeddings of a new graph and of its model: far above rounding errors, for which the parity gate is."""


class _Truncate(nn.Module):
    """A module of sentence-transformers that keeps the first numbers of an embedding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        features["sentence_embedding"] = features["sentence_embedding"][:, : self.width]
        return features

    def get_sentence_embedding_dimension(self) -> int:
        return self.width


def load_embedder(source: EmbedderSource) -> SentenceTransformer:
    """Load an embedder for export: on the CPU, in fp32, with a Normalize module at the end.

    Raises:
        DataError: The files cannot be loaded, or the model is of a kind that cannot be exported.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    folder = source.path_or_name
    model = open_model(folder, device="cpu", attn_implementation="eager").eval()
    prepare_model(model, source)
    modules = list(model)
    kinds = [type(module) for module in modules]
    if kinds[0] is not Transformer or kinds.count(Transformer) != 1 or kinds.count(Pooling) != 1:
        names = ", ".join(kind.__name__ for kind in kinds)
        raise DataError(
            f"{folder} is made of {names}: only one Transformer and one Pooling, with Dense, LayerNorm or Normalize "
            f"behind it, can be exported; choose another embedder, or {VECTORS_CURE}"
        )
    if not getattr(model.tokenizer, "is_fast", False):
        raise DataError(
            f"{folder} has no fast tokenizer (tokenizer.json), which the runtime needs: load it once with "
            "AutoTokenizer.from_pretrained(FOLDER, use_fast=True) and save_pretrained there, or choose another embedder"
        )
    if source.truncate_dim is not None:
        modules = [*modules, _Truncate(source.truncate_dim)]
    if not isinstance(modules[-1], Normalize):
        modules = [*modules, Normalize()]
    if len(modules) > len(kinds):
        model = SentenceTransformer(modules=modules, device="cpu")
        model.max_seq_length = source.max_length
    return model


def pooling_of(model: SentenceTransformer) -> str:
    """Return the pooling mode of a model, for example ``mean``."""
    pooling: Any = next(module for module in model if hasattr(module, "get_pooling_mode_str"))
    return str(pooling.get_pooling_mode_str())


def embedder_graph(
    model: SentenceTransformer, via: Via, scratch: Path, report: Callable[[str], None] | None = None
) -> onnx.ModelProto:
    """Export embedder.onnx: `input_ids`, `attention_mask` (B, S) int64 to `sentence_embedding` (B, d_in) float32.

    Where the embedding is the mean of token vectors up to its length, the graph gives these as a second output,
    `token_embeddings` (B, S, d_in); see `token_vectors`.

    Args:
        model: From `load_embedder`.
        via: With ``auto``, torch follows where optimum cannot trace the model or its graph gives other embeddings.
        scratch: A folder for intermediate files.
        report: Called with a line before each exporter begins.

    Raises:
        DataError: None of the exporters that `via` allows can export this model.
    """
    first, tail = choose_exporter(via), tail_of(model)
    reasons: list[str] = []
    for exporter in ("optimum", "torch") if (via, first) == ("auto", "optimum") else (first,):
        if report is not None:
            report(f"exporting the embedder with {exporter}" + (f", since {reasons[0]}" if reasons else ""))
        try:
            graph = _export_with_optimum(model, scratch) if exporter == "optimum" else _export_with_torch(model, tail)
            tokens = ("batch", "sequence")
            width = int(model.get_sentence_embedding_dimension() or 0)
            shapes: dict[str, tuple[str | int, ...]] = {"input_ids": tokens, "attention_mask": tokens}
            shapes[OUTPUT] = ("batch", width)
            if tail is not None and with_token_vectors(graph, tail):
                shapes[TOKENS] = (*tokens, width)
            graph = name_dimensions(graph, shapes)
            difference = _difference(graph, model, scratch)
            if difference <= MAX_DIFFERENCE:
                return fuse_attention(graph, scratch)
            reasons.append(f"{exporter} makes a graph whose embeddings differ by {difference:.2g}")
        # A fault of the disk, not of the model.
        except OSError:
            raise
        # For an unknown architecture an exporter may raise anything.
        except Exception as error:
            reasons.append(f"{exporter} cannot export it ({first_line(str(error), type(error).__name__)})")
    other = f"try --via {'optimum' if exporter == 'torch' else 'torch'}"
    cure = f"choose another embedder, or {VECTORS_CURE}" if len(reasons) > 1 else other
    raise DataError(f"this embedder cannot be exported: {'; '.join(reasons)}: {cure}")


def _difference(graph: onnx.ModelProto, model: SentenceTransformer, scratch: Path) -> float:
    """Return the largest difference between the embeddings of a graph and of its model, on texts of several lengths.

    What depends on the length of the texts that were traced shows here, and not after all other work.
    """
    largest = 0.0
    with saved(graph, scratch) as path, torch.no_grad():
        for texts in (["one"], ["a longer text, of several words", "two words"], ["a long text " * 20, "short"]):
            features = model.tokenize(texts)
            given = [features[name].numpy() for name in ("input_ids", "attention_mask")]
            # Modules of sentence-transformers change the mask that they are given.
            expected = model({"input_ids": features["input_ids"], "attention_mask": features["attention_mask"].clone()})
            rows = embeddings_of(path, given[0], given[1])
            largest = max(largest, float(np.abs(rows - expected[OUTPUT].numpy()).max()))
    return largest


def write_tokenizer(model: SentenceTransformer, path: Path) -> None:
    """Write the tokenizer of a model. Called before it embeds, which changes the tokenizer's truncation and padding."""
    from tokenizers import Tokenizer, normalizers

    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    # sentence-transformers lower-cases outside of the tokenizer.
    if getattr(model[0], "do_lower_case", False):
        steps = [normalizers.Lowercase(), *([tokenizer.normalizer] if tokenizer.normalizer else [])]
        tokenizer.normalizer = normalizers.Sequence(steps)
    # Models that count positions from the padding on need the right one.
    pad_id = model.tokenizer.pad_token_id
    if tokenizer.padding is None and pad_id is not None:
        tokenizer.enable_padding(pad_id=pad_id, pad_token=model.tokenizer.pad_token)
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

    def __init__(self, model: SentenceTransformer, outputs: list[str]) -> None:
        super().__init__()
        self.model, self.outputs = model, outputs

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        features: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
        made = self.model(features)
        return tuple(made[name] for name in self.outputs)


def _export_with_torch(model: SentenceTransformer, tail: Tail | None) -> onnx.ModelProto:
    ids = torch.ones(2, 8, dtype=torch.int64)
    mask = torch.ones_like(ids)
    # A mask of ones only could be traced as no mask.
    mask[1, 5:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    outputs = [OUTPUT] if tail is None else [OUTPUT, TOKENS]
    return to_onnx(_Embedder(model, outputs), inputs, outputs, {name: [0, 1] for name in inputs})
