"""Text for the general model: sets whose stated licence allows it, and nothing that is measured on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import numpy as np

from steersearch.arrays import FloatArray, IntArray
from steersearch.corpus import python_documentation, read_queries
from steersearch.embedding_cache import Side

from .data import Material, Source, choose
from .experiments import UNSEEN

DOCUMENTS = (
    ("medquad", 0, 3000),
    ("medquad", 3000, 6000),
    ("2wiki-passages", 0, 4000),
    ("foldoc-dictionary", 0, 5000),
    ("foldoc-dictionary", 5000, 9000),
    ("debates", 0, 2500),
    ("perspectrum", 0, 5000),
)
"""CC BY 4.0, CC BY-SA, GFDL, CC BY-SA, CC BY-SA 4.0: parts of a random order, embedded one by one. With them goes the
documentation of the running Python (PSF)."""
QUESTIONS = {"medquad": 6000, "debates": None}
PIECES_OF = {"2wiki-passages": 4000, "foldoc-dictionary": 4000, "debates": 4000, "medquad": 12_000}
SAME = 0.95
"""A text whose cosine with one that is measured on reaches this is left out: LiveQA-Med cites pages of MedQuAD."""
RUN, COPIED = 8, 0.1
"""The same by words: a share of a text's runs of so many words."""
_WORD = re.compile(r"\w+")


def general_texts(source: Source, every: int = 1) -> list[str]:
    """Texts of the documents that `general_material` keeps, in the same order."""
    kept = _kept(source, every)
    parts = [texts[::every] for texts in general_parts(source)]
    return [part[row] for part, rows in zip(parts, kept, strict=True) for row in rows]


def general_material(source: Source, every: int = 1) -> Material:
    """Documents of five sets and of Python; questions of two sets, and pieces of four, as queries.

    Texts that are nearly the same as one that is measured on are left out. With all texts that is decided by their
    embeddings; with a part of them by their words, since embedding what is measured on would take longer than the rest.

    Args:
        source: What embeds them.
        every: Take each so-manieth text of every part. A model of twelve layers takes hours for all.
    """
    documents = [
        source.embed(texts[::every])[kept]
        for texts, kept in zip(general_parts(source), _kept(source, every), strict=True)
    ]
    queries = [
        source.embed(texts[::every], side)[_unlike(source, texts[::every], side, every)]
        for texts, side in _queries(source)
    ]
    return Material(np.concatenate(documents), np.concatenate(queries), 0, None)


def _kept(source: Source, every: int) -> list[IntArray]:
    return [_unlike(source, texts[::every], "documents", every) for texts in general_parts(source)]


def _unlike(source: Source, texts: list[str], side: Side, every: int) -> IntArray:
    """Rows of the texts that are like nothing that is measured on."""
    if every == 1:
        return unlike(source.embed(texts, side), _measured(source))
    known = _measured_words(source)
    return np.array([row for row, text in enumerate(texts) if not copies(text, known)], np.int64)


def general_parts(source: Source) -> list[list[str]]:
    """Texts of all documents, part by part."""
    python = [document.text for document in python_documentation().documents()]
    return [*(source.texts(*part) for part in DOCUMENTS), python]


def _queries(source: Source) -> Iterator[tuple[list[str], Side]]:
    for name, limit in QUESTIONS.items():
        yield choose(list(read_queries(source.folder / name).values()), limit), "queries"
    for name, limit in PIECES_OF.items():
        yield from ((choose(part, limit), "documents") for part in source.parts(name) if part)


def _measured(source: Source) -> FloatArray:
    arrays = (array for name in UNSEEN for array in (source.documents(name), source.judged(name).queries))
    return np.concatenate(list(arrays))


@cache
def _measured_words(source: Source) -> frozenset[tuple[str, ...]]:
    texts = [text for name in UNSEEN for text in (*source.texts(name), *read_queries(source.folder / name).values())]
    return frozenset(sequence for text in texts for sequence in sequences(text))


def sequences(text: str) -> set[tuple[str, ...]]:
    """Every run of `RUN` words; of a shorter text all its words."""
    words = _WORD.findall(text.casefold())
    return {tuple(words[at : at + RUN]) for at in range(max(1, len(words) - RUN + 1))}


def copies(text: str, known: frozenset[tuple[str, ...]]) -> bool:
    """Whether a tenth of a text's runs of words are known: it is a copy, or a part of one."""
    runs = sequences(text)
    return len(runs & known) >= COPIED * len(runs)


def unlike(rows: FloatArray, others: FloatArray) -> IntArray:
    """Numbers of the rows that are nearly the same as none of the others."""
    nearest = np.concatenate([(rows[at : at + 2048] @ others.T).max(1) for at in range(0, len(rows), 2048)])
    return np.flatnonzero(nearest < SAME)
