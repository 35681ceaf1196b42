"""Maintenance of an index: statistics, compaction, and verification from end to end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import UNIT_TOLERANCE, FloatArray, IntArray
from ..errors import ConfigError, SteersearchError
from ..files import absolute, nearby, sha256_of
from ..text import described, shown
from .bundle.bundle import Bundle
from .bundle.manifest import read_manifest
from .opening import open_store
from .search.backends import BACKENDS, resolve_auto, stored_backend
from .search.exact import ExactIndex
from .search.graphs.effort import EFFORT_NAMES
from .search.inverted_lists import InvertedLists
from .search.view import read_new_codes
from .search.views import Views
from .store.cache_files import UNREADABLE, read_sidecar
from .store.checksums import CODE, METADATA, TEXT, VECTOR, check_part
from .store.documents import DocumentStore
from .store.folder import CACHE
from .store.pieces import count_documents
from .store.row_encoding import decode_codes, decode_metadata, decode_vectors, short

SAME_TEXT = 0.99
"""Lowest cosine of a stored vector and its text embedded again; other processors round 8-bit weights differently."""
SAME_CODE = 0.99
"""Lowest cosine of a stored code and its vector encoded again; rounding may exchange the weakest latents."""
_SHOWN = 20  # damaged documents that are named

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class IndexStats:
    """The statistics of an index."""

    documents: int
    pieces: int
    """Rows: documents that were not cut, and the chunks of the others."""
    generation: int
    """Number of changes to the documents."""
    d_in: int
    n_latents: int
    k: int
    backend: str
    """Backend of the vector search at this size: `exact`, `hnsw`, `usearch`, ..."""
    database_bytes: int
    free_bytes: int
    """Part of `database_bytes` left by removed documents, which `compact` frees."""
    cache_bytes: int
    cached: bool
    """Whether the caches have this generation, so that the next `open` is fast."""
    bundle: str
    """Where it is, or was; empty for an index without one."""
    writer: str | None
    """The current writer."""
    recall: float | None = None
    """Share of the ten nearest that the graph found when it last tested itself; None for `exact`, before a first save,
    and for fewer than a thousand documents."""
    effort: str = ""
    """What the graph spends beyond its defaults, because its recall was low: `more candidates`, `more links` (and
    candidates) or `exact`; empty usually."""


@dataclass(frozen=True)
class Verification:
    """The result of `verify`."""

    documents: int
    embedded: int
    """Number of texts embedded again."""
    problems: tuple[str, ...]
    """One line each; empty if there are none."""

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


def stats_of(store: DocumentStore, folder: Path, caches: Path, bundle: Bundle | None, backend: str) -> IndexStats:
    """Return the statistics of an index in `folder` as committed now; the folder of its caches need not exist."""
    with store.snapshot():
        pieces, documents = len(store), count_documents(store)
        generation, free, meta = store.generation, store.free_bytes, store.meta
    backend, cache_bytes = resolve_auto(backend, pieces), size_of(caches)
    return IndexStats(
        documents=documents,
        pieces=pieces,
        generation=generation,
        d_in=store.d_in,
        n_latents=bundle.n_latents if bundle else 0,
        k=bundle.k if bundle else int(meta.get("k", 0)),
        backend=backend,
        database_bytes=size_of(folder) - cache_bytes,
        free_bytes=free,
        cache_bytes=cache_bytes,
        cached=all(_is_current(caches / name, store, generation) for name in BACKENDS[backend].sidecars),
        bundle=os.path.normpath(bundle.path if bundle else folder / meta["bundle"]) if "bundle" in meta else "",
        writer=store.lock.holder(),
        **_graph_facts(caches / BACKENDS[backend].sidecars[-1]),
    )


def stats_at(path: str | Path, bundle: str | Path | None = None) -> tuple[IndexStats, bool]:
    """Return the statistics of the index at a path, and whether its bundle is where it should be.

    Neither the bundle's graphs nor the caches are read; errors as in `SteerableIndex.open`, if `bundle` is given.
    """
    with open_store(path, readonly=True) as store:
        folder = store.path.parent
        stats = stats_of(store, folder, folder / CACHE, None, stored_backend("auto", store.meta))
        where = stats.bundle if bundle is None else os.path.normpath(absolute(bundle))
        if not where:
            return stats, True
        try:
            manifest = read_manifest(where, verify=False)
        except SteersearchError:
            if bundle is not None:
                raise
            return stats, False
    return replace(stats, bundle=where, n_latents=manifest.n_latents, k=manifest.k), True


def _facts(path: Path, store: DocumentStore | None, bundle: Bundle | None, backend: str) -> dict[str, str]:
    """Return what a person wants to know of an index at a glance; one without a store is closed."""
    try:
        documents = "closed" if store is None else counted(count_documents(store), len(store))
    # Whatever it is, a repr must not fail: it is what a person looks at to see what is wrong.
    except Exception as error:
        documents = f"cannot be read: {type(error).__name__}"
    model = f"{bundle.n_latents:,} latents of {bundle.path.name}" if bundle else "no bundle, cannot be steered"
    return {"folder": nearby(path), "documents": documents, "steered by": model, "backend": backend}


def counted(documents: int, pieces: int) -> str:
    """Return how many documents there are, in words, and in how many pieces they were cut."""
    words = "1 document" if documents == 1 else f"{documents:,} documents"
    return words if documents == pieces else f"{words} in {pieces:,} pieces"


def described_index(path: Path, store: DocumentStore | None, bundle: Bundle | None, backend: str) -> str:
    """Return an index on one line: folder, documents or `closed`, bundle and backend. It never fails."""
    folder, *others = _facts(path, store, bundle, backend).values()
    return described("SteerableIndex", shown(folder, 90), *others)


def index_html(path: Path, store: DocumentStore | None, bundle: Bundle | None, backend: str) -> str:
    """Return the same as a table."""
    from ..display.places import facts_html

    return facts_html("SteerableIndex", _facts(path, store, bundle, backend))


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder, ignoring those that are deleted meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def compact(store: DocumentStore, views: Views, folder: Path) -> int:
    """Compact a store and rebuild its caches; return the bytes by which the folder shrank."""
    with store.writing():
        before = size_of(folder)
        store.compact()
        views.rebuild()
        return before - size_of(folder)


def verify(
    store: DocumentStore, bundle: Bundle, caches: Path, *, sample: int = 64, progress: Progress | None = None
) -> Verification:
    """Verify one state of all data that an index answers from; see `SteerableIndex.verify`.

    Raises:
        ConfigError: `sample` is below 0.
    """
    if sample < 0:
        raise ConfigError(f"sample is {sample}: it must be at least 0")
    with store.snapshot():
        problems: list[str] = []
        for check in (store.problems, store.check_lists, lambda: _cache_problems(caches, store, bundle)):
            try:
                problems += check()
            except SteersearchError as error:
                problems.append(str(error))
        documents, damaged = 0, []
        try:
            for documents, in_block in _documents(store, bundle):
                damaged += in_block
                if progress:
                    progress(documents, len(store))
            embedded, wrong = (0, []) if problems or damaged else _embed_again(store, bundle, sample)
        except SteersearchError as error:
            embedded, wrong = 0, [str(error)]
    more = [f"... and {len(damaged) - _SHOWN} further documents"] if len(damaged) > _SHOWN else []
    return Verification(documents, embedded, (*problems, *damaged[:_SHOWN], *more, *wrong))


def _is_current(sidecar: Path, store: DocumentStore, generation: int) -> bool:
    """Return whether a cache is of this generation of the store; not if its sidecar is missing or damaged."""
    try:
        facts = read_sidecar(sidecar)
        return facts["generation"] == generation and store.is_origin_of(facts)
    except UNREADABLE:
        return False


def _graph_facts(sidecar: Path) -> dict[str, Any]:
    """Return what a graph says about its recall; nothing if it was not saved, or is damaged."""
    try:
        facts = read_sidecar(sidecar)
        recall, effort = facts["recall"], EFFORT_NAMES[facts["effort"]]
        return {"recall": None if recall is None else float(recall), "effort": effort}
    except UNREADABLE:
        return {}


def _documents(store: DocumentStore, bundle: Bundle) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of documents read so far, and the problems of each block."""
    done = 0
    for rows in store.iter_rows():
        problems = []
        for rowid, checks, id, metadata, text, vector, latents, values in rows:
            try:
                check_part(rowid, checks, METADATA, id, metadata)
                check_part(rowid, checks, TEXT, text)
                check_part(rowid, checks, VECTOR, vector)
                check_part(rowid, checks, CODE, latents, values)
                decode_metadata(metadata)
                length = float(np.linalg.norm(decode_vectors([vector], store.d_in)))
                if not abs(length - 1) <= UNIT_TOLERANCE:  # also for NaN
                    raise ValueError(f"its vector has length {length:.4g}, expected 1")
                _check_code(*decode_codes([(latents, values)]), bundle)
            except ValueError as error:
                problems.append(f"document {short(id)}: {error}")
        done += len(rows)
        yield done, problems


