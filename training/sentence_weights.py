"""Whether the weights and the tokenizer of an opened sentence-transformers model are complete and fit each other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..errors import DataError

_OLD_NAMES = ((re.compile(r"\bgamma$"), "weight"), (re.compile(r"\bbeta$"), "bias"))
"""Names that the first models of BERT's kind have for the weights of a normalisation."""


def check_weights(folder: Path, module: Any) -> None:
    """Check that the files of a module hold all its weights: transformers fills what is missing with random numbers.

    Args:
        folder: Of the module.
        module: Of an opened model; only a Transformer can lack weights, since others refuse to.

    Raises:
        DataError: Weights are missing. Those of the pooler may be: no module reads it.
    """
    model = getattr(module, "auto_model", None)
    if model is None:
        return
    held = _names_in(folder)
    # Models are saved with and without the name of what they are a part of, such as `bert.`.
    ends = {name[at:] for name in held for at in _starts(name)}
    wanted = {name for name, _ in model.named_parameters() if _is_used(name)} - ends
    if all(any(name[at:] in held for at in _starts(name)) for name in wanted):
        return
    # Some models rename weights, or share them. This reads them again, and is asked only then.
    _, found = type(model).from_pretrained(folder, config=model.config, local_files_only=True, output_loading_info=True)
    missing = sorted(filter(_is_used, found["missing_keys"]))
    if missing:
        raise DataError(
            f"{folder} lacks {len(missing)} weights of its model, such as {missing[0]}: copy the model again"
        )


def check_tokens(folder: Path, module: Any) -> None:
    """Check that the model has a vector for every token of its tokenizer.

    Raises:
        DataError: It has not; a text with such a token would end a training that has run for hours.
    """
    tokenizer, model = getattr(module, "tokenizer", None), getattr(module, "auto_model", None)
    table = getattr(module, "embedding", None) if model is None else model.get_input_embeddings()
    rows = getattr(table, "num_embeddings", None)
    if rows is None or tokenizer is None or not hasattr(tokenizer, "get_vocab"):
        return
    token, largest = max(tokenizer.get_vocab().items(), key=lambda entry: entry[1], default=("", -1))
    if largest >= rows:
        raise DataError(
            f"{folder} has a tokenizer with the id {largest} (of {token[:40]!r}), but its model has {rows} tokens: "
            "copy the model again"
        )


def check_widths(folder: Path, model: Any) -> None:
    """Check that each module of an opened model takes as many numbers as the one before it gives.

    Raises:
        DataError: The config of a module says another width, with which it would fail or be wrong without a word.
    """
    width, before = None, ""
    for place, module in zip(json.loads((folder / "modules.json").read_text(encoding="utf-8")), model, strict=False):
        kind = type(module).__name__
        if kind == "Transformer":
            width, before = module.get_word_embedding_dimension(), "the transformer"
            continue
        setting = {"Pooling": "word_embedding_dimension", "Dense": "in_features", "LayerNorm": "dimension"}.get(kind)
        wanted = getattr(module, setting) if setting else width
        if width is not None and wanted != width:
            raise DataError(
                f"{folder / place['path'] / 'config.json'} has {setting} {wanted}, but {before} gives {width} numbers: "
                "copy the model again"
            )
        if kind in ("Pooling", "Dense"):
            width, before = module.get_sentence_embedding_dimension(), f"{place['path']} ({kind})"


def _names_in(folder: Path) -> set[str]:
    """Return the names of the weights in the file that transformers reads, as newer models name them."""
    if (folder / "model.safetensors").is_file():
        from safetensors import safe_open

        with safe_open(folder / "model.safetensors", "pt") as file:
            names = set(file.keys())
    elif (folder / "model.safetensors.index.json").is_file():
        names = set(json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))["weight_map"])
    else:
        return set()
    for pattern, new in _OLD_NAMES:
        names = {pattern.sub(new, name) for name in names}
    return names


def _starts(name: str) -> list[int]:
    """Return where the parts of a name begin."""
    return [0, *(match.end() for match in re.finditer(r"\.", name))]


def _is_used(name: str) -> bool:
    return "pooler" not in name.split(".")
