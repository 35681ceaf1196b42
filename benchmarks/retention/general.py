"""Text for the general model: sets whose stated licence allows it, and nothing that is measured on."""

from __future__ import annotations

from collections.abc import Iterator

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


def general_texts(guard: Source, every: int = 1) -> list[str]:
    """Texts of the documents that `general_material` keeps, in the same order."""
    parts = [texts[::every] for texts in _texts(guard)]
    return [text for part, kept in zip(parts, _kept(guard, every), strict=True) for text in (part[row] for row in kept)]


def general_material(source: Source, guard: Source, every: int = 1) -> Material:
    """Documents of five sets and of Python; questions of two sets, and pieces of four, as queries.

    Args:
        source: What embeds them.
        guard: What finds the texts that are nearly the same as one that is measured on: MiniLM, for every model.
        every: Take each so-manieth text of every part. A model of twelve layers takes hours for all.
    """
    documents = [
        source.embed(texts[::every])[kept] for texts, kept in zip(_texts(guard), _kept(guard, every), strict=True)
    ]
    measured = _measured(guard)
    queries = [
        source.embed(texts[::every], side)[unlike(guard.embed(texts, side)[::every], measured)]
        for texts, side in _queries(guard)
    ]
    return Material(np.concatenate(documents), np.concatenate(queries), 0, None)


def _kept(guard: Source, every: int) -> list[IntArray]:
    """Rows of every part, of each so-manieth text, that are unlike what is measured on."""
    measured = _measured(guard)
    return [unlike(guard.embed(texts)[::every], measured) for texts in _texts(guard)]


def _texts(source: Source) -> list[list[str]]:
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


def unlike(rows: FloatArray, others: FloatArray) -> IntArray:
    """Numbers of the rows that are nearly the same as none of the others."""
    nearest = np.concatenate([(rows[at : at + 2048] @ others.T).max(1) for at in range(0, len(rows), 2048)])
    return np.flatnonzero(nearest < SAME)
