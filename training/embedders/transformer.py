"""A sentence-transformers model with a transformer, in torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from ...arrays import FloatArray, IntArray
from ...errors import ConfigError
from ..embedder_source import EmbedderSource
from ..prepared_model import prepare_model
from ..sentence_model import open_model

BATCH_SIZE = {"cpu": 32}
OTHER_BATCH_SIZE = 128
"""Texts per forward pass. On a CPU larger batches are no faster, and more of what they compute is padding."""


class TransformerModel:
    """A model that sentence-transformers opened; see `EmbeddingModel`."""

    def __init__(self, source: EmbedderSource, *, device: str | None, rough: bool) -> None:
        """Open a model.

        Args:
            source: Of the kind ``transformer``.
            device: A torch device name; None lets sentence-transformers choose.
            rough: Compute products in bfloat16.

        Raises:
            DataError: Its files cannot be loaded, or its prompts or dimensions are impossible; see `prepare_model`.
            ConfigError: This machine does not have `device`.
        """
        self._rough = rough
        self._model = _load(source.path_or_name, device)
        prepare_model(self._model, source)

    @property
    def batch_size(self) -> int:
        """Texts per forward pass."""
        return BATCH_SIZE.get(self._model.device.type, OTHER_BATCH_SIZE)

    def lengths(self, texts: Sequence[str]) -> IntArray:
        """Count the tokens of every text, shape (n,); characters for a model that has no attention mask."""
        found = [self._model.tokenize(texts[at : at + 1024]).get("attention_mask") for at in range(0, len(texts), 1024)]
        if any(mask is None for mask in found):
            return np.array([len(text) for text in texts], np.int64)
        return np.concatenate([mask.sum(dim=1).numpy() for mask in found])

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts as they are: rows of any length, shape (n, d_in), float32."""
        with self._products():
            rows: FloatArray = self._model.encode(
                list(texts),
                prompt="",  # the prefix is there already; a default prompt of the model is not used
                batch_size=self.batch_size,
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        return rows

    def _products(self) -> AbstractContextManager[Any]:
        import torch

        return torch.autocast(self._model.device.type, torch.bfloat16) if self._rough else nullcontext()


def _load(folder: str, device: str | None) -> Any:
    import torch
    from transformers.utils import logging as transformers_logging

    from ..threads import limit_threads

    limit_threads()
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without CUDA
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"device is {device!r}, which this machine does not have ({reason}): use auto or cpu"
        ) from error
    had_bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return open_model(folder, device=device)
    finally:
        if had_bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
