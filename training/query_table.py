"""Fit of a table of token vectors to an embedder's query vectors, for queries without a transformer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..arrays import FloatArray, IntArray

COMMON = 1e-3
"""Share of all tokens at which a row starts with half its length (Arora et al. 2017, "A Simple but Tough-to-Beat
Baseline for Sentence Embeddings")."""
DROPPED = 0.1
"""Share of the tokens that are left out of a text in each step. Else rare words are learnt by heart."""
BATCH = 256
WARM_UP = 50
"""Steps in which the learning rate rises."""


@dataclass(frozen=True)
class FitSettings:
    """How a table is fitted."""

    epochs: int = 8
    learning_rate: float = 2e-3
    """Of Adam; 4e-3 and 1e-3 were no better on held-out pieces of one corpus."""
    seed: int = 0


def start_rows(alone: FloatArray, seen: IntArray) -> FloatArray:
    """Return rows to start from, shape (tokens + 1, d_in): what each token alone adds to the mean.

    Args:
        alone: The embedder's vector of each token alone, shape (tokens, d_in); zeros where there is none.
        seen: Texts with each token, shape (tokens,).
    """
    has = np.abs(alone).max(1) > 0
    among = has & (seen > 0) if (has & (seen > 0)).any() else has
    mean = alone[among].mean(0) if among.any() else np.zeros(alone.shape[1], np.float32)
    weight = COMMON / (COMMON + seen / max(int(seen.sum()), 1))
    rows = np.where(has[:, None], (alone - mean) * weight[:, None], 0)
    return np.concatenate([rows, mean[None]]).astype(np.float32)


def fit_rows(
    start: FloatArray,
    tokens: Sequence[IntArray],
    targets: FloatArray,
    settings: FitSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FloatArray:
    """Fit rows so that the sum of a text's rows points where the embedder's vector does (mean cosine, Adam).

    Args:
        start: Rows to start from, shape (tokens + 1, d_in), float32; the last one is added to every text.
        tokens: The token ids of each text.
        targets: The embedder's vector of each text: unit rows, shape (n, d_in).
        settings: How it is fitted.
        progress: Called with (epochs done, epochs).

    Returns:
        The rows, shape (tokens + 1, d_in), float32.
    """
    settings = settings or FitSettings()
    rng = np.random.default_rng(settings.seed)
    table = torch.nn.Parameter(torch.from_numpy(start.copy()))
    wanted = torch.from_numpy(np.array(targets, np.float32))
    optimiser = torch.optim.Adam([table], settings.learning_rate, betas=(0.9, 0.99))
    batches = -(-len(tokens) // BATCH)
    steps, last = max(1, settings.epochs * batches), len(start) - 1
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / WARM_UP) * max(0.02, 1 - step / steps)
    )
    for epoch in range(settings.epochs):
        for chosen in np.array_split(rng.permutation(len(tokens)), batches):
            kept = [tokens[i][rng.random(len(tokens[i])) >= DROPPED] for i in chosen]
            loss = 1 - (_sums(table, kept, last) * wanted[torch.from_numpy(chosen)]).sum(1).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        if progress:
            progress(epoch + 1, settings.epochs)
    rows: FloatArray = table.detach().numpy()
    return rows


def _sums(table: Tensor, texts: Sequence[IntArray], last: int) -> Tensor:
    """Return unit sums of the texts' rows, each with the last row, shape (n, d_in)."""
    flat = torch.from_numpy(np.fromiter(chain.from_iterable((*text, last) for text in texts), np.int64))
    lengths = np.array([len(text) + 1 for text in texts])
    offsets = torch.from_numpy(np.cumsum(lengths) - lengths)
    return functional.normalize(functional.embedding_bag(flat, table, offsets, mode="sum"), dim=1)
