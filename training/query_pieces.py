"""Pieces of documents that a query table is fitted to: they are as varied as what people type, and many."""

from __future__ import annotations

import random
from collections.abc import Iterable

from ..text import SENTENCE_END
from .queries import tidy, words_of

SENTENCES = 0.35
"""Largest share of titles and sentences; spans of words take the rest."""
RUNS, WORD_BAGS, JOINED = 0.06, 0.10, 0.04
"""Shares of some sentences in a row, of words of a document without their order, and of two spans in one query."""
LENGTHS = (1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 18, 24)
"""Words of a span, each with the same chance."""
SENTENCE = 12, 400
"""Fewest and most characters of a sentence."""
MOST_DOCUMENTS = 50_000
"""Documents that are cut up, chosen at random, which bounds the memory."""
MOST_SENTENCES = 30
"""Sentences of a document that count for how often it is drawn."""
ROUNDS = 4
"""Draws of what is missing, before a corpus counts as small."""
_EDGES = ".,;:!?()[]\"'"


def query_pieces(documents: Iterable[tuple[str, str]], limit: int, seed: int) -> list[str]:
    """Return at most `limit` different pieces of documents, in random order.

    Titles and sentences come first. The rest is drawn at random: spans of 1 to 24 words, some sentences in a row, words
    of a document in no order, and two spans in one. A longer document is drawn more often.

    Args:
        documents: Title (or an empty string) and text of each; read once.
        limit: Wanted number; fewer are returned when there are no more.
        seed: The same seed gives the same pieces.
    """
    rng = random.Random(seed)
    titles, texts = _sample(documents, rng)
    sentences = [text for text in texts if text]
    whole = list(dict.fromkeys(tidy(piece) for piece in [*titles, *(each for text in sentences for each in text)]))
    rng.shuffle(whole)
    found = dict.fromkeys(whole[: max(1, int(SENTENCES * limit))])
    weights = [min(len(text), MOST_SENTENCES) for text in sentences]
    makers = (_run, _word_bag, _joined, _span)
    shares = (RUNS, WORD_BAGS, JOINED, 1 - RUNS - WORD_BAGS - JOINED)
    # What is drawn twice counts once, and a small corpus may have fewer pieces than are wanted.
    for _ in range(ROUNDS):
        missing = limit - len(found)
        if missing <= 0 or not sentences:
            break
        drawn = zip(rng.choices(makers, shares, k=missing), rng.choices(sentences, weights, k=missing), strict=True)
        found |= dict.fromkeys(tidy(make(text, rng)) for make, text in drawn)
    pieces = [piece for piece in found if len(piece) > 1][:limit]
    rng.shuffle(pieces)
    return pieces


def _sample(documents: Iterable[tuple[str, str]], rng: random.Random) -> tuple[list[str], list[list[str]]]:
    """Choose documents with equal chance (reservoir sampling), and return their titles and their sentences."""
    kept: list[tuple[str, str]] = []
    for number, document in enumerate(documents):
        if number < MOST_DOCUMENTS:
            kept.append(document)
        elif (slot := rng.randrange(number + 1)) < MOST_DOCUMENTS:
            kept[slot] = document
    least, most = SENTENCE
    cut = ([" ".join(piece.split()) for piece in SENTENCE_END.split(text)] for _, text in kept)
    return [title for title, _ in kept if title], [[s for s in text if least <= len(s) <= most] for text in cut]


def _span(sentences: list[str], rng: random.Random) -> str:
    words, joint = words_of(rng.choice(sentences))
    length = min(rng.choice(LENGTHS), len(words))
    start = rng.randrange(len(words) - length + 1)
    return joint.join(words[start : start + length])


def _run(sentences: list[str], rng: random.Random) -> str:
    start = rng.randrange(len(sentences))
    return " ".join(sentences[start : start + rng.randint(2, 4)])


def _word_bag(sentences: list[str], rng: random.Random) -> str:
    words = [word.strip(_EDGES) for each in rng.choices(sentences, k=3) for word in words_of(each)[0]]
    # Short words say little without their place; scripts without spaces have no others.
    words = list(dict.fromkeys([word for word in words if len(word) > 3] or words))
    return " ".join(rng.sample(words, min(len(words), rng.randint(2, 8))))


def _joined(sentences: list[str], rng: random.Random) -> str:
    return f"{_span(sentences, rng)} {_span(sentences, rng)}"
