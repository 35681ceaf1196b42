"""Fit of a table of token vectors to an embedder's query vectors, for queries without a transformer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
WARM_UP = 50
"""Steps in which the learning rate rises."""
TEMPERATURE = 0.05
"""Of the rankings that are compared; .03 and .02 were worse on the queries of three sets."""
RANKED = 4096
"""Most vectors of the bank that a step ranks; with 1,024 two of three sets lost half a point to a point."""


@dataclass(frozen=True)
class FitSettings:
    """How a table is fitted."""

    epochs: int = 8
    learning_rate: float = 2e-3
    """Of Adam; 4e-3 and 1e-3 were no better on held-out pieces of one corpus."""
    ranking: float = 0.3
    """Weight of the divergence of the rankings beside the cosine. .1 and 1 were no better on the queries of three sets
    where a table is fitted to open text; a table that is fitted to a corpus and ranks its documents wants more."""
    batch: int = 256
    """Texts per step."""
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
    *,
    bank: FloatArray | None = None,
    device: str = "cpu",
) -> FloatArray:
    """Fit rows so that the sum of a text's rows points, and ranks, as the embedder's vector does (Adam).

    The loss is 1 - cosine, plus `settings.ranking` times KL(softmax(t B / T) || softmax(s B / T)): how differently the
    embedder's vector t and the sum s rank vectors B of the bank. That is the autoencoder's own loss for the ranking
    (arXiv 2411.00786, equation 3), for another student.

    Args:
        start: Rows to start from, shape (tokens + 1, d_in), float32; the last one is added to every text.
        tokens: The token ids of each text.
        targets: The embedder's vector of each text: unit rows, shape (n, d_in).
        settings: How it is fitted.
        progress: Called with (epochs done, epochs).
        bank: What is ranked, such as documents: unit rows, shape (m, d_in). By default the targets.
        device: Where torch computes.

    Returns:
        The rows, shape (tokens + 1, d_in), float32.
    """
    settings = settings or FitSettings()
    rng = np.random.default_rng(settings.seed)
    texts = _Texts(tokens, device)
    table = torch.nn.Parameter(torch.from_numpy(start.copy()).to(device))
    wanted = torch.from_numpy(np.array(targets, np.float32)).to(device)
    ranked = wanted if bank is None else torch.from_numpy(np.array(bank, np.float32)).to(device)
    optimiser = torch.optim.Adam([table], settings.learning_rate, betas=(0.9, 0.99))
    batches = -(-len(tokens) // settings.batch)
    steps = max(1, settings.epochs * batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / WARM_UP) * max(0.02, 1 - step / steps)
    )
    for epoch in range(settings.epochs):
        for chosen in np.array_split(rng.permutation(len(tokens)), batches):
            found, target = texts.sums(table, chosen, rng), wanted[torch.from_numpy(chosen).to(device)]
            loss = 1 - (found * target).sum(1).mean()
            if settings.ranking:
                of = torch.from_numpy(rng.choice(len(ranked), min(RANKED, len(ranked)), replace=False)).to(device)
                loss = loss + settings.ranking * ranking_divergence(found, target, ranked[of])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        if progress:
            progress(epoch + 1, settings.epochs)
    rows: FloatArray = table.detach().cpu().numpy()
    return rows


def ranking_divergence(found: Tensor, target: Tensor, ranked: Tensor) -> Tensor:
    """Return how far the rankings of vectors by rows lie from those by targets: mean KL divergence, in nats.

    Args:
        found: Unit rows, shape (n, d_in).
        target: What they should be, the same shape.
        ranked: What both rank, shape (m, d_in).
    """
    ours, theirs = ((rows @ ranked.T / TEMPERATURE).log_softmax(1) for rows in (found, target))
    return functional.kl_div(ours, theirs, log_target=True, reduction="batchmean")


class _Texts:
    """Token ids of many texts, one after the other."""

    def __init__(self, tokens: Sequence[IntArray], device: str) -> None:
        self._lengths = np.array([len(row) for row in tokens], np.int64)
        self._first = np.cumsum(self._lengths) - self._lengths
        self._ids = np.concatenate([*tokens, np.zeros(0, np.int64)]).astype(np.int64)
        self._device = device

    def sums(self, table: Tensor, chosen: IntArray, rng: np.random.Generator) -> Tensor:
        """Return unit sums of rows, of some tokens of some texts and the last row, shape (n, d_in)."""
        lengths = self._lengths[chosen]
        begins = np.cumsum(lengths) - lengths
        ids = self._ids[np.repeat(self._first[chosen] - begins, lengths) + np.arange(int(lengths.sum()))]
        kept = rng.random(len(ids)) >= DROPPED
        counts = np.bincount(np.repeat(np.arange(len(chosen)), lengths)[kept], minlength=len(chosen))
        offsets = torch.from_numpy(np.cumsum(counts) - counts).to(self._device)
        flat = torch.from_numpy(ids[kept]).to(self._device)
        summed = functional.embedding_bag(flat, table, offsets, mode="sum") + table[-1]
        return functional.normalize(summed, dim=1)
