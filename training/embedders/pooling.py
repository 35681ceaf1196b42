"""How the token vectors of an ONNX graph become one vector, in NumPy, and the file that says it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...arrays import FloatArray, IntArray
from ...errors import ConfigError
from ..sentence_model import read_json

POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
"""Names of sentence-transformers, in the order in which it joins several."""
_KEYS = ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
LEAST = -1e9
"""Stands in the place of what padding gives, where the largest number counts."""


def check_pooling(pooling: str) -> str:
    """Return a pooling: a name of `POOLINGS`, or several with ``+`` between them, whose vectors are joined.

    Raises:
        ConfigError: An unknown name.
    """
    names = pooling.split("+")
    if unknown := [name for name in names if name not in POOLINGS]:
        raise ConfigError(f"pooling is {unknown[0]!r}: choose {', '.join(POOLINGS)}")
    return "+".join(name for name in POOLINGS if name in names)


def pooling_of(folder: Path) -> str:
    """Return the pooling that 1_Pooling/config.json of a model says; empty where there is no such file.

    Raises:
        DataError: The file cannot be read.
        ConfigError: It names a pooling that is not known.
    """
    config = read_json(folder / "1_Pooling" / "config.json")
    if not isinstance(config, dict):
        return ""
    # sentence-transformers writes one name from 5.4 on, and a switch for each before.
    if isinstance(named := config.get("pooling_mode"), str):
        return check_pooling(named)
    # The mean is the pooling of sentence-transformers where the file does not mention it.
    switches = {"pooling_mode_mean_tokens": True} | config
    return "+".join(
        name for name, key in zip(POOLINGS, _KEYS, strict=True) if switches.get(f"pooling_mode_{key}") is True
    )


def pool(tokens: FloatArray, mask: IntArray, pooling: str) -> FloatArray:
    """Pool token vectors as sentence-transformers does.

    Args:
        tokens: Shape (n, s, d).
        mask: 1 for a token and 0 for padding, which is on the right, shape (n, s).
        pooling: From `check_pooling`.

    Returns:
        Rows of any length, shape (n, d), or (n, m d) for m names, float32.
    """
    tokens, here = tokens.astype(np.float32), mask.astype(np.float32)
    rows = []
    for name in pooling.split("+"):
        if name == "cls":
            rows.append(tokens[:, 0])
        elif name == "max":
            rows.append(np.where(mask[:, :, None] > 0, tokens, np.float32(LEAST)).max(axis=1))
        elif name == "lasttoken":
            rows.append(tokens[np.arange(len(tokens)), np.maximum(mask.sum(axis=1), 1) - 1])
        else:
            weights = here * np.arange(1, 1 + mask.shape[1], dtype=np.float32) if name == "weightedmean" else here
            total = np.maximum(weights.sum(axis=1, keepdims=True), np.float32(1e-9))  # (n, 1)
            sums = np.einsum("ns,nsd->nd", weights, tokens)
            rows.append(sums / (np.sqrt(total) if name == "mean_sqrt_len_tokens" else total))
    return np.concatenate(rows, axis=1, dtype=np.float32)
