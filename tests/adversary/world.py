"""An index beside its reference, and the operations on both."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from steersearch.errors import DataError, SteersearchError
from steersearch.runtime import SteerableIndex
from steersearch.runtime.search.terms import DEPTH

from .conditions import by_conditions
from .damage import spoil
from .operations import VOCABULARY, Operation
from .other_process import Process
from .reference import NEAR, Mismatch, Reference, check

BY_TERMS = 1e-3
"""Largest difference of a score by conditions to the one of its definition: deviations are measured in float32."""


class World:
    """An index, its reference, a reader in this process, and what the walk keeps for later."""

    def __init__(self, folder: Path, bundle: Any, backend: str, process: Process | None = None) -> None:
        self.path, self.bundle, self.backend, self.process = folder / "index", bundle, backend, process
        self.reference = Reference(bundle)
        self.index = SteerableIndex.create(self.path, bundle, backend=backend)
        self.reader: SteerableIndex | None = None
        self.fresh = 0
        self.spoilt = False
        self.prefixes: dict[str, str] = {}
        """Source of the walk -> the prefix of its made-up ids."""
        """Folder -> its files when it was added last."""
        self.wanted = self.found = 0
        """Documents among the k best of searches of a graph, and those of them that it found."""

    def perform(self, operation: Operation) -> None:
        name, arguments = operation
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a boost beyond what the documents hold is fine here
            getattr(self, f"_{name}")(**arguments)
        check(
            len(self.index) == len(self.reference.docs),
            "another number of documents",
            len(self.index),
            len(self.reference.docs),
        )

    def close(self) -> None:
        self.index.close()
        if self.reader is not None:
            self.reader.close()

    # Writing

    def _add(self, ids: list[str], texts: list[str], metadata: list[dict[str, Any]]) -> None:
        check(self.index.add(texts, ids, metadata) == ids, "add returns the ids")
        self._put_all(ids, texts, metadata)

    def _put_all(self, ids: list[str], texts: list[str], metadata: list[dict[str, Any]], vectors: Any = None) -> None:
        for row, (id, text, extra) in enumerate(zip(ids, texts, metadata, strict=True)):
            self.reference.put(id, text, extra, None if vectors is None else vectors[row])

    def _add_made_up(self, texts: list[str]) -> None:
        ids = self.index.add(texts)
        check(len(set(ids)) == len(texts) and not set(ids) & set(self.reference.docs), "ids that are not new", ids)
        self._put_all(ids, texts, [{} for _ in texts])

    def _add_from(self, ids: list[str], texts: list[str], metadata: list[dict[str, Any]]) -> None:
        before = self.reference.docs
        other = sum(id in before and before[id].text != text for id, text in zip(ids, texts, strict=True))
        new = other + sum(id not in before for id in ids)
        added = self.index.add_from(zip(ids, texts, metadata, strict=True))
        check((added.embedded, added.replaced) == (new, other), "other counts of documents", added, new, other)
        self._put_all(ids, texts, metadata)

    def _add_in_memory(self, texts: list[str]) -> None:
        """Texts without ids: the same ones again are other documents."""
        added = self.index.add_from(texts)
        check((added.embedded, added.replaced) == (len(texts), 0), "texts in memory replace something", added)
        self._adopt_new(texts, {})

    def _add_objects(self, source: str | None, count: int) -> None:
        """Documents like LangChain's, without ids: texts that were never there can replace nothing."""
        texts = [f"text number {self.fresh + i}" for i in range(count)]
        self.fresh += count
        metadata = {} if source is None else {"source": source}
        for unchanged in (0, count):
            added = self.index.add_from(
                SimpleNamespace(page_content=text, metadata=metadata, id=None) for text in texts
            )
            check((added.unchanged, added.replaced) == (unchanged, 0), "other counts of objects", added)
        self._adopt_new(texts, metadata)

    def _add_file(self, name: str, lines: list[str]) -> None:
        path = self.path.with_name(name)
        path.write_text("\n".join(lines))
        prefix = self._prefix_of(name, f"{name}:")
        self._add_source(path, prefix, {f"{prefix}{n}": (line, {}) for n, line in enumerate(lines, 1)})

    def _add_folder(self, name: str, files: dict[str, str]) -> None:
        path = self.path.with_name(name)
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        for file, text in files.items():
            (path / file).write_text(text)
        prefix = self._prefix_of(name, f"{name}/")
        documents = {f"{prefix}{file}": (files[file], {"source": f"{prefix}{file}"}) for file in sorted(files)}
        self._add_source(path, prefix, documents)

    def _prefix_of(self, source: str, wanted: str) -> str:
        """Return the prefix of a source: none for the first one of an empty index, else one that nobody has."""
        if source not in self.prefixes:
            taken, docs, number = set(self.prefixes.values()), self.reference.docs, 1
            prefix = wanted if docs or "" in taken else ""
            while prefix in taken or (prefix and any(id.startswith(prefix) for id in docs)):
                number += 1
                prefix = f"{wanted[:-1]}-{number}{wanted[-1]}"
            self.prefixes[source] = prefix
        return self.prefixes[source]

    def _add_source(self, path: Path, prefix: str, documents: dict[str, Any]) -> None:
        """Add a source whose ids are made up; it is refused where it would replace what another one added.

        What it added before and no longer has goes.
        """
        docs = self.reference.docs
        gone = [id for id, document in docs.items() if document.owner == prefix and id not in documents]
        stored = {id: (docs[id].text, docs[id].metadata) for id in documents if id in docs}
        if any(stored[id] != documents[id] and docs[id].owner != prefix for id in stored):
            try:
                added = self.index.add_from(path)
            except DataError:
                return
            raise Mismatch(f"a document of somebody else was replaced: {added}")
        other = sum(stored[id][0] != documents[id][0] for id in stored)
        same = sum(stored[id] == documents[id] for id in stored)
        added = self.index.add_from(path)
        found = (added.embedded, added.replaced, added.unchanged, added.dropped)
        expected = (len(documents) - len(stored) + other, other, same, len(gone))
        check(found == expected, "other counts of a source", added, expected)
        for id, (text, metadata) in documents.items():
            self.reference.put(id, text, metadata, owner=prefix)
        self.reference.delete(gone)

    def _refused_chunks(self, id: str, words: list[str]) -> None:
        """A chunk replaces chunks of its own document only, and is replaced by nothing else."""
        mine = f"{id}#2"
        if mine in self.reference.docs:
            document, options = (mine, "not a chunk", {}), {}
        else:
            self._add([mine], ["a document of mine"], [{}])
            document, options = (id, " ".join(words), {}), {"chunk_tokens": 16}
        try:
            added = self.index.add_from([document], **options)
        except DataError:
            if options:
                self._delete_ids([mine])
            return
        raise Mismatch(f"{mine} was replaced: {added}")

    def _adopt_new(self, texts: list[str], metadata: dict[str, Any]) -> None:
        ids, stored, _ = self.index.documents()
        known = self.reference.docs
        check(set(known) <= set(ids), "a document was replaced", sorted(set(known) - set(ids)))
        new = [(id, text) for id, text in zip(ids, stored, strict=True) if id not in known]
        check([text for _, text in new] == texts, "other new documents", new, texts)
        self._put_all([id for id, _ in new], texts, [dict(metadata) for _ in new])

    def _add_chunks(self, id: str, words: list[str]) -> None:
        text = " ".join(words)
        own = [name for name in self.reference.docs if name == id or name.startswith(f"{id}#")]
        self.index.add_from([(id, text, {"whole": len(words)})], chunk_tokens=16)
        ids, stored, _ = self.index.documents()
        there = dict(zip(ids, stored, strict=True))
        numbered = [f"{id}#{n}" for n in range(1, len(words) + 1)]
        now = [id] if id in there else [name for name in numbered if name in there]
        stray = [name for name in there if name == id or name.startswith(f"{id}#")]
        check(sorted(now) == sorted(stray), "chunks of an earlier text are left", now, stray)
        records = self.index.get(now)
        at = 0
        for name, record in zip(now, records, strict=True):
            assert record is not None
            extra = record.metadata
            check(extra["whole"] == len(words), "a chunk lost its metadata", record)
            if name != id:
                check(
                    extra["start"] <= at and record.text == text[extra["start"] : extra["end"]].strip(),
                    "a chunk",
                    record,
                )
                check(not text[at : extra["start"]].strip(), "text between chunks is lost", text[at : extra["start"]])
                at = extra["end"]
        check(now == [id] or not text[at:].strip(), "the end of the text is lost", text[at:])
        self.reference.delete([name for name in own if name not in now])
        for name, record in zip(now, records, strict=True):
            assert record is not None
            self.reference.put(name, record.text, record.metadata)

    def _add_copies(self, text: str, count: int, id: str) -> None:
        self._add([f"{id}-{n}" for n in range(count)], [text] * count, [{"n": n} for n in range(count)])

    def _add_vectors(self, ids: list[str], texts: list[str], metadata: list[dict[str, Any]], seed: int) -> None:
        rows = np.random.default_rng(seed).standard_normal((len(ids), self.bundle.d_in)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        self.index.add(texts, ids, metadata, embeddings=rows)
        self._put_all(ids, texts, metadata, rows)

    def _add_near_copies(self, seed: int, count: int) -> None:
        """Documents that are nearly equal, which share a node of a graph."""
        rng = np.random.default_rng(seed)
        rows = rng.standard_normal(self.bundle.d_in) + 1e-3 * rng.standard_normal((count, self.bundle.d_in))
        ids = [f"near{seed}-{n}" for n in range(count)]
        self._add_rows(ids, [f"near {n}" for n in range(count)], rows)

    def _add_thousands(self, seed: int, count: int) -> None:
        rows = np.random.default_rng(seed).standard_normal((count, self.bundle.d_in))
        self._add_rows([f"many{seed}-{n}" for n in range(count)], ["many"] * count, rows)

    def _add_rows(self, ids: list[str], texts: list[str], rows: np.ndarray) -> None:
        vectors = rows.astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        metadata: list[dict[str, Any]] = [{"n": n % 7} for n in range(len(ids))]
        self.index.add(texts, ids, metadata, embeddings=vectors)
        self._put_all(ids, texts, metadata, vectors)

    def _update(self, picks: list[float], metadata: dict[str, Any], replace: bool) -> None:
        ids = self.reference.pick(picks)
        self.index.update_metadata(ids, [metadata] * len(ids), replace=replace)
        for id in ids:
            self.reference.update(id, metadata, replace)

    def _replace(self, picks: list[float], text: str) -> None:
        ids = self.reference.pick(picks)
        self._add(ids, [f"{text} {word}" for word in VOCABULARY[: len(ids)]], [{"tag": "b"} for _ in ids])

    def _delete(self, picks: list[float], unknown: bool) -> None:
        self._delete_ids(self.reference.pick(picks) + ["nobody"] * unknown)

    def _delete_ids(self, ids: list[str]) -> None:
        deleted = self.index.delete(ids)
        check(deleted == self.reference.delete(ids), "another number was deleted", deleted, ids)

    def _delete_many(self, share: float) -> None:
        ids = [id for id in self.reference.docs if "#" not in id][:: round(1 / share)]
        check(self.index.delete(ids) == self.reference.delete(ids), "another number was deleted")

    def _refused(self, kind: str) -> None:
        """What cannot be used changes nothing; `perform` counts, and later searches compare."""
        first, bad = list(self.reference.docs)[:1], np.full((1, self.bundle.d_in), np.nan, np.float32)
        calls = {
            "twice": lambda: self.index.add(["one", "two"], ["x", "x"]),
            "empty id": lambda: self.index.add(["one", "two"], ["x", ""]),
            "lengths": lambda: self.index.add(["other", "two"], first or ["x"]),
            "metadata": lambda: self.index.add(["other"], first or ["x"], [{"bad": object()}]),
            "vector": lambda: self.index.add(["other"], first or ["x"], embeddings=bad),
            "unknown": lambda: self.index.update_metadata([*first, "nobody"], [{"n": 99}] * (len(first) + 1)),
        }
        try:
            calls[kind]()
        except DataError:
            return
        raise Mismatch(f"{kind} was accepted")

    def _interrupted(self, kind: str, at: int, text: str) -> None:
        """Control-C after `at` documents of a source, or in the first call of `progress`: whole blocks are kept."""
        documents = [
            (f"i{n}", f"{text} {VOCABULARY[n % 50]}", {"n": n % 7}) for n in range(700 if kind == "progress" else at)
        ]

        def source() -> Iterator[Any]:
            yield from documents
            raise KeyboardInterrupt

        def stop(done: int, total: int | None) -> None:
            raise KeyboardInterrupt

        with suppress(KeyboardInterrupt):
            if kind == "source":
                self.index.add_from(source())
            else:
                ids, texts, metadata = map(list, zip(*documents, strict=True))
                self.index.add(texts, ids, metadata, progress=stop)
            raise Mismatch("the interruption was swallowed")
        # A block is stored when the document after it arrives.
        kept = 512 if kind == "progress" else max(0, at - 1) // 512 * 512
        for document in documents[:kept]:
            self.reference.put(*document)
        if kept:  # as few as before, so that a walk stays quick
            gone = [id for id, *_ in documents[:kept]]
            check(self.index.delete(gone) == self.reference.delete(gone), "the kept blocks are not whole")

    def _other_writer(
        self, ids: list[str], texts: list[str], metadata: list[dict[str, Any]], picks: list[float]
    ) -> None:
        with SteerableIndex.open(self.path, bundle=self.bundle) as other:
            other.add(texts, ids, metadata)
            self._put_all(ids, texts, metadata)
            gone = self.reference.pick(picks)
            check(other.delete(gone) == self.reference.delete(gone), "another number was deleted")

    # Opening, saving, caches

    def _save(self) -> None:
        self.index.save()

    def _compact(self) -> None:
        self.index.compact()

    def _verify(self) -> None:
        found = self.index.verify(sample=4)
        docs = self.reference.docs.values()
        given = {doc.id for doc in docs if doc.vector.tobytes() != self.reference.embed(doc.text).tobytes()}
        for problem in found.problems:
            if problem.startswith("the cache ") and self.spoilt:
                continue
            expected = "is not the embedding of its text" in problem and problem.split("'")[1] in given
            check(expected, "verify finds a fault", problem)

    def _reopen(self) -> None:
        self.index.close()
        self.index = SteerableIndex.open(self.path, bundle=self.bundle)

    def _read_only(self) -> None:
        """Open read-only, search, and see that writing is refused."""
        self.index.close()
        with SteerableIndex.open(self.path, bundle=self.bundle, readonly=True) as index:
            self._compare(index, "dense", "moon piano bread", 5, None)
            self._compare(index, "words", "moon piano bread", 5, None)
            try:
                index.add(["x"], ["x"])
            except SteersearchError:
                pass
            else:
                raise Mismatch("a read-only index was written")
        self.index = SteerableIndex.open(self.path, bundle=self.bundle)

    def _damage(self, kind: str, file: float, place: float, open: bool) -> None:
        """Spoil a cache: under the open index by rename alone, otherwise also in place."""
        if not open:
            self.index.close()
            if self.reader is not None:
                self.reader.close()
                self.reader = None
        cache = self.path / "cache"
        files = sorted(path for path in cache.glob("*") if path.is_file()) if cache.is_dir() else []
        if kind == "all":
            shutil.rmtree(cache, ignore_errors=True)
        elif files:
            spoil(files[int(file * len(files))], kind, place)
            self.spoilt = True
        if not open:
            self.index = SteerableIndex.open(self.path, bundle=self.bundle)

    def _keep_caches(self) -> None:
        self.index.save()
        kept = self.path.with_name("kept")
        shutil.rmtree(kept, ignore_errors=True)
        if (self.path / "cache").is_dir():
            shutil.copytree(self.path / "cache", kept)

    def _old_caches(self) -> None:
        kept = self.path.with_name("kept")
        if kept.is_dir():
            self.index.close()
            shutil.rmtree(self.path / "cache", ignore_errors=True)
            shutil.copytree(kept, self.path / "cache")
            self.index = SteerableIndex.open(self.path, bundle=self.bundle)

    def _foreign_caches(self, picks: list[float], text: str, newest: bool) -> None:
        """Build the index again from its documents, with the caches of one in which a document had another text."""
        docs = sorted(self.reference.docs.values(), key=lambda doc: doc.order)
        if not docs:
            return
        # The newest documents of a cache are compared with the database, so that an old one is the one to edit.
        at = max(0, len(docs) - 1 - int(picks[0] * 60)) if newest else int(picks[0] * max(1, len(docs) - 70))
        self.close()
        self.reader = None
        if self.process is not None:
            self.process.forget(self.path)
        shutil.rmtree(self.path)
        edited = self.path.with_name("edited")
        for path in (edited, self.path):
            texts, vectors = [doc.text for doc in docs], np.array([doc.vector for doc in docs])
            if path == edited:
                texts[at], vectors[at] = text, self.reference.embed(text)
            with SteerableIndex.create(path, self.bundle, backend=self.backend) as index:
                index.add(texts, [doc.id for doc in docs], [doc.metadata for doc in docs], embeddings=vectors)
                for view in ("dense", "latent", "words"):
                    index.search("moon", 3, view=view)
        shutil.rmtree(self.path / "cache")
        (edited / "cache").rename(self.path / "cache")
        shutil.rmtree(edited)
        for doc in docs:
            self.reference.put(doc.id, doc.text, doc.metadata, doc.vector)
        self.prefixes.clear()
        self.index = SteerableIndex.open(self.path, bundle=self.bundle)
        for query in (docs[at].text, text):
            for view in ("dense", "latent", "words"):
                self._compare(self.index, view, query, 1000, None)

    # Reading

    def _search(self, query: str, k: int, view: str, compare: bool, **how: Any) -> None:
        self._compare(self.index, view, query, k, compare=compare, **how)

    def _search_dense(self, **arguments: Any) -> None:
        self._search(**arguments)

    def _reader(self, query: str, k: int, view: str, compare: bool, **how: Any) -> None:
        if self.reader is None:
            self.reader = SteerableIndex.open(self.path, bundle=self.bundle, readonly=True)
        self._compare(self.reader, view, query, k, compare=compare, **how)

    def _process(self, query: str, k: int, view: str, filter: Any, idf: bool, **rest: Any) -> None:
        if self.process is not None:
            hits = self.process.search(self.path, query, k=k, view=view, filter=filter, idf=idf)
            self._check_hits(hits, self.index, view, query, k, filter, idf, {})

    def _get(self, picks: list[float]) -> None:
        ids = self.reference.pick(picks)
        for id, record, vector in zip(ids, self.index.get(ids), self.index.vectors(ids), strict=True):
            doc = self.reference.docs[id]
            check(record is not None and vector is not None, "a document is gone", id)
            assert record is not None
            assert vector is not None
            check((record.text, record.metadata) == (doc.text, doc.metadata), "another document", record, doc)
            check(vector.tobytes() == doc.vector.tobytes(), "another vector", id)
            check(id in self.index, "a document is not in the index", id)
        check(self.index.get(["nobody"]) == [None] and "nobody" not in self.index, "a document that is not there")

    def _documents(self) -> None:
        ids, texts, vectors = self.index.documents()
        docs = sorted(self.reference.docs.values(), key=lambda doc: doc.order)
        check(ids == [doc.id for doc in docs], "other ids", ids, [doc.id for doc in docs])
        check(texts == [doc.text for doc in docs], "other texts")
        check(vectors.tobytes() == b"".join(doc.vector.tobytes() for doc in docs), "other vectors")

    def _explain(self, picks: list[float], query: str, **steering: Any) -> None:
        ids = self.reference.pick(picks)
        steered = self.index.steer(query, **steering)
        scores = by_conditions(self.reference, steered) if steered.terms else None
        places = {id: place for place, id in enumerate(self.reference.docs)}
        for id, explained in zip(ids, self.index.explain_all(steered, ids), strict=True):
            total = sum(part.contribution for part in explained.parts) + explained.rest
            check(abs(total - explained.score) < 1e-9, "the parts do not add up", explained)
            if scores is None:
                score = float(self.reference.docs[id].vector.astype(np.float64) @ steered.vector.astype(np.float64))
            else:
                score = float(scores[places[id]])
                conditions = sum(term.value for term in explained.terms)
                check(abs(conditions - explained.score) < 1e-9, "the conditions do not add up", explained)
            check(
                abs(score - explained.score) < (NEAR if scores is None else BY_TERMS), "another score", explained, score
            )

    def _compare(
        self,
        index: SteerableIndex,
        view: str,
        query: str,
        k: int,
        filter: Any,
        idf: bool = False,
        compare: bool = False,
        **steering: Any,
    ) -> None:
        options = {"view": view, "filter": filter, "idf": idf}
        hits = index.search(query, k, **steering, **options)
        self._check_hits(hits, index, view, query, k, filter, idf, steering)
        if compare:
            again = index.search(query, k, compare=True, **steering, **options)
            plain = {hit.id: hit.rank for hit in index.search(query, max(k, 100), **options)}
            check(
                [(hit.id, hit.score) for hit in again] == [(hit.id, hit.score) for hit in hits], "compare changes hits"
            )
            check([hit.rank_before for hit in again] == [plain.get(hit.id) for hit in hits], "other ranks before")

    def _check_hits(
        self,
        hits: Any,
        index: SteerableIndex,
        view: str,
        query: str,
        k: int,
        filter: Any,
        idf: bool,
        steering: dict[str, Any],
    ) -> None:
        reference, allowed = self.reference, self.reference.allowed(filter)
        steered = index.steer(query, **steering)
        self._check_steered(steered, query, **steering)
        boost = steering.get("boost") or {}
        if steered.terms:
            self._check_by_conditions(hits, index, steered, view, k, filter, allowed)
        elif view == "dense":
            self._check_dense(hits, reference.dense(steered.vector, k, allowed), steered.vector)
        elif view == "latent":
            reference.check_near(hits, reference.latent(steered.change, idf), allowed, k, NEAR * (8 if idf else 1))
        elif view == "reconstruction":
            reference.check_near(hits, reference.reconstruction(steered.change), allowed, k, NEAR)
        elif view == "words" and not steered.clamped and all(strength >= 0 for strength in boost.values()):
            weights: dict[str, float] = dict.fromkeys(reference.stems(query), 0.0)
            for word in reference.stems(query):
                weights[word] += 1
            for latent, strength in boost.items():
                for word in reference.stems(self.bundle.features[latent].label or ""):
                    weights[word] = weights.get(word, 0.0) + strength
            scores, having = reference.words({word: weight for word, weight in weights.items() if weight})
            reference.check_near(hits, scores, allowed & having, k, 1e-4)
        else:
            self._check_allowed(hits, allowed)
            if view == "hybrid" and not (boost or steered.clamped) and (filter is None or self.backend == "exact"):
                self._check_fusion(hits, index, query, k, filter, idf)

    def _check_allowed(self, hits: Any, allowed: np.ndarray) -> None:
        self.reference.check_order(hits)
        ids = {id for id, fits in zip(self.reference.docs, allowed, strict=True) if fits}
        check({hit.id for hit in hits} <= ids, "a hit that the filter excludes", [hit.id for hit in hits])

    def _check_by_conditions(
        self, hits: Any, index: SteerableIndex, steered: Any, view: str, k: int, filter: Any, allowed: np.ndarray
    ) -> None:
        """A hit has the score of its conditions, of which the dense ones are computed a second time.

        What is not among the candidates is left out: of an index with fewer documents nothing.
        """
        self._check_allowed(hits, allowed)
        if view != "dense":
            return
        scores, places = (
            by_conditions(self.reference, steered),
            {id: place for place, id in enumerate(self.reference.docs)},
        )
        if np.count_nonzero(allowed) <= DEPTH and self.backend == "exact":
            self.reference.check_near(hits, scores, allowed, k, BY_TERMS)
        for hit in hits:
            check(abs(hit.score - scores[places[hit.id]]) < BY_TERMS, "another score", hit, scores[places[hit.id]])

    def _check_steered(
        self, steered: Any, query: str, boost: Any = None, clamp: Any = None, exclude: Any = (), blend: str = "both"
    ) -> None:
        origin = self.bundle.embed_query(query)
        check(steered.original.tobytes() == origin.tobytes(), "another vector of the query", query)
        boost = boost if blend == "move" and boost else {}
        clamp, about = clamp or {}, steered.vector if steered.about is None else steered.about
        check(bool(steered.terms) == (steered.about is not None), "conditions without their query", steered)
        if not any(boost.values()) and not clamp:
            check(about.tobytes() == origin.tobytes(), "an empty boost changes the query", query)
            return
        features, delta = self.bundle.features, np.zeros(self.bundle.n_latents)
        for latent, strength in boost.items():
            delta[latent] += strength * features[latent].p95
        indices, values = self.reference.code(origin)
        held = dict(zip(indices.tolist(), values.tolist(), strict=True))
        for latent, value in clamp.items():
            delta[latent] = value * features[latent].p95 - max(held.get(latent, 0.0), 0.0)
        wanted = origin.astype(np.float64) + delta @ self.bundle.atoms.astype(np.float64)
        wanted /= np.linalg.norm(wanted)
        check(np.allclose(about, wanted, atol=1e-5), "steered to another vector", boost, clamp)

    def _check_dense(self, hits: Any, best: list[tuple[str, np.float32]], vector: np.ndarray) -> None:
        found = [(hit.id, np.float32(hit.score)) for hit in hits]
        if self.backend == "exact":
            check(found == best, "other hits than brute force", found, best)
        self.reference.check_order(hits)
        check(len(hits) == len(best), "another number of hits", len(hits), len(best))
        # A graph may miss a document. What it returns has the score of brute force.
        lowest, wide = (best[-1][1] if best else 0), vector.astype(np.float64)
        for id, score in found:
            row = self.reference.docs[id].vector.astype(np.float64)
            wanted = np.clip(float(row @ wide), -1, 1)
            check(
                score == np.float32(wanted) or abs(wanted - float(score)) < 6e-8,
                "a score",
                id,
                score,
            )
        self.wanted += len(best)
        self.found += sum(score >= lowest for _, score in found)

    def _check_fusion(self, hits: Any, index: SteerableIndex, query: str, k: int, filter: Any, idf: bool) -> None:
        """Reciprocal ranks of the three views, each of which is compared with brute force elsewhere."""
        total: dict[str, float] = {}
        for view in ("dense", "latent", "words"):
            for hit in index.search(query, max(k, 100), view=view, filter=filter, idf=idf):
                total[hit.id] = total.get(hit.id, 0.0) + 1 / (60 + hit.rank)
        scores = np.array([total.get(id, 0.0) for id in self.reference.docs])
        self.reference.check_near(hits, scores, scores > 0, k, 1e-6)
