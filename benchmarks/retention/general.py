"""Text for the general model: sets whose stated licence allows it, and nothing that is measured on."""

from __future__ import annotations

import numpy as np

from steersearch.arrays import FloatArray, IntArray
from steersearch.corpus import python_documentation

from .data import Material, Source
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


def general_texts(source: Source) -> list[str]:
    """Texts of the documents that `general_material` keeps, in the same order."""
    texts = [text for part in DOCUMENTS for text in source.texts(*part)] + _python_texts()
    return [texts[row] for row in unlike(_documents(source), _measured(source))]


def general_material(source: Source) -> Material:
    """Documents of five sets and of Python; questions of two sets, and pieces of four, as queries."""
    documents, measured = _documents(source), _measured(source)
    queries = np.concatenate(
        [source.questions(name, limit) for name, limit in QUESTIONS.items()]
        + [source.pieces(name, limit) for name, limit in PIECES_OF.items()]
    )
    return Material(documents[unlike(documents, measured)], queries[unlike(queries, measured)], 0, None)


def _documents(source: Source) -> FloatArray:
    return np.concatenate([source.documents(*part) for part in DOCUMENTS] + [source.embed(_python_texts())])


def _python_texts() -> list[str]:
    return [document.text for document in python_documentation().documents()]


def _measured(source: Source) -> FloatArray:
    arrays = (array for name in UNSEEN for array in (source.documents(name), source.judged(name).queries))
    return np.concatenate(list(arrays))


def unlike(rows: FloatArray, others: FloatArray) -> IntArray:
    """Numbers of the rows that are nearly the same as none of the others."""
    nearest = np.concatenate([(rows[at : at + 2048] @ others.T).max(1) for at in range(0, len(rows), 2048)])
    return np.flatnonzero(nearest < SAME)
