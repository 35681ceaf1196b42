"""Queries, documents and attributes whose labels come from people, not from an autoencoder.

The documents of a task are in two halves. Whatever a method learns (examples, labels, means, an autoencoder) comes from
the half that is `seen`; the other half is searched and scored. Half of the queries tune strengths, the others are
reported.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from steersearch.corpus import Corpus, read_queries

from .terms import phrases_of

BoolArray = NDArray[np.bool_]
Kind: TypeAlias = Literal["topics", "articles", "stances", "perspectives"]
PHRASES = {
    "alt.atheism": "atheism",
    "comp.graphics": "computer graphics",
    "comp.os.ms-windows.misc": "Microsoft Windows",
    "comp.sys.ibm.pc.hardware": "PC hardware",
    "comp.sys.mac.hardware": "Macintosh hardware",
    "comp.windows.x": "X Window System",
    "misc.forsale": "items for sale",
    "rec.autos": "cars",
    "rec.motorcycles": "motorcycles",
    "rec.sport.baseball": "baseball",
    "rec.sport.hockey": "ice hockey",
    "sci.crypt": "cryptography",
    "sci.electronics": "electronics",
    "sci.med": "medicine",
    "sci.space": "space flight",
    "soc.religion.christian": "Christianity",
    "talk.politics.guns": "gun control",
    "talk.politics.mideast": "the Middle East",
    "talk.politics.misc": "politics",
    "talk.religion.misc": "religion",
    "World": "world news",
    "Sports": "sports",
    "Business": "business",
    "Sci/Tech": "science and technology",
    "information": "general information",
    "frequency": "how common it is",
    "exams and tests": "diagnosis and tests",
    "research": "clinical trials",
    "outlook": "outlook and prognosis",
    "susceptibility": "who is at risk",
    "considerations": "diet and nutrition",
    "pro": "arguments in favour",
    "con": "arguments against",
    "elementary": "easy English for beginners",
    "advanced": "advanced English for fluent readers",
    "lay": "plain language for patients",
    "technical": "technical language for specialists",
}
"""What a person would type for a label; other labels stand for themselves."""
TERMS = 160
"""Queries of a corpus that has labels and no queries."""
SENTENCE = "What do people write about {}?"
"""People ask in terms and in sentences; directions that suit the one need not suit the other."""
MIN_SEEN = 20
"""Documents to learn an attribute from, at least."""
MIN_BOTH = 8
ENOUGH: dict[Kind, int] = {"topics": MIN_BOTH, "articles": 4, "stances": 2, "perspectives": 1}
"""Scored documents that are about the query and have the attribute, at least, for the pair to count. An article has few
passages, a claim a handful of documents."""


@dataclass(frozen=True)
class Task:
    """One corpus."""

    name: str
    texts: list[str]
    seen: BoolArray
    """Documents to learn from, shape (n,); the others are searched."""
    attributes: dict[str, BoolArray]
    """Phrase -> the documents that have it, shape (n,)."""
    queries: list[str]
    relevant: list[BoolArray]
    """Per query the documents that are about it, shape (n,)."""
    dev: BoolArray
    """Queries that tune strengths, shape (m,)."""
    kind: Kind = "topics"
    """What a query is about: a term of the documents, an article, a claim, or a question asked from several sides."""
    written: dict[tuple[int, str], str] = field(default_factory=dict)
    """(query, attribute) -> the whole request in the corpus's own words, where it has some."""

    def pairs(self) -> list[tuple[int, str]]:
        """(query, attribute) with enough to find, where the attribute is not what the query is about anyway."""
        if self.written:
            return list(self.written)
        found = []
        for query, relevant in enumerate(self.relevant):
            there = relevant & ~self.seen
            for attribute, members in self.attributes.items():
                both = int((there & members).sum())
                if both >= ENOUGH[self.kind] and both <= 0.6 * there.sum():
                    found.append((query, attribute))
        return found

    def in_sentences(self) -> Task:
        """The same, its queries in sentences; for topics, whose queries are terms."""
        queries = [SENTENCE.format(query) for query in self.queries]
        return replace(self, name=f"{self.name}, sentences", queries=queries)


