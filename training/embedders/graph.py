"""Somebody's ONNX graph and its tokenizer, run by onnxruntime as they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import FloatArray, IntArray
from ...errors import DataError
from ...onnx_graph import check_graph
from ...text import first_line
from ..sentence_model import read_json
from .folders import TOKENIZER, graph_of, graph_weights
from .pooling import POOLINGS, pool, pooling_of
from .tokenizer import MAX_CHARACTERS, open_tokenizer

BATCH_SIZE = 32
EMBEDDING = "sentence_embedding"
"""Output of a graph that pools itself, as sentence-transformers calls it."""
TOKENS = ("last_hidden_state", "token_embeddings")
"""Outputs with a vector for every token, as transformers and sentence-transformers call them."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_PADS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "</s>")
_PROBES = ["a text", "another text of several more words"]


class GraphModel:
    """A graph from tokens to one vector, or to a vector for each token; see `EmbeddingModel`.

    Attributes:
        output: The output of the graph that is read.
        pooling: What is done with it: empty where it is one vector per text already.
    """

    def __init__(self, folder: Path, *, max_length: int, pooling: str) -> None:
        """Open the graph in a folder and run it once.

        Args:
            folder: Has model.onnx (or onnx/model.onnx) and tokenizer.json.
            max_length: Tokens that are read of a text, special ones included.
            pooling: From `check_pooling`; empty for what the files beside the graph say.

        Raises:
            DataError: A file cannot be used, the graph wants something else than tokens, or it gives a vector for each
                token and nobody says how they are pooled.
        """
        graph = graph_of(folder)
        if graph is None:
            raise DataError(f"{folder} has no model.onnx: copy the model again")
        self.path = graph
        self._tokenizer = open_tokenizer(folder / TOKENIZER)
        special = self._tokenizer.num_special_tokens_to_add(False)
        if special >= max_length:
            raise DataError(
                f"{folder} adds {special} tokens to a text and reads {max_length}: raise its max_seq_length"
            )
        self._tokenizer.enable_truncation(max_length)
        self._pad = pad_id(folder, self._tokenizer)
        self._tokenizer.no_padding()
        self._session = _open(graph)
        self._types = {each.name: np.int32 if each.type == "tensor(int32)" else np.int64 for each in self._inputs()}
        self.output, self.pooling = self._choose(folder, pooling)

    @property
    def batch_size(self) -> int:
        """Texts per run."""
        return BATCH_SIZE

    def lengths(self, texts: Sequence[str]) -> IntArray:
        """Count the tokens of every text, shape (n,)."""
        return np.array([len(row) for row in self._tokenise(texts)], np.int64)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts as they are: rows of any length, shape (n, d_in), float32."""
        found, mask = self._run(texts, [self.output])
        rows = pool(found[self.output], mask, self.pooling) if self.pooling else found[self.output]
        return np.asarray(rows, np.float32)

    def _inputs(self) -> list[Any]:
        inputs = list(self._session.get_inputs())
        if unknown := sorted({each.name for each in inputs} - set(INPUTS)):
            raise DataError(
                f"{self.path} wants {', '.join(unknown)}, expected only {', '.join(INPUTS)}: export the encoder of the "
                "model for feature extraction, without a cache"
            )
        if fixed := [each.name for each in inputs if any(isinstance(size, int) for size in each.shape)]:
            raise DataError(
                f"{self.path} takes {fixed[0]} of a fixed size: export it with a dynamic batch and sequence"
            )
        return inputs

    def _tokenise(self, texts: Sequence[str]) -> list[IntArray]:
        heads = [text.strip()[:MAX_CHARACTERS] for text in texts]
        return [np.array(each.ids, np.int64) for each in self._tokenizer.encode_batch_fast(heads)]

    def _run(self, texts: Sequence[str], outputs: Sequence[str] | None) -> tuple[dict[str, Any], IntArray]:
        rows = self._tokenise(texts)
        lengths = np.array([len(row) for row in rows])
        mask = (np.arange(max(int(lengths.max()), 1)) < lengths[:, None]).astype(np.int64)  # (n, longest)
        ids = np.full(mask.shape, self._pad, np.int64)
        ids[mask == 1] = np.concatenate(rows)
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        names = list(outputs) if outputs is not None else [each.name for each in self._session.get_outputs()]
        given = self._session.run(names, {name: feeds[name].astype(kind) for name, kind in self._types.items()})
        return dict(zip(names, given, strict=True)), mask

    def _choose(self, folder: Path, given: str) -> tuple[str, str]:
        """Choose the output that is read, and how it is pooled, by what the graph gives for two texts."""
        try:
            found, mask = self._run(_PROBES, None)
        # The errors of onnxruntime share no base class below Exception.
        except Exception as error:
            reason = first_line(str(error), type(error).__name__)
            raise DataError(f"{self.path} cannot be run on two short texts ({reason}): export it again") from error
        shapes = {name: np.shape(value) for name, value in found.items() if _is_float(value)}
        pooled = [name for name, shape in shapes.items() if len(shape) == 2 and shape[0] == len(mask)]
        tokens = [name for name, shape in shapes.items() if len(shape) == 3 and shape[:2] == mask.shape]
        named = [name for name in TOKENS if name in tokens]
        if not given and EMBEDDING in pooled:
            return EMBEDDING, ""
        if named or len(tokens) == 1:
            pooling = given or pooling_of(folder)
            if not pooling:
                raise DataError(
                    f"{self.path} gives a vector for each token, and no file beside it says how they become one: "
                    f"say it with --pooling ({', '.join(POOLINGS)})"
                )
            _check_modules(folder)
            return (named or tokens)[0], pooling
        if not given and len(pooled) == 1 and not tokens:
            return pooled[0], ""
        raise DataError(
            f"{self.path} gives {', '.join(f'{name} {shape}' for name, shape in shapes.items()) or 'no numbers'} for "
            f"{mask.shape[0]} texts of {mask.shape[1]} tokens, expected {TOKENS[0]} (texts, tokens, width)"
            f"{'' if given else f' or {EMBEDDING} (texts, width)'}: export the model again with such an output"
        )


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _open(graph: Path) -> Any:
    """Open a session; a DataError for what is refused before, and for what onnxruntime cannot load."""
    import onnxruntime as ort
    import torch

    try:
        check_graph(graph, [path.name for path in graph_weights(graph)])
    except (OSError, ValueError) as error:
        raise DataError(
            f"{graph} cannot be used, {error}: export the model again, or choose another embedder"
        ) from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(os.fspath(graph), options, providers=["CPUExecutionProvider"])
    # As above.
    except Exception as error:
        reason = first_line(str(error), type(error).__name__)
        raise DataError(f"onnxruntime {ort.__version__} cannot load {graph} ({reason}): export it again") from error


def _check_modules(folder: Path) -> None:
    """Check that modules.json, where there is one, names nothing after the pooling that changes a direction."""
    modules = read_json(folder / "modules.json")
    kinds = [str(each.get("type")).rpartition(".")[2] for each in modules or [] if isinstance(each, dict)]
    if others := [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]:
        raise DataError(
            f"{folder} has a module {others[0]} after its graph, whose weights a graph does not hold: give the folder "
            "with the weights of torch (model.safetensors)"
        )


def pad_id(folder: Path, tokenizer: Any) -> int:
    """Return the id that fills short rows. Attention ignores it, but RoBERTa counts positions by it."""
    if tokenizer.padding:
        return int(tokenizer.padding["pad_id"])
    config = read_json(folder / "config.json")
    told = config.get("pad_token_id") if isinstance(config, dict) else None
    if type(told) is int and told >= 0:
        return told
    ids = (tokenizer.token_to_id(name) for name in _PADS)
    return next((i for i in ids if i is not None), 0)
