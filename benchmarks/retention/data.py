"""Embeddings and judgments of BEIR folders, made once and cached."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from steersearch.arrays import FloatArray
from steersearch.corpus import Corpus, read_qrels, read_queries
from steersearch.embedding_cache import Side
from steersearch.training import Embedder, default_cache_dir, embed_cached
from steersearch.training.embedder_source import resolve_embedder

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Judged:
    """Judged queries of one split, and the documents they are searched in."""

    documents: FloatArray
    queries: FloatArray
    relevant: list[dict[int, int]]
    """Row of a document -> grade, per query."""


@dataclass(frozen=True)
class Material:
    """What one autoencoder is trained on."""

    documents: FloatArray
    queries: FloatArray
    n_real: int
    relevant: list[dict[int, int]] | None


class Source:
    """One folder of BEIR sets seen through one embedder.

    Args:
        folder: Holds one folder per set.
        embedder: What `Embedder` takes.
        precision: `fp32`, or `bf16` for models that would take an hour otherwise.
        pieces: Titles, and sentences, at most when `pieces` is not told.
        max_length: Tokens that are read of a text, fewer than the model's own.
        pooling: Of an ONNX graph whose files do not say it.
    """

    def __init__(
        self,
        folder: Path,
        embedder: str,
        precision: str = "fp32",
        pieces: int | None = None,
        max_length: int | None = None,
        pooling: str = "",
    ) -> None:
        self.folder, self.embedder, self.precision, self.limit = folder, embedder, precision, pieces
        self.max_length, self.pooling = max_length, pooling

    @cache  # noqa: B019  one per process
    def model(self) -> Embedder:
        """The embedder, loaded when first needed."""
        source = resolve_embedder(self.embedder, pooling=self.pooling)
        if self.max_length is not None:
            source = replace(source, max_length=self.max_length)
        return Embedder(source, precision=self.precision)

    def embed(self, texts: list[str], side: Side = "documents") -> FloatArray:
        """Unit rows, from the cache where they are there."""
        return embed_cached(self.model(), texts, side=side, cache_dir=default_cache_dir())

    @cache  # noqa: B019
    def documents(self, name: str, start: int = 0, stop: int | None = None) -> FloatArray:
        """Title and text of every document of a set, or of a part of them in random order."""
        return self.embed(self.texts(name, start, stop))

    def texts(self, name: str, start: int = 0, stop: int | None = None) -> list[str]:
        """What `documents` embeds."""
        return choose([document.text for document in Corpus.open(self.folder / name).documents()], stop)[start:]

    @cache  # noqa: B019
    def queries(self, name: str) -> FloatArray:
        """All queries of a set, in the order of its file; which of them may be trained on, the caller decides."""
        return self.embed(list(read_queries(self.folder / name).values()), "queries")

    def questions(self, name: str, limit: int | None) -> FloatArray:
        """A random choice of a set's queries."""
        return self.embed(choose(list(read_queries(self.folder / name).values()), limit), "queries")

    def judged(self, name: str, split: str = "test") -> Judged:
        """Queries of one split that have a relevant document."""
        folder = self.folder / name
        row = {document.id: i for i, document in enumerate(Corpus.open(folder).documents())}
        qrels = read_qrels(folder, split)
        place = {query: i for i, query in enumerate(read_queries(folder))}
        kept = [query for query, judged in qrels.items() if any(grade > 0 for grade in judged.values())]
        return Judged(
            documents=self.documents(name),
            queries=np.array(self.queries(name)[[place[query] for query in kept]]),
            relevant=[{row[id_]: grade for id_, grade in qrels[query].items() if id_ in row} for query in kept],
        )

    def pieces(self, name: str, limit: int | None = None) -> FloatArray:
        """Queries made of a set's documents: titles, and sentences of 30 to 300 characters; at most `limit` of each."""
        return np.concatenate([self.embed(choose(part, limit or self.limit)) for part in self.parts(name) if part])

    def parts(self, name: str) -> tuple[list[str], list[str]]:
        """All titles of a set, and all sentences."""
        records = list(Corpus.open(self.folder / name).documents())
        titles = [str(record.metadata.get("title", "")) for record in records]
        bodies = [record.text.removeprefix(title + ". ") for record, title in zip(records, titles, strict=True)]
        return [title for title in titles if title], sentences(bodies)


def choose(texts: list[str], limit: int | None) -> list[str]:
    """A random choice, always the same one."""
    return texts if limit is None or len(texts) <= limit else random.Random(0).sample(texts, limit)


def sentences(texts: list[str]) -> list[str]:
    """Sentences of 30 to 300 characters."""
    return [s for text in texts for s in _SENTENCE_END.split(text) if 30 <= len(s) <= 300]
