"""Passages: the sentences in which each latent is strongest, and the texts that are shown for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ...arrays import FloatArray, IntArray
from ...text import SENTENCE_END, one_line
from ..bundle.bundle import Bundle
from ..bundle.interpretation import Passage
from .encoded_documents import EncodedDocuments, FiringStatistics
from .neuron2graph import TokenMeans, TokenModel
from .occlusion import ActiveSentence, Embed
from .sentence_parts import gives_parts, read_parts

DOCUMENTS = {False: 2, True: 3}
"""Documents per latent in which a sentence is looked for, without and with an embedder that tells what each word adds:
without, words have to be left out one by one."""
CANDIDATES = 2
"""Sentences per document that are embedded to find the one in which a latent is strongest."""
MAX_CHARACTERS = 320
SHOWN = 5
MIN_SALIENCY = 0.1
"""Spans of a smaller saliency are not marked."""


@dataclass(frozen=True)
class SentenceSelection:
    """The sentences that were embedded, and the one selected for each latent and document."""

    texts: list[str]
    embeddings: FloatArray
    """Unit rows, shape (n, d_in)."""
    selected: list[tuple[int, ActiveSentence]]
    """(row of the document, sentence), a latent's most typical document first."""
    means: TokenMeans | None = None
    """What the tokens of the sentences add, where the embedder tells it."""


def select_sentences(
    bundle: Bundle,
    model: TokenModel,
    documents: EncodedDocuments,
    statistics: Sequence[FiringStatistics],
    tested: Sequence[bool],
    embed: Embed,
    report: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> SentenceSelection:
    """Find the sentence in which each latent is strongest, in typical ones of its strongest training documents.

    The model proposes sentences. `tested` says whether each latent's label can be tested; of the others only one
    document is used.
    """
    exact = gives_parts(bundle)
    rows = [
        most_typical(documents, each.top[~documents.held_out[each.top]])[: DOCUMENTS[exact] if test else 1]
        for each, test in zip(statistics, tested, strict=True)
    ]
    if not sum(len(each) for each in rows):
        return SentenceSelection([], np.empty((0, bundle.d_in), np.float32), [])
    sentences = {int(row): sentences_of(documents.texts[row]) for row in np.unique(np.concatenate(rows))}
    directions = {row: model.directions(bundle.tokenise(texts)) for row, texts in sentences.items() if texts}
    proposed: list[tuple[int, int, list[str]]] = []
    for latent, strongest in enumerate(rows):
        for row in (int(row) for row in strongest if int(row) in directions):
            promising = np.argsort(-(directions[row] @ bundle.atoms[latent]), kind="stable")[:CANDIDATES]
            proposed.append((latent, row, [sentences[row][i] for i in promising]))
    texts = sorted({text for _, _, candidates in proposed for text in candidates})
    parts = None
    if exact:
        latents: dict[str, list[int]] = {}
        for latent, _, candidates in proposed:
            for text in candidates:
                latents.setdefault(text, []).append(latent)
        mean = documents.embeddings.mean(0, dtype=np.float32)
        parts = read_parts(bundle, texts, latents, mean, partial(report, "read sentences"))
    embeddings = embed(texts, "read sentences") if parts is None else parts.embeddings
    position = {text: i for i, text in enumerate(texts)}
    indices, values = bundle.encode(embeddings)
    selected = []
    for latent, row, candidates in proposed:
        at = [position[text] for text in candidates]
        activations = np.where(indices[at] == latent, values[at], 0.0).sum(1)
        best = int(np.lexsort((embeddings[at] @ bundle.atoms[latent], activations))[-1])
        text = candidates[best]
        spans = () if parts is None else parts.saliency[text, latent]
        selected.append((row, ActiveSentence(latent, text, float(activations[best]), spans=spans)))
    return SentenceSelection(texts, embeddings, selected, None if parts is None else parts.means)


def most_typical(documents: EncodedDocuments, rows: IntArray) -> IntArray:
    """Order documents, strongest first, by how near each is to their mean: the oddest come last."""
    middle = documents.centred[rows].sum(0)
    ordered: IntArray = rows[np.argsort(-(documents.centred[rows] @ middle), kind="stable")]
    return ordered


def sentence_passage(documents: EncodedDocuments, row: int, sentence: ActiveSentence) -> Passage:
    """Return the passage of a sentence, with the spans worth marking."""
    rows, activations = documents.firing[sentence.latent]
    activation = float(activations[rows == row][0] / documents.typical[sentence.latent])
    spans = tuple(span for span in sentence.spans if span[2] >= MIN_SALIENCY)
    return Passage(documents.ids[row], sentence.text, round(activation, 4), spans, sentence.minimal)


def further_passages(
    documents: EncodedDocuments, statistics: FiringStatistics, shown: Sequence[Passage]
) -> tuple[Passage, ...]:
    """Return the beginnings of a latent's next strongest training documents, up to `SHOWN` with those in `shown`."""
    seen = {passage.document for passage in shown}
    fires, activations = documents.firing[statistics.latent]
    strength = dict(zip(fires.tolist(), (activations / documents.typical[statistics.latent]).tolist(), strict=True))
    rows = [int(row) for row in statistics.top if not documents.held_out[row] and documents.ids[row] not in seen]
    return tuple(_beginning(documents, row, round(strength[row], 4)) for row in rows[: SHOWN - len(shown)])


def near_miss_passages(documents: EncodedDocuments, rows: IntArray) -> tuple[Passage, ...]:
    """Return the beginnings of documents on which a latent is not active."""
    return tuple(_beginning(documents, row, 0.0) for row in rows)


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text that hold a letter, each of at most `MAX_CHARACTERS`."""
    return [_shortened(one_line(part)) for part in SENTENCE_END.split(text) if any(c.isalpha() for c in part)]


def _beginning(documents: EncodedDocuments, row: int, activation: float) -> Passage:
    return Passage(documents.ids[row], _shortened(one_line(documents.texts[row])), activation)


def _shortened(text: str) -> str:
    if len(text) <= MAX_CHARACTERS:
        return text
    blank = text.rfind(" ", MAX_CHARACTERS // 2, MAX_CHARACTERS)
    return text[: blank if blank > 0 else MAX_CHARACTERS] + " …"