def _check_code(latents: IntArray, values: np.ndarray, bundle: Bundle) -> None:
    if latents.shape[1] != bundle.k:
        raise ValueError(f"its code has {latents.shape[1]} latents, the bundle {bundle.k}")
    if not ((latents >= 0) & (latents < bundle.n_latents)).all():
        raise ValueError(f"its code names latents up to f{latents.max()}, the bundle has {bundle.n_latents}")
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError("its code has activations that are negative or not finite")


def _cache_problems(folder: Path, store: DocumentStore, bundle: Bundle) -> list[str]:
    cure = "it is made again when it is needed, or at once by `sae index compact`"
    problems = []
    for sidecar in sorted(folder.glob("*.json")):
        try:
            facts = read_sidecar(sidecar)
            files = {folder / name: digest for name, digest in facts["sha256"].items() if Path(name).name == name}
            problems += [f"the cache {p} is damaged: {cure}" for p, d in files.items() if sha256_of(p) != d]
        except UNREADABLE as error:
            problems.append(f"the cache {sidecar} cannot be read ({error}): {cure}")
    cached = ExactIndex.load(folder, store.generation, d_in=store.d_in)
    if cached is not None:
        rowids = store.rowids()
        if not np.array_equal(cached.rowids, rowids) or any(
            cached.vectors_of(some).tobytes() != vectors.tobytes() for some, vectors in store.iter_vectors()
        ):
            problems.append(f"the vectors in {folder} are not those of the documents: {cure}")
    lists = InvertedLists.load(folder, n_latents=bundle.n_latents, fits=store.is_origin_of)
    if lists is not None and lists.saved_generation == store.generation:
        rowids = store.rowids()
        if not lists.equals(InvertedLists(rowids, read_new_codes(store, rowids), bundle.n_latents)):
            problems.append(f"the latent lists in {folder} are not those of the documents: {cure}")
    return problems


