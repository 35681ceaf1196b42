"""A table of token vectors: a StaticEmbedding of sentence-transformers, or a model of model2vec.

Both are read here without their libraries. Where they differ, a folder of model2vec (its config.json says so) is read
as model2vec does: tokens that are unknown are left out, and 512 tokens are read unless config.json says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import FloatArray, IntArray
from ...errors import DataError
from ...static_table import ACTIVATIONS, MAX_CHARACTERS, NORMALIZE, Layer, Rule, StaticTable
from ...text import first_line
from ..sentence_model import check_folder, read_json
from .folders import TOKENIZER, is_model2vec, truncation_of
from .tokenizer import open_tokenizer

UNLIMITED = 10**6
"""Tokens that are read where nothing says how many."""
MODEL2VEC_LENGTH = 512
"""Tokens that model2vec reads where its config.json does not say."""
CURE = "copy the model again, or choose another embedder"


class StaticModel:
    """A static embedder in NumPy; see `EmbeddingModel`."""

    batch_size = 1024
    """Texts that are tokenised together."""

    def __init__(self, table: StaticTable, tokenizer: Path) -> None:
        self.table, self.tokenizer = table, tokenizer
        """The table, and the path of its tokenizer.json."""

    def lengths(self, texts: Sequence[str]) -> IntArray:
        """Count the characters of every text, shape (n,)."""
        return np.array([len(text) for text in texts], np.int64)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts as they are: unit rows, shape (n, d_in), float32."""
        return self.table.embed(texts)


def static_length(folder: Path) -> int:
    """Return how many tokens the static embedder in a folder reads; `UNLIMITED` where nothing says.

    Raises:
        DataError: The folder's files cannot be read, or the number is below 1.
    """
    if not is_model2vec(folder):
        return truncation_of(_first_module(folder) / TOKENIZER) or UNLIMITED
    length = read_json(folder / "config.json").get("max_length", MODEL2VEC_LENGTH)
    if length is None:
        return UNLIMITED
    if type(length) is not int or length < 1:
        raise DataError(f"{folder / 'config.json'} has max_length {length!r}, expected a whole number or null: {CURE}")
    return min(length, UNLIMITED)


def open_static(folder: Path, max_length: int, truncate_dim: int | None = None) -> StaticModel:
    """Open a static embedder.

    Args:
        folder: Of sentence-transformers or model2vec.
        max_length: Tokens that are read of a text.
        truncate_dim: How many of the first numbers of an embedding are kept; None keeps all.

    Raises:
        DataError: A file cannot be read; the table lacks tokens of the tokenizer, or holds NaN; a token points outside
            of it; or a module after it is not one that the runtime can compute.
    """
    by_model2vec = is_model2vec(folder)
    if not by_model2vec:
        check_folder(folder)
    place = folder if by_model2vec else _first_module(folder)
    tokenizer, tensors = open_tokenizer(place / TOKENIZER), read_tensors(place)
    name = next((name for name in ("embedding.weight", "embeddings") if name in tensors), None)
    if name is None:
        raise DataError(f"{place} holds {sorted(tensors)[:8]}, expected a table called embeddings: {CURE}")
    table = tensors[name]
    rows, factors = tensors.get("mapping"), tensors.get("weights")
    _check_table(place, table, rows, factors, tokenizer.get_vocab())
    rule = _model2vec_rule(folder, tokenizer, max_length) if by_model2vec else Rule(max_length)
    layers = [] if by_model2vec else _layers(folder, table.shape[1])
    table, layers = _truncated(table, layers, truncate_dim)
    made = StaticTable(
        tokenizer,
        table,
        rule,
        rows=None if rows is None else rows.astype(np.int64),
        factors=None if factors is None else factors.astype(np.float32),
        layers=layers,
    )
    return StaticModel(made, place / TOKENIZER)


def read_tensors(folder: Path) -> dict[str, NDArray[Any]]:
    """Read the weights of a module; those in bfloat16 or float64 become float32.

    Raises:
        DataError: There is no file of weights, or it cannot be read.
    """
    import torch
    from safetensors.torch import load_file

    path = next(
        (folder / name for name in ("model.safetensors", "pytorch_model.bin") if (folder / name).is_file()), None
    )
    if path is None:
        raise DataError(f"{folder} has no weights (model.safetensors): {CURE}")
    try:
        found: Mapping[str, Any] = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
        wide = (torch.bfloat16, torch.float64)
        return {name: (each.float() if each.dtype in wide else each).numpy() for name, each in found.items()}
    # safetensors and torch each raise their own.
    except Exception as error:
        reason = first_line(str(error), type(error).__name__)
        raise DataError(f"{path} cannot be read ({reason}): {CURE}") from error


def _first_module(folder: Path) -> Path:
    modules = read_json(folder / "modules.json")
    return folder / str(modules[0].get("path", ""))


