"""Tasks whose attribute is how a text is written: the same articles, for beginners and for fluent readers.

One article is in the corpus at several levels, so its content is constant and only its audience differs. What is
searched are passages: an article has two or three documents, of which ten results would always hold all.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np

from steersearch.corpus import Corpus

from .tasks import PHRASES, Task, coin

WORDS = 50
"""Words of a passage, at least; it is made of whole sentences."""
QUERY_WORDS = 4
ARTICLES = 320
"""Articles that are asked for, at most."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def read_articles(folder: Path) -> Task:
    """A folder in the layout of BEIR whose labels.jsonl.gz has a label and an article for each document.

    Half of the articles are to learn from, the passages of the others are searched. A query is the words that
    distinguish an article from others and that all its versions use, so that it leans to none of them.
    """
    with gzip.open(folder / "labels.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = {row["corpus-id"]: row for row in map(json.loads, lines)}
    documents = [document for document in Corpus.open(folder).documents() if document.id in rows]
    texts: list[str] = []
    article_of: list[str] = []
    label_of: list[str] = []
    versions: dict[str, list[str]] = {}
    for document in documents:
        row = rows[document.id]
        versions.setdefault(row["article"], []).append(document.text)
        for passage in passages(document.text):
            texts.append(passage)
            article_of.append(row["article"])
            label_of.append(row["label"])
    articles, labels = np.array(article_of), np.array(label_of)
    seen = np.array([coin(article) for article in article_of])
    asked = [article for article in versions if not coin(article)][:ARTICLES]
    queries = distinctive_words(versions)
    return Task(
        folder.name,
        texts,
        seen,
        {PHRASES[label]: labels == label for label in np.unique(labels).tolist() if label in PHRASES},
        [queries[article] for article in asked],
        [articles == article for article in asked],
        np.array([coin("dev " + article) for article in asked]),
        "articles",
    )


def passages(text: str) -> list[str]:
    """Whole sentences joined until they have `WORDS` words; what is left at the end belongs to the last passage."""
    found: list[list[str]] = [[]]
    for sentence in _SENTENCE_END.split(text.strip()):
        if sum(len(part.split()) for part in found[-1]) >= WORDS:
            found.append([])
        found[-1].append(sentence)
    if len(found) > 1 and sum(len(part.split()) for part in found[-1]) < WORDS:
        found[-2:] = [found[-2] + found[-1]]
    return [" ".join(parts) for parts in found]


def distinctive_words(versions: dict[str, list[str]]) -> dict[str, str]:
    """Article -> the words that it repeats in every version and that few other articles have, joined by spaces."""
    counts = {article: [Counter(_words(text)) for text in texts] for article, texts in versions.items()}
    spread = Counter(word for each in counts.values() for word in set().union(*each))
    found = {}
    for article, each in counts.items():
        shared = {word: min(count[word] for count in each) for word in each[0]}
        weights = {word: n * np.log(len(counts) / spread[word]) for word, n in shared.items() if n}
        found[article] = " ".join(sorted(weights, key=lambda word: (-weights[word], word))[:QUERY_WORDS])
    return found


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]{4,}", text.lower())