def _embed_again(store: DocumentStore, bundle: Bundle, sample: int) -> tuple[int, list[str]]:
    rowids = store.rowids()
    rowids = rowids[:: -(-len(rowids) // sample)] if sample and len(rowids) else rowids[:0]
    records = store.by_rowid(rowids)
    if not records:
        return 0, []
    vectors = store.vectors_of(rowids)
    of_vectors = np.ones(len(records), np.float32)
    if bundle.embeds:
        again = bundle.embed_documents([record.text for record in records])
        of_vectors = np.einsum("ij,ij->i", again, vectors)
    of_codes = _cosines(store.codes_of(rowids), bundle.encode(vectors))
    problems = []
    for record, of_vector, of_code in zip(records, of_vectors, of_codes, strict=True):
        if not of_vector >= SAME_TEXT:
            what = f"its vector is not the embedding of its text (cosine {of_vector:.3f})"
        elif not of_code >= SAME_CODE:
            what = f"its code is not that of its vector by this bundle (cosine {of_code:.3f})"
        else:
            continue
        problems.append(f"document {short(record.id)}: {what}: add it again")
    return len(records) if bundle.embeds else 0, problems


def _cosines(one: tuple[IntArray, FloatArray], other: tuple[IntArray, FloatArray]) -> FloatArray:
    """Return the cosines of codes, indices and values of shape (n, k) each; 1 for two empty codes."""
    # Of every pair of latents of a document, those that are the same.
    same = one[0][:, :, None] == other[0][:, None, :]
    products = np.einsum("nij,ni,nj->n", same, one[1], other[1])
    first, second = (np.linalg.norm(values, axis=1) for _, values in (one, other))
    cosines: FloatArray = np.where(first + second > 0, products / np.maximum(first * second, 1e-30), 1.0)
    return cosines
