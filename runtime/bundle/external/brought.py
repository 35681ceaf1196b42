"""`BroughtEmbedder`: an embedder from outside as the embedder of one bundle, checked, counted and cached."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock, RLock

import numpy as np

from ....arrays import FloatArray, IntArray, as_numbers, unit_rows
from ....background import answers
from ....bounded_cache import BoundedCache
from ....embedding_cache import default_cache_dir
from ....errors import EmbedderError, SteersearchError
from ....forks import renew_after_fork
from ..embedder import Progress, add_prefix, check_texts
from ..manifest import Manifest
from ..probes import read_probes
from .external_embedder import ExternalEmbedder
from .plain_words import PlainWords
from .sources import Side, Source, source_of
from .vector_cache import DAY, VectorCache, key_of

logger = logging.getLogger(__name__)

SMALL = 64
"""Texts of a call that no limit refuses: a search with new phrases needs as many, and must not fail after a while."""
IN_MEMORY = 2**25
"""Bytes of vectors that are kept in memory."""
SAME_MODEL = 0.98
"""Lowest median cosine of the probes and their vectors of old. On SciFact with all-MiniLM-L6-v2 rounding to 16 or 8
bits and other batches give 1.000, a prompt in front of each text .995, half of each text .93 (`drift` of
benchmarks/own_vectors.py)."""


@dataclass
class Usage:
    """What was asked of an embedder, over its life in this process."""

    calls: int = 0
    texts: int = 0
    """Texts that were sent."""
    cached: int = 0
    """Texts whose vectors were there."""
    counted_calls: int = 0
    counted_texts: int = 0
    """Of calls and texts, those that the limits count."""


class BroughtEmbedder:
    """Implements `Embedder` for a bundle without one. Safe to use from several threads.

    At the first use the probes of the bundle are embedded, and compared with the vectors that they had when the model
    was trained. A check that succeeded is remembered for a day where vectors are kept on the disk.
    """

    def __init__(self, settings: ExternalEmbedder, manifest: Manifest, folder: Path) -> None:
        self._settings, self._manifest, self._folder = settings, manifest, folder
        self.source: Source = source_of(settings.embedder, manifest.embedder["id"])
        self.usage = Usage()
        self._words = PlainWords()
        theirs = settings.embedder
        self._own_tokens = theirs if hasattr(theirs, "tokenise") and hasattr(theirs, "token_text") else self._words
        self._memory: BoundedCache[bytes, FloatArray] = BoundedCache(IN_MEMORY, lambda row: row.nbytes)
        self._disk = _open_cache(settings, self.source)
        # The probes belong to it: a model that changed under its name must not find the vectors of the one before.
        self._space = f"{self.source.key} {manifest.embedder_digest} {manifest.d_in}"
        self._checked = False
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Replace the locks, which another thread may have held."""
        self._checking, self._counting = RLock(), Lock()

    @property
    def name(self) -> str:
        """What embeds, for messages."""
        return self.source.name

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> FloatArray:
        """Embed texts as documents: unit rows, shape (n, d_in), float32.

        Raises:
            DataError: Not a list of valid texts.
            EmbedderError: The embedder fails, is another one than the bundle's, or would exceed a limit.
        """
        return self._embed("documents", texts, progress)

    def embed_queries(self, texts: Sequence[str], *, progress: Progress | None = None) -> FloatArray:
        """Embed texts as queries; see `embed_documents`."""
        return self._embed("queries", texts, progress)

    def prefetch(self, documents: Sequence[str] = (), queries: Sequence[str] = ()) -> None:
        """Embed texts that are needed in a moment by as few calls as possible, and keep their vectors.

        Errors as in `embed_documents`.
        """
        sides = {"documents": list(documents), "queries": list(queries)}
        if not self._two_sided:
            sides = {"documents": [*sides["documents"], *sides["queries"]]}
        for side, texts in sides.items():
            if texts:
                self._embed(side, texts, None)

    def tokenise(self, texts: Sequence[str]) -> list[IntArray]:
        """Return the token ids of texts, those of the embedder where it has any: else `PlainWords.tokenise`."""
        return self._own_tokens.tokenise(texts)

    def token_text(self, token: int) -> str:
        """Return the text of a token; empty for an unknown id."""
        return self._own_tokens.token_text(token)

    def calls_for(self, texts: int) -> int:
        """Return the calls that embedding so many texts of ordinary length takes, none of them cached."""
        return sum(1 for _ in self.source.batches([""] * texts))

    @property
    def _two_sided(self) -> bool:
        prefixes = self.source.prefixed and self._manifest.query_prefix != self._manifest.document_prefix
        return self.source.two_sides or prefixes

    def _embed(self, side: Side, texts: Sequence[str], progress: Progress | None) -> FloatArray:
        texts = check_texts(texts)
        if self.source.prefixed:
            manifest = self._manifest
            texts = list(add_prefix(manifest.query_prefix if side == "queries" else manifest.document_prefix, texts))
        place = side if self._two_sided else ""
        keys = [key_of(self._space, place, text) for text in texts]
        rows = self._known(keys)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in rows}
        done = len(texts) - len(missing)
        with self._counting:
            self.usage.cached += done
        if progress and done:
            progress(done, len(texts))
        if missing:
            self._check_model()
            self._fetch(side, missing, rows, partial(_report, progress, len(texts), done))
        out = np.empty((len(texts), self._manifest.d_in), np.float32)
        for i, key in enumerate(keys):
            out[i] = rows[key]
        return out

    def _known(self, keys: Sequence[bytes]) -> dict[bytes, FloatArray]:
        rows = {key: row for key in set(keys) if (row := self._memory.get(key)) is not None}
        asked = [key for key in dict.fromkeys(keys) if key not in rows]
        if asked and self._disk is not None:
            found = self._disk.get(asked, self._manifest.d_in)
            for key, row in found.items():
                self._memory.put(key, row)
            rows |= found
        return rows

    def _fetch(
        self, side: Side, missing: dict[bytes, str], rows: dict[bytes, FloatArray], report: Callable[[int], None]
    ) -> None:
        """Embed texts, a few calls at a time; what each gave is kept at once, so that an error loses nothing."""
        keys, texts = list(missing), list(missing.values())
        calls = self._count(texts)

        def parts() -> Iterator[tuple[Sequence[bytes], Sequence[str]]]:
            start = 0
            for batch in self.source.batches(texts):
                yield keys[start : start + len(batch)], batch
                start += len(batch)

        def ask(part: tuple[Sequence[bytes], Sequence[str]]) -> dict[bytes, FloatArray]:
            some, batch = part
            found = self._checked_rows(self.source.embed(batch, side, self._manifest.d_in), len(batch))
            made = dict(zip(some, found, strict=True))
            # Here, so that it is kept when whoever waits for it is interrupted.
            for key, row in made.items():
                self._memory.put(key, row)
            if self._disk is not None:
                self._disk.put(made)
            return made

        done = 0
        # A search makes one call, and needs no thread for it.
        for made in answers(ask, parts(), min(calls, self.source.at_once)):
            rows |= made
            done += len(made)
            report(done)

    def _count(self, texts: Sequence[str]) -> int:
        """Count the calls and texts to come, unless they exceed a limit; return the calls."""
        calls = sum(1 for _ in self.source.batches(texts))
        usage, settings = self.usage, self._settings
        with self._counting:
            if len(texts) > SMALL:
                for what, new, before, most in (
                    ("texts", len(texts), usage.counted_texts, settings.max_texts),
                    ("calls", calls, usage.counted_calls, settings.max_calls),
                ):
                    if most is not None and before + new > most:
                        so_far = f" after {before:,}" if before else ""
                        raise EmbedderError(
                            f"{new:,} more {what} would go to {self.name}{so_far}, and max_{what} is {most:,}: allow "
                            f"more with max_{what} (--max-{what}); what was embedded is kept, so the same call goes on"
                        )
                usage.counted_texts += len(texts)
                usage.counted_calls += calls
            usage.texts += len(texts)
            usage.calls += calls
        if calls > 1:
            logger.info("%d texts go to %s in %d calls", len(texts), self.name, calls)
        return calls

    def _checked_rows(self, given: object, count: int) -> FloatArray:
        """Check what an embedder gave for so many texts, and return it as unit rows."""
        try:
            numbers = as_numbers(given, "the vectors")
        except SteersearchError as error:
            raise EmbedderError(f"{self.name} gave no vectors: {error}") from error
        d_in, made = self._manifest.d_in, self._made_by()
        if numbers.ndim != 2 or len(numbers) != count:
            raise EmbedderError(
                f"{self.name} gave the shape {numbers.shape} for {count} texts: expected ({count}, {d_in})"
            )
        if numbers.shape[1] != d_in:
            cut = f", or asks for so many (dimensions={d_in}, --embedder-dimensions)" if numbers.shape[1] > d_in else ""
            raise EmbedderError(
                f"{self.name} gives {numbers.shape[1]:,} numbers per text and {self._folder} was made with {d_in:,}"
                f"{made}: bring the embedder that made its vectors{cut}"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            wide = numbers.astype(np.float64)
            lengths = np.linalg.norm(wide, axis=1)
        bad = np.flatnonzero(~((lengths > 1e-12) & (lengths < np.inf)))
        if len(bad):
            what = "zero" if lengths[bad[0]] <= 1e-12 else "NaN or infinite numbers"
            raise EmbedderError(f"{self.name} gave {what} for text {bad[0]} of a call of {count}: it has no direction")
        return unit_rows((wide / lengths[:, None]).astype(np.float32))

    def _check_model(self) -> None:
        """Compare the probes with their vectors of old, once."""
        if self._checked:
            return
        with self._checking:
            if self._checked:
                return
            probes = read_probes(self._folder, self._manifest.d_in)
            key = key_of(self._space, "probes", "")
            if self._disk is None or not self._disk.checked(key, DAY):
                texts = list(probes.texts)
                if self.source.prefixed:
                    texts = list(add_prefix(self._manifest.document_prefix, texts))
                self._count(texts)
                parts = [
                    self._checked_rows(self.source.embed(batch, "documents", self._manifest.d_in), len(batch))
                    for batch in self.source.batches(texts)
                ]
                cosines = np.einsum("ij,ij->i", np.concatenate(parts), probes.vectors)
                if not np.median(cosines) >= SAME_MODEL:
                    raise EmbedderError(
                        f"{self.name} embeds other than {self._folder} was made with{self._made_by()}: of its "
                        f"{len(cosines)} remembered texts the vectors agree by a median cosine of "
                        f"{np.median(cosines):.3f}, expected at least {SAME_MODEL}: bring that model, or train and "
                        "index again with this one"
                    )
                if self._disk is not None:
                    self._disk.check(key)
            self._checked = True

    def _made_by(self) -> str:
        name = self._manifest.embedder["id"]
        return f" ({name})" if name else ""


def _report(progress: Progress | None, total: int, before: int, done: int) -> None:
    if progress is not None:
        progress(before + done, total)


def _open_cache(settings: ExternalEmbedder, source: Source) -> VectorCache | None:
    """Open the cache of a source on the disk; None where its vectors are not to be kept."""
    wanted = source.key is not None if settings.cache is None else settings.cache
    return VectorCache(settings.cache_dir or default_cache_dir()) if wanted else None
