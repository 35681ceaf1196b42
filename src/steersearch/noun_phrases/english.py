"""Parts of speech of English words, from a list of WordNet's and the endings of words."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files
from typing import NamedTuple

VERB_FORMS = frozenset(
    """ate beat became began begun bid bought broke broken brought built came caught chose chosen cost cut did done
    drawn drew driven drove eaten fallen fell felt flew flown forgot forgotten fought found froze gave given go goes
    gone got gotten grew grown had has heard held hid hit hurt kept knew known laid led left lent let lost made
    meant met paid put ran rang read rode rose said sang sank sat saw says seen sent set shook shot shown shut sold
    sought spent spoke spoken stole stolen stood struck stuck sung sunk swam swore sworn taken taught threw thrown
    told took tore torn understood went woke won wore worn wrote written ain aren couldn didn doesn don hadn hasn
    haven isn mustn shouldn wasn weren won't wouldn don't doesn't didn't can't isn't aren't wasn't weren't couldn't
    wouldn't shouldn't hasn't haven't hadn't""".split()
)
"""Forms of verbs that no ending tells. Some are nouns too, which the texts around them decide."""
PARTICIPLES = ("ated", "ized", "ised", "ified")
"""Endings of participles of verbs that are not in the list, as `citrullinated`; not of names, as `Mohammed`."""
ADJECTIVES = ("al", "ic", "ous", "ive", "able", "ible")
"""Endings of adjectives; nouns with them are in the list."""
PLURALS = (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("s", ""))
"""Endings, and what stands in their place in the singular."""


class WordClass(NamedTuple):
    """What a word can be: parts of speech and how likely it is a noun before its neighbours are seen."""

    parts: frozenset[str]
    """`n` noun, `v` verb, `a` adjective, `r` adverb, `p` participle, `g` gerund."""
    noun: float
    """Share of its uses that are nouns, 0 to 1."""


def word_class(word: str) -> WordClass:
    """Return what an English word can be, given in lower case; a word that is not known counts as a noun."""
    listed = _listed()
    if word in listed and word not in VERB_FORMS:
        known = listed[word]
        # `keeping` is a noun too, which the texts have to show.
        return WordClass(known.parts | {"g"}, known.noun) if word.endswith("ing") and _is_verb(word[:-3]) else known
    if word in VERB_FORMS:
        noun = word in listed and "n" in listed[word].parts
        return WordClass(frozenset("vn"), 0.1) if noun else WordClass(frozenset("v"), 0.0)
    if "-" in word[:-1]:
        # `strain-specific` is what `specific` is.
        return word_class(word.rsplit("-", 1)[1] or word.rstrip("-"))
    singular = singular_of(word)
    if singular != word and (base := listed.get(singular)) is not None:
        # The plural of an adjective is a noun; the third person of a verb looks like a plural.
        parts = (base.parts & {"n", "v"}) or {"n"}
        return WordClass(frozenset(parts), base.noun if "v" in parts else 1.0)
    for ending, part in (("ed", "p"), ("ing", "g")):
        if word.endswith(ending) and len(word) > len(ending) + 2 and _is_verb(word[: -len(ending)]):
            return WordClass(frozenset(part), 0.5 if part == "g" else 0.0)
    if word.endswith(PARTICIPLES) and len(word) > 6:
        return WordClass(frozenset("p"), 0.0)
    if word.endswith(ADJECTIVES) and len(word) > 5:
        return WordClass(frozenset("a"), 0.0)
    if any(word.endswith(ending) and _is_adjective(word.removesuffix(ending)) for ending in ("er", "est")):
        return WordClass(frozenset("a"), 0.0)
    if word.endswith("ly") and len(word) > 4:
        return WordClass(frozenset("r"), 0.0)
    return WordClass(frozenset("n"), 1.0)


def singular_of(word: str) -> str:
    """Return the singular of a regular plural, in lower case; any other word stays as it is."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    for ending, instead in PLURALS:
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + instead
    return word


def _is_adjective(stem: str) -> bool:
    """Return whether a word without `-er` is an adjective: `tough`, `larg`, `bigg`, `heavi`, and neither `paint`."""
    listed = _listed()
    found = next((listed[form] for form in _unended(stem) if form in listed), None)
    return found is not None and found.noun < 0.5 and "a" in found.parts and "v" not in found.parts


def _is_verb(stem: str) -> bool:
    """Return whether a word without `-ed` or `-ing` is a verb: `pars`, `stopp`, `carri`."""
    listed = _listed()
    return any("v" in listed[form].parts for form in _unended(stem) if form in listed)


def _unended(stem: str) -> list[str]:
    """Return what a word without its ending may have been: `parse` of `pars`, `stop` of `stopp`, `carry` of `carri`."""
    forms = [stem, f"{stem}e"]
    if stem[-1:] == stem[-2:-1]:
        forms.append(stem[:-1])
    if stem.endswith("i"):
        forms.append(f"{stem[:-1]}y")
    return forms


@cache
def _listed() -> dict[str, WordClass]:
    """Read the list once: lines of a word, its parts of speech and, of ten uses, how many are nouns."""
    packed = files(__package__).joinpath("english.txt.gz").read_bytes()
    classes: dict[str, WordClass] = {}
    # Most words share one of some dozen classes.
    known: dict[str, WordClass] = {}
    for line in gzip.decompress(packed).decode("ascii").splitlines():
        word, _, parts = line.partition(" ")
        if parts not in known:
            letters = parts.rstrip("0123456789")
            share = int(parts[len(letters) :] or 0) / 10 + 0.05 if "n" in letters else 0.0
            known[parts] = WordClass(frozenset(letters), share)
        classes[word] = known[parts]
    return classes
