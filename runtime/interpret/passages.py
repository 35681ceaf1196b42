"""The sentences in which each latent shows best: chosen, embedded, and made ready to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...arrays import FloatArray, IntArray
from ...text import SENTENCE_END
from ..bundle.bundle import Bundle
from ..bundle.interpretation import Passage
from .neuron2graph import TokenModel
from .occlusion import Embed, Found
from .reading import Evidence, Reading

PASSAGES = 2
"""Strongest documents per latent that are taken apart."""
CANDIDATES = 2
"""Sentences per document that are embedded to find the one in which a latent is strongest."""
MAX_CHARACTERS = 320
SHOWN = 5
MARKED = 0.1
"""Words below this share are not worth a colour."""


@dataclass(frozen=True)
class Chosen:
    """Sentences that were embedded, and which of them belongs to which latent."""

    texts: list[str]
    embeddings: FloatArray
    """Unit rows, shape (n, d_in)."""
    places: list[tuple[int, Found]]
    """(row of the document, what is known so far), the strongest document of a latent first."""


def sentences_of(text: str) -> list[str]:
    """Sentences of a text, each at most `MAX_CHARACTERS` long; the whole text when it has no words."""
    parts = (" ".join(part.split()) for part in SENTENCE_END.split(text))
    return [shortened(part) for part in parts if any(c.isalpha() for c in part)]


def shortened(text: str) -> str:
    """The beginning of a text, cut between words."""
    if len(text) <= MAX_CHARACTERS:
        return text
    blank = text.rfind(" ", MAX_CHARACTERS // 2, MAX_CHARACTERS)
    return text[: blank if blank > 0 else MAX_CHARACTERS] + " …"


def choose_sentences(
    bundle: Bundle,
    model: TokenModel,
    reading: Reading,
    evidence: Sequence[Evidence],
    tested: Sequence[bool],
    embed: Embed,
) -> Chosen:
    """Find the sentence in which each latent is strongest, in the strongest documents that labels are made from.

    Args:
        bundle: Encodes, and knows the atoms.
        model: Proposes sentences.
        reading: The documents.
        evidence: One per latent.
        tested: Whether each latent's label can be tested; of the others only the strongest document is looked at.
        embed: Embeds texts.
    """
    rows = [
        each.top[~reading.held_out[each.top]][: PASSAGES if on else 1]
        for each, on in zip(evidence, tested, strict=True)
    ]
    if not sum(len(each) for each in rows):
        return Chosen([], np.empty((0, bundle.d_in), np.float32), [])
    split: dict[int, list[str]] = {
        int(row): sentences_of(reading.texts[row]) for row in np.unique(np.concatenate(rows))
    }
    directions = {row: model.directions(bundle.tokenise(texts)) for row, texts in split.items() if texts}
    proposed: list[tuple[int, int, list[str]]] = []
    for latent, documents in enumerate(rows):
        for row in (int(row) for row in documents if int(row) in directions):
            promising = np.argsort(-(directions[row] @ bundle.atoms[latent]), kind="stable")[:CANDIDATES]
            proposed.append((latent, row, [split[row][i] for i in promising]))
    texts = sorted({text for _, _, mine in proposed for text in mine})
    embeddings = embed(texts, "read sentences")
    number = {text: i for i, text in enumerate(texts)}
    indices, values = bundle.encode(embeddings)
    places = []
    for latent, row, mine in proposed:
        at = [number[text] for text in mine]
        activations = np.where(indices[at] == latent, values[at], 0.0).sum(1)
        best = int(np.lexsort((embeddings[at] @ bundle.atoms[latent], activations))[-1])
        places.append((row, Found(latent, mine[best], float(activations[best]))))
    return Chosen(texts, embeddings, places)


def as_passage(reading: Reading, row: int, found: Found) -> Passage:
    """What is shown of a document in which a latent fires."""
    documents, activations = reading.firing[found.latent]
    activation = float(activations[documents == row][0] / reading.typical[found.latent])
    marked = tuple(span for span in found.spans if span[2] >= MARKED)
    return Passage(reading.ids[row], found.sentence, round(activation, 4), marked, found.minimal)


def more_passages(reading: Reading, evidence: Evidence, shown: Sequence[Passage]) -> tuple[Passage, ...]:
    """What is shown of the next strongest documents, up to `SHOWN` in all: their beginnings."""
    seen = {passage.document for passage in shown}
    documents, activations = reading.firing[evidence.latent]
    strength = dict(zip(documents.tolist(), (activations / reading.typical[evidence.latent]).tolist(), strict=True))
    rows = [int(row) for row in evidence.top if not reading.held_out[row] and reading.ids[row] not in seen]
    return tuple(
        Passage(reading.ids[row], shortened(" ".join(reading.texts[row].split())), round(strength[row], 4))
        for row in rows[: SHOWN - len(shown)]
    )


def near_passages(reading: Reading, rows: IntArray) -> tuple[Passage, ...]:
    """What is shown of documents in which a latent is not active: their beginnings."""
    return tuple(Passage(reading.ids[row], shortened(" ".join(reading.texts[row].split())), 0.0) for row in rows)
