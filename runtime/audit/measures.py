"""What a text has beside its topic: length, reading level, language, boilerplate. Pure Python, no models."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ...arrays import WideArray

WORD = re.compile(r"[^\W\d_]+")
SENTENCE = re.compile(r"(?<=[.!?。!?])\s+|\n+")
FEWEST_WORDS = 5
"""Of a text or sentence; with fewer, its level and language are chance."""
SHARED_BY = 3
"""Documents that share a sentence of boilerplate, or a hundredth of all."""
FUNCTION_WORDS: Mapping[str, frozenset[str]] = {
    "English": frozenset("the of and to in is that for it with was on are be this by from at have not which".split()),
    "German": frozenset(
        "der die und das den von zu mit sich des auf für ist im dem nicht ein eine als auch es".split()
    ),
    "French": frozenset("de la le et les des en un du une que est pour qui dans par plus pas au sur ne".split()),
    "Spanish": frozenset("de la que el en y los se del las un por con no una su para es al lo como".split()),
    "Italian": frozenset("di e il la che in un è per una del non con sono i della le si da al nel".split()),
    "Portuguese": frozenset("de a o que e do da em um para é com não uma os no se na por mais as dos".split()),
    "Dutch": frozenset("de van het een en in is dat op te zijn met voor niet aan er om ook als dan".split()),
}
"""Language -> its commonest words."""
SURE = 0.15
"""Share of a text's words that are such words, below which its language is unknown."""


def words_of(text: str) -> list[str]:
    """Return the words of a text, lower case, without numbers."""
    return [word.lower() for word in WORD.findall(text)]


def length_of(text: str) -> float:
    """Return the number of words; NaN without any."""
    return float(len(WORD.findall(text))) or np.nan


def reading_level_of(text: str) -> float:
    """Return the Automated Readability Index, about the school year that a text is for; NaN where it has few words.

    ``4.71 characters / words + 0.5 words / sentences - 21.43``. It was fitted to English; in another language with
    spaces it still tells long words and sentences from short ones. NaN without an alphabet of that kind.

    References:
        Senter and Smith 1967, "Automated Readability Index", AMRL-TR-66-220.
    """
    words = WORD.findall(text)
    if len(words) < FEWEST_WORDS or script_of(text) not in ("LATIN", "CYRILLIC", "GREEK"):
        return np.nan
    sentences = sum(1 for part in SENTENCE.split(text.strip()) if WORD.search(part))
    return 4.71 * sum(map(len, words)) / len(words) + 0.5 * len(words) / max(sentences, 1) - 21.43


def script_of(text: str) -> str:
    """Return the script of most letters, `LATIN`, `CYRILLIC`, `CJK`, as Unicode names it; empty without letters."""
    letters = [letter for letter in text[:2000] if letter.isalpha()]
    scripts = Counter(unicodedata.name(letter, "").split(" ")[0] for letter in letters[:: max(1, len(letters) // 100)])
    return scripts.most_common(1)[0][0] if scripts else ""


def language_of(text: str) -> str:
    """Return the language by its commonest words, or the script where it is not Latin; empty where unclear."""
    script = script_of(text)
    if script != "LATIN":
        return script.capitalize()
    words = words_of(text[:4000])
    if len(words) < FEWEST_WORDS:
        return ""
    shares = {name: sum(word in known for word in words) / len(words) for name, known in FUNCTION_WORDS.items()}
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] >= SURE else ""


def boilerplate_of(texts: Sequence[str]) -> WideArray:
    """Return of each text the share of its sentences that many texts have, shape (n,); NaN without sentences."""
    each = [[one for one in map(_plain, SENTENCE.split(text)) if one.count(" ") >= FEWEST_WORDS - 2] for text in texts]
    spread = Counter(sentence for sentences in each for sentence in set(sentences))
    least = max(SHARED_BY, len(texts) // 100)
    shares = [np.mean([spread[one] >= least for one in some]) if some else np.nan for some in each]
    return np.array(shares, np.float64)


def _plain(sentence: str) -> str:
    return " ".join(words_of(sentence))


NUMBERS: Mapping[str, Callable[[str], float]] = {"length": length_of, "reading level": reading_level_of}
"""Measures of one text alone."""
