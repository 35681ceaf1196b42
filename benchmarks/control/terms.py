"""The phrases of a text, from which terms that people can ask for are chosen."""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_WORDS = 3
"""Words of a phrase."""
_WORD = re.compile(r"[^\W\d_][\w'-]+")
_BREAK = re.compile(r"[.,;:!?()\[\]{}\"“”\n|/]+")
STOP_WORDS = frozenset(
    """a about above after again against all almost along already also although always among an and another any are as
    at be because been before being below between both but by can cannot could did do does doing done down during each
    either else especially et etc every few first for from further given had has have having he hence her here him his
    how however i if in indeed instead into is it its itself just last least less like made main mainly make makes many
    may me might more moreover most much must my near nearly neither never no nor not now of off often on once one only
    onto or other others our out over own per perhaps quite rather really same second see seem seems several she should
    show showed shown shows since so some such than that the their them then there thereby therefore these they this
    those though three through throughout thus to together too toward towards two under until up upon us use used uses
    using various very via was we well were what when whereas where whether which while who whom whose why will with
    within without would yet you your""".split()
)


def phrases_of(text: str) -> Iterator[str]:
    """Yield the lower-cased phrases of one to three words in a text; none starts or ends with a stop word."""
    for part in _BREAK.split(text.casefold()):
        words = _WORD.findall(part)
        for start, word in enumerate(words):
            if word in STOP_WORDS:
                continue
            for stop in range(start + 1, min(start + MAX_WORDS, len(words)) + 1):
                if words[stop - 1] not in STOP_WORDS:
                    yield " ".join(words[start:stop])