def _check_table(
    place: Path,
    table: NDArray[Any],
    rows: NDArray[Any] | None,
    factors: NDArray[Any] | None,
    vocabulary: Mapping[str, int],
) -> None:
    """Check that there is a vector for every token, and that all numbers are finite."""
    if table.ndim != 2 or not table.size or table.dtype not in (np.float32, np.float16, np.int8):
        raise DataError(f"{place} has a table of {table.dtype} {table.shape}, expected float32 (tokens, width): {CURE}")
    bad = np.flatnonzero(~np.isfinite(table.sum(axis=1, dtype=np.float64)))
    if len(bad):
        raise DataError(f"{place} has NaN or infinite numbers in {len(bad)} rows of its table, first {bad[0]}: {CURE}")
    token, largest = max(vocabulary.items(), key=lambda entry: entry[1], default=("", -1))
    if largest < 0:
        raise DataError(f"{place / TOKENIZER} has no tokens: {CURE}")
    held = {"table": len(table)} if rows is None else {"mapping": len(rows)}
    held |= {} if factors is None else {"weights": len(factors)}
    for name, length in held.items():
        if largest >= length:
            raise DataError(
                f"{place} has a tokenizer with the id {largest} (of {token[:40]!r}), but its {name} has {length} rows: "
                f"{CURE}"
            )
    if rows is not None:
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise DataError(f"{place} has a mapping of {rows.dtype} {rows.shape}, expected whole numbers: {CURE}")
        if rows.min() < 0 or rows.max() >= len(table):
            wrong = int(np.flatnonzero((rows < 0) | (rows >= len(table)))[0])
            raise DataError(
                f"{place} maps the token {wrong} to row {rows[wrong]}, but its table has {len(table)} rows: {CURE}"
            )
    if factors is not None and (factors.ndim != 1 or factors.dtype.kind != "f" or not np.isfinite(factors).all()):
        raise DataError(f"{place} has weights of {factors.dtype} {factors.shape}, expected finite numbers: {CURE}")


def _model2vec_rule(folder: Path, tokenizer: Any, max_length: int) -> Rule:
    """Read what model2vec does with a text before it looks at the table."""
    characters = MAX_CHARACTERS
    if max_length < UNLIMITED:
        median = int(np.median([len(token) for token in tokenizer.get_vocab()]))
        characters = min(characters, max_length * median)
    model = json.loads(tokenizer.to_str())["model"]
    # The first for words, word pieces and BPE, the second for Unigram.
    unknown = tokenizer.token_to_id(model["unk_token"]) if model.get("unk_token") else model.get("unk_id")
    if characters < 1:
        raise DataError(f"{folder / TOKENIZER} has tokens without characters: {CURE}")
    return Rule(max_length, characters, unknown)


def _layers(folder: Path, width: int) -> list[Layer]:
    """Read the modules after the table."""
    layers = []
    for module in read_json(folder / "modules.json")[1:]:
        kind, place = str(module["type"]).rpartition(".")[2], folder / module["path"]
        if kind == "Normalize":
            layers.append(Layer(NORMALIZE))
        elif kind == "Dense":
            layers.append(_dense(place, width))
            width = len(layers[-1].weight)  # type: ignore[arg-type]
        elif kind != "Dropout":  # which does nothing after the training
            raise DataError(
                f"{folder} has the module {kind} after its table, and only Dense and Normalize can be computed there: "
                "save it without that module, or choose another embedder"
            )
    return layers


def _truncated(table: NDArray[Any], layers: list[Layer], cut: int | None) -> tuple[NDArray[Any], list[Layer]]:
    """Keep the first `cut` numbers of what the last product gives, or of the table where there is none.

    What follows the last product works on each number alone, or changes lengths, which does not change a direction.
    """
    at = max((i for i, layer in enumerate(layers) if layer.weight is not None), default=None)
    if cut is None:
        return table, layers
    if at is None:
        return table[:, :cut], layers
    last = layers[at]
    assert last.weight is not None
    bias = None if last.bias is None else last.bias[:cut]
    return table, [*layers[:at], Layer(last.activation, last.weight[:cut], bias), *layers[at + 1 :]]


def _dense(place: Path, width: int) -> Layer:
    activation = str(read_json(place / "config.json").get("activation_function")).rpartition(".")[2]
    if activation not in ACTIVATIONS:
        raise DataError(
            f"{place} has the activation {activation}, after a table there may be {', '.join(ACTIVATIONS)}: "
            "choose another embedder"
        )
    tensors = read_tensors(place)
    weight, bias = tensors.get("linear.weight"), tensors.get("linear.bias")
    if weight is None or weight.ndim != 2 or weight.shape[1] != width:
        shape = None if weight is None else weight.shape
        raise DataError(f"{place} has a linear.weight of shape {shape}, expected (width, {width}): {CURE}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise DataError(f"{place} has a linear.bias of shape {bias.shape}, expected {weight.shape[:1]}: {CURE}")
    if not all(np.isfinite(each).all() for each in (weight, bias) if each is not None):
        raise DataError(f"{place} holds NaN or infinite numbers: {CURE}")
    return Layer(activation, weight.astype(np.float32), None if bias is None else bias.astype(np.float32))
