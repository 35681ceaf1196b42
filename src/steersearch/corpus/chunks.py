"""Long documents cut into chunks that an embedder reads to the end."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from heapq import merge
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from ..chunk_places import placed
from ..errors import ConfigError, DataError
from ..text import SENTENCE_END
from .documents import Document
from .plain_tokens import count_plain_tokens, plain_tokens
from .sections import Section

_LINE = re.compile(r"[^\n]+")
_LEAST = 16
"""Fewest tokens of a chunk, with special ones. Smaller chunks have too little content."""
_CHARACTERS_PER_TOKEN = 32
"""Longest span of text that is tokenised as one, for words without end."""
_CHARACTERS_AT_ONCE = 8
"""Length of text per wanted token that is tokenised to cut a sentence without end. Few words are longer."""
_BATCH, _BATCH_CHARACTERS = 1024, 1 << 18
"""Texts, and characters of them, that are tokenised together. Tokenised text takes 200 times its size in memory."""
_FURTHEST_BACK = 4096
"""Most sentences of an overlap, for those without tokens."""


class _Span(NamedTuple):
    """A sentence, a line or some words that stay together."""

    start: int
    end: int
    tokens: int


class Chunker:
    """Cuts documents at sections, paragraphs and sentences, always at the same places; short documents stay whole."""

    def __init__(
        self, tokenizer: Path | None, max_length: int, tokens: int | None = None, overlap: int | None = None
    ) -> None:
        """Open a tokenizer.

        Args:
            tokenizer: Path of tokenizer.json; None to count plain tokens, one per 3 to 5 characters (`plain_tokens`).
            max_length: Tokens that the embedder reads, with special ones.
            tokens: Longest chunk, counted in the same way; `max_length` by default.
            overlap: Most tokens that a chunk repeats from the end of the chunk before, in whole sentences; an eighth of
                a chunk by default. Chunks of different sections share nothing.

        Raises:
            ConfigError: `tokens` is not in [16, max_length], or `overlap` not in [0, half of tokens].
            DataError: The tokenizer cannot be read.
        """
        self.tokens = max_length if tokens is None else tokens
        self.overlap = self.tokens // 8 if overlap is None else overlap
        if not min(_LEAST, max_length) <= self.tokens <= max_length:
            raise ConfigError(f"chunks of {self.tokens} tokens: this bundle's embedder reads {_LEAST} to {max_length}")
        if not 0 <= self.overlap <= self.tokens // 2:
            raise ConfigError(f"an overlap of {self.overlap} tokens: a chunk of {self.tokens} allows 0 to half of it")
        self._tokenizer: Tokenizer | None = None
        self._room = self.tokens
        if tokenizer is not None:
            self._tokenizer = _open(tokenizer)
            self._room -= self._tokenizer.num_special_tokens_to_add(False)

    def cut(self, document: Document) -> list[Document]:
        """Return the chunks of a document in order, or the document itself when it fits.

        A chunk is ``text[start:end]`` of its document. Its id is the document's id, a ``#`` and its number from 1. Its
        metadata is the document's, with `source` (the document's id where it has none), `chunk`, `start`, `end`, and
        `page` or `heading` where they are known. A field of the document with one of these names is kept with a prefix,
        ``document.page``.
        """
        text, sections = document.text, document.sections
        short = len(text) <= self._room * _CHARACTERS_PER_TOKEN and self._count([text])[0] <= self._room
        ends = [section.start for section in sections[1:]] + [len(text)]
        pages = [s for s, end in zip(sections, ends, strict=False) if s.apart and text[s.start : end].strip()]
        if short and len(pages) < 2:
            place = (pages or sections)[0].metadata if pages or (sections and sections[0].start == 0) else {}
            return [replace(document, metadata=placed(document.metadata, place), sections=())]
        starts = [section.start for section in sections]
        chunks = []
        for number, (start, end, begins) in enumerate(self._bounds(text, sections), start=1):
            at = bisect_right(starts, begins) - 1
            place = {"chunk": number, "start": start, "end": end, **(sections[at].metadata if at >= 0 else {})}
            metadata = {"source": document.id, **placed(document.metadata, place)}
            id = f"{document.id}#{number}"
            chunks.append(Document(id, text[start:end], metadata, made_up=document.made_up))
        return chunks if len(chunks) > 1 else [replace(document, sections=())]

    def _bounds(self, text: str, sections: tuple[Section, ...]) -> Iterator[tuple[int, int, int]]:
        """Yield (start, end, start of the part that is not overlap) of every chunk."""
        spans = _Spans(self._fitting(text, _sentences(text, sections)))
        heads = {section.start: section.apart for section in sections}
        first = 0
        while spans.has(first):
            lead = first if spans[first].start in heads else self._overlap(text, spans, heads, first)
            last = self._last(text, spans, heads, lead, first)
            too_long = self._too_long(text, spans[lead].start, spans[last - 1].end)
            while too_long and last > first + 1:
                # Some tokenizers give a text more tokens than its parts have.
                last -= 1
                too_long = self._too_long(text, spans[lead].start, spans[last - 1].end)
            if too_long:
                lead = first
            yield spans[lead].start, spans[last - 1].end, spans[first].start
            first = last
            spans.forget(first - _FURTHEST_BACK)

    def _last(self, text: str, spans: _Spans, heads: dict[int, bool], lead: int, first: int) -> int:
        """Find the end of the chunk that begins with span `lead`: it is full, or a section begins."""
        used = sum(spans[at].tokens for at in range(lead, first + 1))
        last = first + 1
        while spans.has(last) and used + spans[last].tokens <= self._room:
            apart = heads.get(spans[last].start)
            if apart or (apart is not None and 2 * used >= self._room):
                return last
            used += spans[last].tokens
            last += 1
        heading = spans[last - 1]
        if spans.has(last) and last > first + 1 and heading.start in heads and "\n" not in text[slice(*heading[:2])]:
            # A heading belongs to the text below it.
            last -= 1
        return last

    def _overlap(self, text: str, spans: _Spans, heads: dict[int, bool], first: int) -> int:
        lead, used = first, 0
        allowed = min(self.overlap, self._room - spans[first].tokens)
        while lead > max(0, first - _FURTHEST_BACK) and used + spans[lead - 1].tokens <= allowed:
            lead -= 1
            used += spans[lead].tokens
            if spans[lead].start in heads:
                break
        while lead < first and self._count([text[spans[lead].start : spans[first - 1].end]])[0] > allowed:
            # As in `_bounds`: together they may have more tokens than each by itself.
            lead += 1
        return lead

    def _fitting(self, text: str, bounds: Iterable[tuple[int, int]]) -> Iterator[_Span]:
        """Yield spans that fit into a chunk. A longer one is cut at its lines, then at words."""
        most = self._room * _CHARACTERS_PER_TOKEN
        for batch in _batches(bounds):
            counts = iter(self._count([text[start:end] for start, end in batch if end - start <= most]))
            for start, end in batch:
                tokens = next(counts) if end - start <= most else None
                if tokens is not None and tokens <= self._room:
                    yield _Span(start, end, tokens)
                elif text.find("\n", start, end) >= 0:
                    yield from self._fitting(text, _lines(text, start, end))
                else:
                    yield from self._words(text, start, end)

    def _words(self, text: str, start: int, end: int) -> Iterator[_Span]:
        """Yield spans of a sentence without end, as long as an overlap or a quarter of a chunk."""
        wanted = max(1, min(self.overlap or self._room, self._room // 4))
        while start < end:
            # A text of punctuation has a token for every character.
            stop = min(end, start + 2 * wanted)
            offsets = self._offsets(text[start:stop])
            if stop < end and 2 * len(offsets) < 3 * wanted:
                stop = min(end, start + wanted * _CHARACTERS_AT_ONCE)
                offsets = self._offsets(text[start:stop])
            if len(offsets) > wanted:
                stop = start + max(1, offsets[wanted][0])
            if stop < end and not text[stop].isspace():
                words = [match.start() for match in re.finditer(r"\s", text[start:stop])]
                stop = start + words[-1] if words and words[-1] else stop
            tokens = sum(offset[0] < stop - start for offset in offsets)
            while 4 * tokens > self._room and stop > start + 1 and self._too_long(text, start, stop):
                stop = start + (stop - start) * 3 // 4
            yield _Span(*_stripped(text, start, stop), tokens)
            start, _ = _stripped(text, stop, end)

    def _offsets(self, text: str) -> list[tuple[int, int]]:
        if self._tokenizer is None:
            return plain_tokens(text)
        return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

    def _too_long(self, text: str, start: int, end: int) -> bool:
        return bool(self._count([text[start:end]])[0] > self._room)

    def _count(self, texts: list[str]) -> list[int]:
        if self._tokenizer is None:
            return [count_plain_tokens(text) for text in texts]
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False) if texts else []
        return [len(encoding.ids) for encoding in encodings]


def _open(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise DataError(f"{path} cannot be read ({error}): export the bundle again") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


class _Spans:
    """Spans by number, read when they are asked for and forgotten when they are far behind."""

    def __init__(self, source: Iterator[_Span]) -> None:
        self._source = source
        self._held: list[_Span] = []
        self._forgotten = 0

    def __getitem__(self, number: int) -> _Span:
        return self._held[number - self._forgotten]

    def has(self, number: int) -> bool:
        """Whether there is a span with this number, from 0; it is then held."""
        while number >= self._forgotten + len(self._held):
            span = next(self._source, None)
            if span is None:
                return False
            self._held.append(span)
        return True

    def forget(self, number: int) -> None:
        """Forget the spans before a number."""
        if number > self._forgotten + _FURTHEST_BACK:
            del self._held[: number - self._forgotten]
            self._forgotten = number


def _sentences(text: str, sections: tuple[Section, ...]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the sentences of a text, which end where a section begins too, without blanks around."""
    ends = merge((match.end() for match in SENTENCE_END.finditer(text)), (section.start for section in sections))
    before = 0
    for cut in chain(ends, (len(text),)):
        if cut > before:
            start, end = _stripped(text, before, cut)
            if start < end:
                yield start, end
            before = cut


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for match in _LINE.finditer(text, start, end):
        first, last = _stripped(text, *match.span())
        if first < last:
            yield first, last


def _batches(bounds: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Group spans that are tokenised together."""
    batch: list[tuple[int, int]] = []
    size = 0
    for start, end in bounds:
        batch.append((start, end))
        size += end - start
        if len(batch) == _BATCH or size > _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
