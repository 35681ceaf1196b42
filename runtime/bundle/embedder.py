"""Texts to unit embeddings with a tokenizer file and an ONNX graph: no torch, no transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from ...arrays import FloatArray, IntArray
from ...errors import BundleError, ConfigError, DataError
from .onnx_session import TOKENS_PER_RUN, run

Progress = Callable[[int, int], None]
"""Called with (done, in all) after every step of a long job."""

OUTPUT = "sentence_embedding"
_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_PADS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "</s>")
_WINDOW = 32
"""Batches whose texts are tokenised and sorted together: long enough to sort well, short enough to stay small."""
_CHARACTERS_PER_TOKEN = 32
"""First guess of how much of a long text must be read; a text of ordinary words needs 4 to 6 per token."""
MAX_CHARACTERS = 2**20
"""Characters of a text that are read at most; a tokenizer takes about 100 bytes for each of them."""


class OnnxEmbedder:
    """A sentence embedder in one ONNX graph, pooling and normalisation included.

    Safe to use from several threads at once.

    Args:
        session: The embedder graph.
        tokenizer: Path of its tokenizer.json.
        max_length: Tokens per text that are read, special tokens included.
        d_in: Width of the embeddings.
        batch_invariant: False for a graph whose result depends on the rest of the batch (dynamic int8 quantisation
            takes its scales from the whole batch): then every text has a run of its own.
        tokens_per_run: Tokens that go through the graph together, padding included; one text may have more.

    Raises:
        BundleError: The tokenizer cannot be read or the graph is not an embedder of this width.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        tokenizer: str | Path,
        max_length: int,
        d_in: int,
        batch_invariant: bool = True,
        tokens_per_run: int = TOKENS_PER_RUN["fast"],
    ) -> None:
        self.session = session
        self.max_length = max_length
        self.d_in = d_in
        self.batch_invariant = batch_invariant
        self.tokens_per_run = tokens_per_run
        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer))
        except Exception as error:  # tokenizers raises plain Exception
            raise BundleError(f"{tokenizer} cannot be read ({error}): export the bundle again") from error
        self._pad_id = _pad_id(self._tokenizer)
        # The file often says otherwise (all-MiniLM-L6-v2: cut at 128, pad to 128); what counts is how the embedder
        # was used in training: cut at max_length, pad to the longest text of the batch.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        self._inputs = [i.name for i in session.get_inputs()]
        if unknown := set(self._inputs) - _INPUTS:
            raise BundleError(f"the embedder graph wants {sorted(unknown)}, expected only {sorted(_INPUTS)}")
        shapes = {o.name: o.shape for o in session.get_outputs()}
        if OUTPUT not in shapes or shapes[OUTPUT][-1] != d_in:
            raise BundleError(f"the embedder graph gives {shapes}, expected {OUTPUT} of width {d_in}")

    def embed(self, texts: Sequence[str], batch_size: int = 32, progress: Progress | None = None) -> FloatArray:
        """Embed texts.

        Args:
            texts: Any texts, the empty one included; the part beyond `max_length` tokens is not read, nor what comes
                after the first `MAX_CHARACTERS` of a text.
            batch_size: Texts per run, at most.
            progress: Called with (texts done, texts in all) after every run.

        Returns:
            Unit rows in the order of `texts`, shape (n, d_in), float32.

        Raises:
            DataError: A single str, an item that is not a str, or a text that is not valid Unicode (lone surrogate).
            ConfigError: `batch_size` is below 1.
        """
        check_texts(texts)
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}: it must be at least 1")
        per_run = batch_size if self.batch_invariant else 1
        window = batch_size * _WINDOW
        out = np.empty((len(texts), self.d_in), np.float32)
        done = 0
        for start in range(0, len(texts), window):
            rows = self._tokenise(texts[start : start + window])
            # Neighbours in length share a batch: little padding, and padding is computed like any token.
            order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
            while order:
                size = max(1, min(per_run, self.tokens_per_run // len(rows[order[0]])))
                batch, order = order[:size], order[size:]
                out[[start + i for i in batch]] = self._run([rows[i] for i in batch])
                done += len(batch)
                if progress is not None:
                    progress(done, len(texts))
        if not np.isfinite(out).all():
            row = int(np.flatnonzero(~np.isfinite(out).all(axis=1))[0])
            raise BundleError(f"the embedder gave NaN or infinite numbers for text {row}: export the bundle again")
        return out

    def tokenise(self, texts: Sequence[str]) -> list[IntArray]:
        """Token ids per text, special tokens included, at most `max_length` each.

        Raises:
            DataError: A text without tokens, or not a list of texts.
        """
        check_texts(texts)
        return self._tokenise(texts)

    def token_text(self, token: int) -> str:
        """A token as people read it; empty for one that does not exist."""
        return self._tokenizer.id_to_token(token) or ""

    def _tokenise(self, texts: Sequence[str]) -> list[IntArray]:
        # sentence-transformers strips every text, which some tokenizers (Metaspace) can tell.
        stripped = [text.strip() for text in texts]
        heads = list(self._heads(stripped))
        rows = [np.array(e.ids, np.int64) for e in self._tokenizer.encode_batch_fast(heads)]
        for i, row in enumerate(rows):
            if not len(row):
                raise DataError(f"text {texts[i][:40]!r} has no tokens: this embedder cannot embed it")
        return rows

    def _heads(self, texts: Sequence[str]) -> Iterator[str]:
        """The texts, long ones cut to a part that is sure to hold the first `max_length` tokens.

        A tokenizer reads all of a text before it truncates: 1 MB takes seconds and half a gigabyte. A part that
        already gives three times `max_length` tokens settles the first `max_length`, since tokens depend on their own
        word and its neighbours only. A part that gives fewer (one endless word, a megabyte of blanks) is made longer
        until it does or until it is the whole text, so nothing is decided by its length alone up to `MAX_CHARACTERS`.
        Only a longer text whose first `MAX_CHARACTERS` are nearly all one word, blanks or control characters is read
        differently: up to there and no further, for one word of 48 MB took 4.6 GB.
        """
        for text in texts:
            size = self.max_length * _CHARACTERS_PER_TOKEN
            while size < min(len(text), MAX_CHARACTERS):
                # `overflowing` holds the tokens after the cut, in pieces of at most max_length.
                if len(self._tokenizer.encode_batch_fast([text[:size]])[0].overflowing) >= 3:
                    break
                size *= 8
            yield text[: min(size, MAX_CHARACTERS)]

    def _run(self, rows: Sequence[IntArray]) -> FloatArray:
        """One batch through the graph, shape (len(rows), d_in)."""
        lengths = np.array([len(row) for row in rows])
        mask = np.arange(lengths.max()) < lengths[:, None]  # (b, longest)
        ids = np.full(mask.shape, self._pad_id, np.int64)
        ids[mask] = np.concatenate(rows)
        feeds: dict[str, Any] = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
        if "token_type_ids" in self._inputs:
            feeds["token_type_ids"] = np.zeros_like(ids)
        result = run(self.session, [OUTPUT], {name: feeds[name] for name in self._inputs})[0]
        return np.asarray(result, np.float32)


def check_texts(texts: Sequence[str]) -> None:
    """Raise unless `texts` is a sequence of valid texts.

    Raises:
        DataError: A single str, an item that is not a str, or a text with a lone surrogate; the position is named.
    """
    if isinstance(texts, str | bytes):
        raise DataError(f"expected a list of texts, got one {type(texts).__name__}: put it in a list, [text]")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"texts[{i}] is a {type(text).__name__}, expected a str")
        if not text.isascii():  # instant, where encoding copies the text
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise DataError(
                    f"texts[{i}] is not valid Unicode: a lone surrogate at character {error.start}; "
                    "clean it with text.encode('utf-8', 'replace').decode()"
                ) from error


def _pad_id(tokenizer: Tokenizer) -> int:
    """The id that fills short rows; attention ignores it, but RoBERTa counts its positions by it."""
    if tokenizer.padding:
        return int(tokenizer.padding["pad_id"])
    found = (tokenizer.token_to_id(name) for name in _PADS)
    return next((i for i in found if i is not None), 0)
