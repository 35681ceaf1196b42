"""The embedder of a bundle: a tokenizer file and an ONNX graph, without torch and transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from ...arrays import FloatArray, IntArray
from ...errors import BundleError, ConfigError, DataError
from .embedder import Progress, add_prefix, check_texts
from .manifest import CURE, EMBEDDER, TOKENIZER, Manifest
from .onnx_session import TOKENS_PER_RUN, MemoryProfile, open_session, run
from .token_parts import TokenParts, parts_of_mean, spans_in
from .tokenizer import no_panic, open_tokenizer

if TYPE_CHECKING:
    from .onnx_session import Session

OUTPUT, TOKENS = "sentence_embedding", "token_embeddings"
"""The outputs of a graph. The second is there where the first is the mean of its rows, divided by its length."""
_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_PADS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "</s>")
_WINDOW = 32
"""Batches whose texts are tokenised and sorted together: enough to sort well, few enough to need little memory."""
_ALIKE = 0.6
"""Of few texts padding may be most of the work: nine of 7 tokens and one of 54 take 130 ms in one run, 36 in two."""
_CHARACTERS_PER_TOKEN = 32
"""First guess of the characters of a long text to read; a text of ordinary words needs 4 to 6 per token."""
MAX_CHARACTERS = 2**20
"""Characters of a text that are read at most; a tokenizer takes about 100 bytes for each."""


class OnnxEmbedder:
    """A sentence embedder in one ONNX graph, pooling and normalisation included. Safe to use from several threads.

    Args:
        session: The embedder graph.
        tokenizer: Path of its tokenizer.json.
        max_length: Tokens per text that are read, special tokens included.
        d_in: Width of the embeddings.
        batch_invariant: False for a graph whose result depends on the whole batch, as with dynamic int8 quantisation,
            which takes its scales from it. Then every text is run alone.
        tokens_per_run: Tokens per run, padding included; a single text may have more.
        query_prefix, document_prefix: Put in front of every query or document.

    Raises:
        BundleError: The tokenizer cannot be read or the graph is not an embedder of this width.
    """

    def __init__(
        self,
        session: Session,
        tokenizer: str | Path,
        max_length: int,
        d_in: int,
        batch_invariant: bool = True,
        tokens_per_run: int = TOKENS_PER_RUN["fast"],
        *,
        query_prefix: str = "",
        document_prefix: str = "",
    ) -> None:
        self.session, self.max_length, self.d_in = session, max_length, d_in
        self.batch_invariant, self.tokens_per_run = batch_invariant, tokens_per_run
        self.query_prefix, self.document_prefix = query_prefix, document_prefix
        # As in training: cut at max_length, pad to the longest text of the batch.
        self._tokenizer = open_tokenizer(Path(tokenizer), max_length)
        self._pad_id = _pad_id(self._tokenizer)
        self._tokenizer.no_padding()
        self._inputs = [i.name for i in session.get_inputs()]
        if unknown := set(self._inputs) - _INPUTS:
            raise BundleError(f"the embedder graph wants {sorted(unknown)}, expected only {sorted(_INPUTS)}")
        shapes = {o.name: o.shape for o in session.get_outputs()}
        if len(shapes.get(OUTPUT, ())) != 2 or shapes[OUTPUT][-1] != d_in:
            raise BundleError(f"the embedder graph gives {shapes}, expected {OUTPUT} of width {d_in}")
        self._has_tokens = TOKENS in shapes

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> FloatArray:
        """Embed texts with the document prefix, as `embed`."""
        return self.embed(add_prefix(self.document_prefix, texts), progress=progress)

    def embed_queries(self, texts: Sequence[str], *, progress: Progress | None = None) -> FloatArray:
        """Embed texts with the query prefix, as `embed`."""
        return self.embed(add_prefix(self.query_prefix, texts), progress=progress)

    def embed(self, texts: Sequence[str], batch_size: int = 32, progress: Progress | None = None) -> FloatArray:
        """Embed texts without a prefix.

        Args:
            texts: Any texts, the empty one included; of each, the first `max_length` tokens are read, and at most the
                first `MAX_CHARACTERS` characters.
            batch_size: Texts per run, at most.
            progress: See `Progress`.

        Returns:
            Unit rows in the order of `texts`, shape (n, d_in), float32.

        Raises:
            DataError: A single str, an item that is not a str, or a text that is not valid Unicode (lone surrogate).
            ConfigError: `batch_size` is below 1.
        """
        texts = check_texts(texts)
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}: it must be at least 1")
        window = batch_size * _WINDOW
        out = np.empty((len(texts), self.d_in), np.float32)
        done = 0
        for start in range(0, len(texts), window):
            rows = self._tokenise(texts[start : start + window])
            for batch in self._batches(rows, batch_size):
                out[[start + i for i in batch]] = self._run([rows[i] for i in batch])
                done += len(batch)
                if progress is not None:
                    progress(done, len(texts))
        if not np.isfinite(out).all():
            row = int(np.flatnonzero(~np.isfinite(out).all(axis=1))[0])
            raise BundleError(f"the embedder gave NaN or infinite numbers for text {row}: export the bundle again")
        return out

    def document_parts(self, texts: Sequence[str], batch_size: int = 32) -> list[TokenParts] | None:
        """Return what each token of documents adds to their embeddings; None where the graph does not give it.

        The tokens are those of `embed_documents`, the prefix's too. Errors as in `embed`.
        """
        if not self._has_tokens:
            return None
        texts = check_texts(texts)
        read = [self.document_prefix + text for text in texts]
        encodings = self._encodings(read, self._tokenizer.encode_batch)
        rows = [np.array(each.ids, np.int64) for each in encodings]
        made: dict[int, TokenParts] = {}
        for batch in self._batches(rows, batch_size, _ALIKE):
            vectors = self._run([rows[i] for i in batch], TOKENS)
            if not np.isfinite(vectors).all():
                raise BundleError(f"the embedder gave NaN or infinite numbers for tokens of a text: {CURE}")
            for i, of_text in zip(batch, vectors, strict=True):
                # Blanks at the beginning are not read.
                before = len(self.document_prefix) - (len(read[i]) - len(read[i].lstrip()))
                spans = spans_in(texts[i], encodings[i].offsets, before)
                made[i] = TokenParts(parts_of_mean(of_text[: len(rows[i])]), spans)
        return [made[i] for i in range(len(texts))]

    def tokenise(self, texts: Sequence[str]) -> list[IntArray]:
        """Return the token ids of texts: without prefix, with special tokens, at most `max_length` each.

        Raises:
            DataError: A text without tokens, or not a list of texts.
        """
        return self._tokenise(check_texts(texts))

    def token_text(self, token: int) -> str:
        """Return the text of a token; empty for an unknown id."""
        return self._tokenizer.id_to_token(token) or ""

    def _tokenise(self, texts: Sequence[str]) -> list[IntArray]:
        return [np.array(each.ids, np.int64) for each in self._encodings(texts, self._tokenizer.encode_batch_fast)]

    def _encodings(self, texts: Sequence[str], encode: Callable[[list[str]], list[Any]]) -> list[Any]:
        """Return what the tokenizer makes of texts; `encode` is a method of it, of which the fast one has no spans."""
        # As sentence-transformers does; for some tokenizers (Metaspace) it makes a difference.
        stripped = [text.strip() for text in texts]
        heads = list(self._heads(stripped))
        with no_panic(f"the tokenizer of the bundle gave up on a text of {max(map(len, heads), default=0)} characters"):
            encodings = encode(heads)
        for text, each in zip(texts, encodings, strict=True):
            if not len(each):
                raise DataError(f"text {text[:40]!r} has no tokens: this embedder cannot embed it")
        return encodings

    def _batches(self, rows: Sequence[IntArray], batch_size: int, alike: float = 0.0) -> Iterator[list[int]]:
        """Yield places of texts that are run together; each has at least the share `alike` of the longest's tokens."""
        per_run = batch_size if self.batch_invariant else 1
        # Texts of similar length share a batch, since padding takes as long as any token.
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        while order:
            longest = len(rows[order[0]])
            size = max(1, min(per_run, self.tokens_per_run // longest))
            if alike:
                size = next((n for n, i in enumerate(order[:size]) if len(rows[i]) < alike * longest), size)
            batch, order = order[:size], order[size:]
            yield batch

    def _heads(self, texts: Sequence[str]) -> Iterator[str]:
        """Cut long texts to a beginning that is sure to hold the first `max_length` tokens.

        A tokenizer reads all of a text before it truncates: 1 MB takes seconds and half a gigabyte. A beginning of
        three times `max_length` tokens determines the first `max_length`, since a token depends only on its own word
        and its neighbours. One of fewer (an endless word, blanks) is extended until it suffices or is the whole text.
        Only when `MAX_CHARACTERS` are nearly all one word, blanks or control characters does the result differ from
        that for the whole text: reading stops there, since one word of 48 MB took 4.6 GB.
        """
        for text in texts:
            size = self.max_length * _CHARACTERS_PER_TOKEN
            while size < min(len(text), MAX_CHARACTERS):
                # `overflowing` holds the tokens after the cut, in pieces of at most max_length.
                with no_panic(f"the tokenizer of the bundle gave up on a text of {size} characters"):
                    overflowing = self._tokenizer.encode_batch_fast([text[:size]])[0].overflowing
                if len(overflowing) >= 3:
                    break
                size *= 8
            yield text[: min(size, MAX_CHARACTERS)]

    def _run(self, rows: Sequence[IntArray], output: str = OUTPUT) -> FloatArray:
        """Run the graph: embeddings, shape (b, d_in), or token vectors, shape (b, longest, d_in), float32."""
        lengths = np.array([len(row) for row in rows])
        mask = np.arange(lengths.max()) < lengths[:, None]  # (b, longest)
        ids = np.full(mask.shape, self._pad_id, np.int64)
        ids[mask] = np.concatenate(rows)
        feeds: dict[str, Any] = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
        if "token_type_ids" in self._inputs:
            feeds["token_type_ids"] = np.zeros_like(ids)
        result = np.asarray(run(self.session, [output], {name: feeds[name] for name in self._inputs})[0])
        expected = (len(rows), self.d_in) if output == OUTPUT else (*mask.shape, self.d_in)
        # Texts would be read as numbers.
        if result.dtype.kind != "f" or result.shape != expected:
            raise BundleError(
                f"the embedder gave {result.dtype} {result.shape}, expected numbers of shape {expected}: {CURE}"
            )
        return result.astype(np.float32, copy=False)


def open_onnx(folder: Path, manifest: Manifest, threads: int | None, profile: MemoryProfile) -> OnnxEmbedder:
    """Open the embedder of a bundle; a BundleError when its files cannot be read or do not fit the manifest."""
    mapped = profile == "lean" and manifest.precision == "fp32"
    return OnnxEmbedder(
        open_session(folder / EMBEDDER, threads, profile=profile, mapped=mapped),
        folder / TOKENIZER,
        manifest.max_length,
        manifest.d_in,
        manifest.batch_invariant,
        TOKENS_PER_RUN[profile],
        query_prefix=manifest.query_prefix,
        document_prefix=manifest.document_prefix,
    )


def _pad_id(tokenizer: Tokenizer) -> int:
    """Return the id that fills short rows. Attention ignores it, but RoBERTa counts positions by it."""
    if tokenizer.padding:
        return int(tokenizer.padding["pad_id"])
    ids = (tokenizer.token_to_id(name) for name in _PADS)
    return next((i for i in ids if i is not None), 0)
