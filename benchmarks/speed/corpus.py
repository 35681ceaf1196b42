"""The documents and queries that everything is measured on, and the folders in which what was made of them is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from steersearch.arrays import FloatArray, unit_rows
from steersearch.corpus import Corpus, read_queries
from steersearch.embedding_cache import default_cache_dir
from steersearch.export import export_bundle, load_pretrained
from steersearch.export.quantize import Precision
from steersearch.runtime import Backend, Bundle, SteerableIndex
from steersearch.runtime.interpret.pipeline import CachedEmbedder

SETS = ("2wiki-passages", "foldoc-dictionary", "medquad", "20newsgroups", "agnews-test", "cisi")
QUERY_SETS = ("medquad", "scifact")
PRECISIONS: tuple[Precision, ...] = ("fp32", "w8", "small", "int8")
NOISE = 0.3
"""Length of the noise that makes further vectors of the real ones: their cosine with the real one is .96."""
QUERIES = 1_000
BACKENDS: tuple[Backend, ...] = ("hnsw", "usearch-i8")


@dataclass(frozen=True)
class Bench:
    """What the parts share. Everything slow is made once and kept in `work` and in the cache of embeddings.

    Args:
        data: A folder of BEIR folders, or one corpus of any kind that `Corpus.open` takes.
        work: Bundles and indexes.
        ckpt: The checkpoint that is exported; the model that comes with the package by default.
        threads: Threads of both sides.
        count: Documents at most.
        most: Documents of the largest index, made of the real ones and noise.
    """

    data: Path
    work: Path
    ckpt: Path | None = None
    threads: int = 1
    count: int = 60_000
    most: int = 600_000

    @cached_property
    def texts(self) -> list[str]:
        """The documents, none twice, at most `count`."""
        return list(dict.fromkeys(self._read()))[: self.count]

    @cached_property
    def queries(self) -> list[str]:
        """Queries that people wrote; titles and first lines where the corpus has none."""
        folders = [self.data / name for name in QUERY_SETS if (self.data / name).is_dir()] or [self.data]
        found: list[str] = []
        for folder in folders:
            has = folder.is_dir() and any((folder / f"queries.jsonl{end}").is_file() for end in ("", ".gz"))
            texts = [t for t in read_queries(folder).values() if t.strip()] if has else []
            found += spread(texts, QUERIES // len(folders))
        return found or [text.splitlines()[0][:100] for text in spread(self.texts, QUERIES)]

    def bundle(self, precision: Precision = "w8") -> Path:
        """The bundle of a precision, exported when it is asked for first."""
        folder = self.work / f"bundle-{precision}"
        if not folder.exists():
            source = self.ckpt or load_pretrained("minilm")
            export_bundle(source, folder, precision=precision, embedder=None if self.ckpt else "minilm")
        return folder

    def vectors(self) -> FloatArray:
        """The documents' embeddings in w8, from the cache of embeddings."""
        embed = CachedEmbedder(self.opened(), default_cache_dir(), lambda step, done, total: None)
        return embed(self.texts, "documents")

    def grown(self, size: int) -> FloatArray:
        """So many vectors: the real ones, then real ones with noise; unit rows, shape (size, d_in)."""
        real = self.vectors()
        if size <= len(real):
            return np.asarray(real[:size])
        path = self.work / f"vectors-{size}-of-{len(real)}.npy"
        if not path.exists():
            rng = np.random.default_rng(0)
            parts = [np.asarray(real)]
            while sum(map(len, parts)) < size:
                noise = rng.normal(scale=NOISE / np.sqrt(real.shape[1]), size=real.shape).astype(np.float32)
                parts.append(unit_rows(real + noise))
            np.save(path, np.concatenate(parts)[:size])
        rows: FloatArray = np.load(path, mmap_mode="r")
        return rows

    def index(self, size: int = 0, precision: Precision = "w8") -> Path:
        """An index with its caches saved, both graphs among them, made when it is asked for first.

        Args:
            size: Documents; 0 for the real ones. Of more, texts come again, with vectors of `grown`.
            precision: What embeds the queries; the documents are those of w8. Their ids are d0, d1, ...
        """
        size, real = size or len(self.texts), len(self.texts)
        folder = self.work / f"index-{size}-of-{real}-{precision}"
        if not folder.exists():
            making, bundle = folder.with_name(folder.name + ".making"), self.opened(precision)
            shutil.rmtree(making, ignore_errors=True)
            with SteerableIndex.create(making, bundle, backend=BACKENDS[0]) as index:
                texts = [self.texts[i % real] for i in range(size)]
                index.add(texts, [f"d{i}" for i in range(size)], embeddings=self.grown(size))
                if size == real:
                    index.search(self.queries[0], view="latent")  # so that the inverted lists are there to be saved
            for backend in BACKENDS[1:]:
                with SteerableIndex.open(making, bundle=bundle, backend=backend) as index:
                    index.search(self.queries[0])
                    index.save()
            making.rename(folder)
        return folder

    def opened(self, precision: Precision = "w8") -> Bundle:
        """The bundle of a precision, loaded."""
        return Bundle.load(self.bundle(precision), threads=self.threads)

    def _read(self) -> Iterator[str]:
        folders = [self.data / name for name in SETS if (self.data / name).is_dir()]
        for folder in folders or [self.data]:
            yield from Corpus.open(folder).texts()


def spread(items: list[str], count: int) -> list[str]:
    """At most `count` items, evenly spread."""
    return [items[i * len(items) // count] for i in range(count)] if len(items) > count else items
