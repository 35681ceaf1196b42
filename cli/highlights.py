"""How the words that made a document match look on the terminal and as JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ..text import visible
from .console import console

if TYPE_CHECKING:
    from ..runtime import Words
    from ..runtime.steering.highlights.parts import Sentence, WordPart

LONGEST, BEFORE = 320, 60
"""Characters of a sentence that are shown, and of it before its first marked word where it is longer."""
TOP_FEATURES = 3
"""Features of a word in JSON."""
STYLE = "bold green"
_BLANKS = re.compile(r"\s+")


def marked_sentence(words: Words) -> Text:
    """Return the best sentence of a text on one line, its words marked: by colour on a terminal, else ``**so**``."""
    sentence = words.sentence
    if sentence is None:
        return Text()
    inside = [part for part in words.highlights if sentence.start <= part.start < sentence.end]
    start, end = _shown(sentence, inside)
    made, at = Text("… " if start > sentence.start else ""), start
    for part in inside:
        if part.end > end:
            break
        made.append(_plain(words.text[at : part.start]))
        word = _plain(words.text_of(part))
        made.append(*((word, STYLE) if console.is_terminal and not console.no_color else (f"**{word}**",)))
        at = part.end
    made.append(_plain(words.text[at:end]))
    return made.append(" …" if end < sentence.end else "")


def _shown(sentence: Sentence, inside: list[WordPart]) -> tuple[int, int]:
    """Return the characters of a sentence that are shown: all, or those around its first marked words."""
    if sentence.end - sentence.start <= LONGEST:
        return sentence.start, sentence.end
    start = max(sentence.start, inside[0].start - BEFORE) if inside else sentence.start
    return start, min(sentence.end, start + LONGEST)


def _plain(text: str) -> str:
    return visible(_BLANKS.sub(" ", text))


def highlights_json(words: Words) -> dict[str, Any]:
    """Return what made a hit match as JSON values: characters of its text, and what they add to the score."""
    sentence = words.sentence
    return {
        "highlights": [{"start": part.start, "end": part.end, "value": part.value} for part in words.highlights],
        "sentence": sentence and {"start": sentence.start, "end": sentence.end, "value": sentence.value},
        "exact": words.exact,
    }


def words_json(words: Words) -> dict[str, Any]:
    """Return every word of a document as JSON values, each with what it adds by condition and by its first features."""
    found = []
    for part in words:
        features = sorted(part.features.items(), key=lambda item: -abs(item[1]))[:TOP_FEATURES]
        found.append(
            {
                "start": part.start,
                "end": part.end,
                "text": words.text_of(part),
                "contribution": part.value,
                "terms": list(part.terms),
                "features": {f"f{latent}": value for latent, value in features},
            }
        )
    sentences = [{"start": one.start, "end": one.end, "contribution": one.value} for one in words.sentences]
    return {
        "exact": words.exact,
        "rest": words.rest,
        "rests": list(words.rests),
        "words": found,
        "sentences": sentences,
    }
