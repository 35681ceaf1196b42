"""`Calls`: calls of an embedder from outside, a few at a time, checked, counted, limited, and kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ....arrays import FloatArray, as_numbers, unit_rows
from ....background import answers
from ....bounded_cache import BoundedCache
from ....embedding_cache import default_cache_dir
from ....errors import EmbedderError, SteersearchError
from ....forks import lock_for_forks
from ..embedder import Progress
from .external_embedder import ExternalEmbedder
from .sources import Side, Source
from .vector_cache import VectorCache, key_of

logger = logging.getLogger(__name__)

SMALL = 64
"""Texts of a call that no limit refuses: a search with new phrases needs as many, and must not fail after a while."""
IN_MEMORY = 2**25
"""Bytes of vectors that are kept in memory."""


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


class Calls:
    """Embeds texts by a source, each of them once. Safe to use from several threads.

    Args:
        settings: Limits, and where vectors are kept.
        source: What embeds.
        width: Numbers per text.
        space: What vectors depend on besides source, width and text; kept vectors of another space are not found.
        expected: Whose width it is, for messages: "bundle was made with 384".
    """

    def __init__(self, settings: ExternalEmbedder, source: Source, width: int, space: str, expected: str) -> None:
        self._settings, self.source, self._width, self._expected = settings, source, width, expected
        self.space = f"{source.key} {space} {width}"
        self.usage = Usage()
        self._memory: BoundedCache[bytes, FloatArray] = BoundedCache(IN_MEMORY, lambda row: row.nbytes)
        self.disk = _open_cache(settings, source)
        self._counting = lock_for_forks()

    def embed(
        self, texts: Sequence[str], side: Side, place: str, progress: Progress | None, check: Callable[[], None]
    ) -> FloatArray:
        """Embed texts, but for those whose vectors are kept: unit rows, shape (n, width), float32.

        Args:
            texts: Valid texts.
            side: How they are embedded.
            place: Where they are kept; another one for each side, unless sides are alike.
            progress: Called with (texts done, texts).
            check: Called before anything is sent.

        Raises:
            EmbedderError: The source fails, gives no vectors of this width, or would exceed a limit.
        """
        keys = [key_of(self.space, place, text) for text in texts]
        rows = self._known(keys)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in rows}
        done = len(texts) - len(missing)
        with self._counting:
            self.usage.cached += done
        if progress and done:
            progress(done, len(texts))
        if missing:
            check()
            self._fetch(side, missing, rows, partial(_report, progress, len(texts), done))
        out = np.empty((len(texts), self._width), np.float32)
        for i, key in enumerate(keys):
            out[i] = rows[key]
        return out

    def embed_anew(self, texts: Sequence[str], side: Side) -> FloatArray:
        """Embed texts whether or not their vectors are kept, and keep none; else as `embed`."""
        self._count(texts)
        embed = self.source.embed
        parts = [
            self._checked_rows(embed(batch, side, self._width), len(batch)) for batch in self.source.batches(texts)
        ]
        return np.concatenate(parts)

    def expect(self, texts: Sequence[str], place: str) -> tuple[int, int]:
        """Return how many texts would be sent and in how many calls; an `EmbedderError` if that exceeds a limit."""
        keys = {key_of(self.space, place, text): text for text in texts}
        known = self._known(list(keys))
        missing = [text for key, text in keys.items() if key not in known]
        calls = sum(1 for _ in self.source.batches(missing))
        with self._counting:
            self._check_limits(len(missing), calls)
        return len(missing), calls

    def _known(self, keys: Sequence[bytes]) -> dict[bytes, FloatArray]:
        rows = {key: row for key in set(keys) if (row := self._memory.get(key)) is not None}
        asked = [key for key in dict.fromkeys(keys) if key not in rows]
        if asked and self.disk is not None:
            found = self.disk.get(asked, self._width)
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
            found = self._checked_rows(self.source.embed(batch, side, self._width), len(batch))
            made = dict(zip(some, found, strict=True))
            # Here, so that it is kept when whoever waits for it is interrupted.
            for key, row in made.items():
                self._memory.put(key, row)
            if self.disk is not None:
                self.disk.put(made)
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
        usage = self.usage
        with self._counting:
            self._check_limits(len(texts), calls)
            if len(texts) > SMALL:
                usage.counted_texts += len(texts)
                usage.counted_calls += calls
            usage.texts += len(texts)
            usage.calls += calls
        if calls > 1:
            logger.info("%d texts go to %s in %d calls", len(texts), self.source.name, calls)
        return calls

    def _check_limits(self, texts: int, calls: int) -> None:
        if texts <= SMALL:
            return
        for what, new, before, most in (
            ("texts", texts, self.usage.counted_texts, self._settings.max_texts),
            ("calls", calls, self.usage.counted_calls, self._settings.max_calls),
        ):
            if most is not None and before + new > most:
                so_far = f" after {before:,}" if before else ""
                raise EmbedderError(
                    f"{new:,} more {what} would go to {self.source.name}{so_far}, and max_{what} is {most:,}: allow "
                    f"more with max_{what} (--max-{what}); what was embedded is kept, so the same call goes on"
                )

    def _checked_rows(self, given: object, count: int) -> FloatArray:
        """Check what an embedder gave for so many texts, and return it as unit rows."""
        name = self.source.name
        try:
            numbers = as_numbers(given, "the vectors")
        except SteersearchError as error:
            raise EmbedderError(f"{name} gave no vectors: {error}") from error
        d_in = self._width
        if numbers.ndim != 2 or len(numbers) != count:
            raise EmbedderError(f"{name} gave the shape {numbers.shape} for {count} texts: expected ({count}, {d_in})")
        if numbers.shape[1] != d_in:
            cut = f", or asks for so many (dimensions={d_in}, --embedder-dimensions)" if numbers.shape[1] > d_in else ""
            raise EmbedderError(
                f"{name} gives {numbers.shape[1]:,} numbers per text and {self._expected}: bring the embedder "
                f"that made its vectors{cut}"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            wide = numbers.astype(np.float64)
            lengths = np.linalg.norm(wide, axis=1)
        bad = np.flatnonzero(~((lengths > 1e-12) & (lengths < np.inf)))
        if len(bad):
            what = "zero" if lengths[bad[0]] <= 1e-12 else "NaN or infinite numbers"
            raise EmbedderError(f"{name} gave {what} for text {bad[0]} of a call of {count}: it has no direction")
        return unit_rows((wide / lengths[:, None]).astype(np.float32))


def _report(progress: Progress | None, total: int, before: int, done: int) -> None:
    if progress is not None:
        progress(before + done, total)


def _open_cache(settings: ExternalEmbedder, source: Source) -> VectorCache | None:
    """Open the cache of a source on the disk; None where its vectors are not to be kept."""
    wanted = source.key is not None if settings.cache is None else settings.cache
    return VectorCache(settings.cache_dir or default_cache_dir()) if wanted else None