def read_task(folder: Path, every: int = 1) -> Task:
    """A folder in the layout of BEIR with labels.jsonl.gz: a label per document, or a stance per query and document.

    Args:
        folder: The corpus.
        every: Of a large one every so manieth document.
    """
    with gzip.open(folder / "labels.jsonl.gz", "rt", encoding="utf-8") as lines:
        labels = [json.loads(line) for line in lines]
    documents = list(Corpus.open(folder).documents())[::every]
    ids, texts = [d.id for d in documents], [d.text for d in documents]
    if "query-id" in labels[0]:
        return _stances(folder, ids, texts, labels)
    kind = next(name for name in ("label", "qtype") if name in labels[0])
    return _topics(folder.name, ids, texts, {row["corpus-id"]: row[kind] for row in labels})


def _topics(name: str, ids: list[str], texts: list[str], label_of: dict[str, str]) -> Task:
    """Queries are terms that several topics share: what they are about is in the documents, not in the label."""
    labels = np.array([label_of[id] for id in ids])
    seen = np.array([coin(id) for id in ids])
    terms = [set(phrases_of(text)) for text in texts]
    queries = neutral_terms([t for t, on in zip(terms, seen, strict=True) if on], labels[seen].tolist(), TERMS)
    relevant = [np.array([query in mine for mine in terms]) for query in queries]
    attributes = {
        PHRASES.get(label, label): labels == label
        for label in np.unique(labels).tolist()
        if (labels[seen] == label).sum() >= MIN_SEEN
    }
    return Task(name, texts, seen, attributes, queries, relevant, np.array([coin(query) for query in queries]))


def neutral_terms(terms: list[set[str]], labels: list[str], limit: int) -> list[str]:
    """Terms that occur under several labels and say little about which.

    Args:
        terms: Of each document.
        labels: Of each document.
        limit: How many to choose; those with the most even shares.
    """
    sizes = Counter(labels)
    counts: dict[str, Counter[str]] = {}
    for mine, label in zip(terms, labels, strict=True):
        for term in mine:
            counts.setdefault(term, Counter())[label] += 1
    ranked = []
    for term, by_label in counts.items():
        total = by_label.total()
        if not (4 * MIN_BOTH <= total <= 0.05 * len(terms)) or len(term) < 4:
            continue
        shares = np.array([by_label[label] / sizes[label] for label in sizes])
        shares /= shares.sum()
        entropy = -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())
        ranked.append((round(entropy / np.log(len(sizes)), 2), total, term))
    middle = [row for row in ranked if 0.6 <= row[0] <= 0.9]
    # The most frequent of those that lean to some labels: a term that is even everywhere ("thing") is about nothing.
    return [term for _, _, term in sorted(middle, key=lambda row: (-row[1], row[2]))[:limit]]


def _stances(folder: Path, ids: list[str], texts: list[str], labels: list[dict[str, Any]]) -> Task:
    """Queries are claims; what is learned comes from the documents of other claims."""
    claims = read_queries(folder)
    row = {id: i for i, id in enumerate(ids)}
    stance = {phrase: np.zeros(len(ids), bool) for phrase in (PHRASES["pro"], PHRASES["con"])}
    about: dict[str, BoolArray] = {}
    for each in labels:
        side = str(each.get("stance") or each.get("stance3")).lower()
        if each["corpus-id"] not in row or side not in ("pro", "con", "support", "undermine"):
            continue
        at = row[each["corpus-id"]]
        about.setdefault(each["query-id"], np.zeros(len(ids), bool))[at] = True
        stance[PHRASES["pro" if side in ("pro", "support") else "con"]][at] = True
    seen = np.zeros(len(ids), bool)
    for id, members in about.items():
        if coin(id):
            seen |= members
    kept = [id for id in about if not coin(id) and (about[id] & ~seen).any()]
    dev = np.array([coin("dev " + id) for id in kept])
    queries, relevant = [claims[id] for id in kept], [about[id] for id in kept]
    return Task(folder.name, texts, seen, stance, queries, relevant, dev, "stances")


def coin(text: str) -> bool:
    """Heads or tails, the same at every run."""
    return hashlib.sha256(text.encode()).digest()[0] % 2 == 1
