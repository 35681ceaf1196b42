"""Checking an index from end to end: structure, every document, the caches, and whether texts and vectors agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays import IntArray
from ..errors import ConfigError, SteersearchError
from ..files import sha256_of
from .bundle.bundle import Bundle
from .search.exact import ExactIndex
from .search.inputs import UNIT
from .store.cache_files import read_sidecar
from .store.checksums import CODE, METADATA, TEXT, VECTOR, check_part
from .store.documents import DocumentStore
from .store.row_encoding import decode_codes, decode_metadata, decode_vectors, short

SAME_TEXT = 0.99
"""Least cosine of a stored vector and its text embedded again; other processors round 8-bit weights otherwise."""
_SHOWN = 20  # problems of one kind that are named

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Verification:
    """What `verify` found."""

    documents: int
    """Documents that were read."""
    embedded: int
    """Texts that were embedded again."""
    problems: tuple[str, ...]
    """One line each; empty when all is well."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(
    store: DocumentStore, bundle: Bundle, caches: Path, *, sample: int = 64, progress: Progress | None = None
) -> Verification:
    """Check everything that an index answers from.

    Args:
        store: The documents, which are held to one state meanwhile.
        bundle: What embedded them.
        caches: The folder of the caches; need not exist.
        sample: Texts, spread over the index, that are embedded again.
        progress: Called with (documents read, documents).

    Raises:
        ConfigError: `sample` is below 0.
    """
    if sample < 0:
        raise ConfigError(f"sample is {sample}: it must be at least 0")
    with store.snapshot():
        problems: list[str] = []
        for check in (store.problems, store.check_lists, lambda: _cache_problems(caches, store)):
            try:
                problems += check()
            except SteersearchError as error:
                problems.append(str(error))
        documents, found = 0, []
        try:
            for documents, found_here in _documents(store, bundle):
                found += found_here
                if progress:
                    progress(documents, len(store))
            embedded, wrong = (0, []) if problems or found else _embed_again(store, bundle, sample)
        except SteersearchError as error:
            embedded, wrong = 0, [str(error)]
    more = [f"... and {len(found) - _SHOWN} further documents"] if len(found) > _SHOWN else []
    return Verification(documents, embedded, (*problems, *found[:_SHOWN], *more, *wrong))


def _documents(store: DocumentStore, bundle: Bundle) -> Iterator[tuple[int, list[str]]]:
    """Documents read so far, and what is wrong with those of each block."""
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
                if not abs(length - 1) <= UNIT:  # also for NaN
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


def _cache_problems(folder: Path, store: DocumentStore) -> list[str]:
    cure = "it is made again when it is needed, or at once by `sae index compact`"
    problems = []
    for sidecar in sorted(folder.glob("*.json")):
        try:
            facts = read_sidecar(sidecar)
            files = {folder / name: digest for name, digest in facts["sha256"].items() if Path(name).name == name}
            problems += [f"the cache {p} is damaged: {cure}" for p, d in files.items() if sha256_of(p) != d]
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            problems.append(f"the cache {sidecar} cannot be read ({error}): {cure}")
    cached = ExactIndex.load(folder, store.generation, d_in=store.d_in)
    if cached is not None:
        rowids = store.rowids()
        if not np.array_equal(cached.rowids, rowids) or any(
            cached.vectors_of(some).tobytes() != vectors.tobytes() for some, vectors in store.iter_vectors()
        ):
            problems.append(f"the vectors in {folder} are not those of the documents: {cure}")
    return problems


def _embed_again(store: DocumentStore, bundle: Bundle, sample: int) -> tuple[int, list[str]]:
    rowids = store.rowids()
    rowids = rowids[:: -(-len(rowids) // sample)] if sample and len(rowids) else rowids[:0]
    records = store.by_rowid(rowids)
    if not records:
        return 0, []
    cosines = np.einsum("ij,ij->i", bundle.embed([record.text for record in records]), store.vectors_of(rowids))
    return len(records), [
        f"document {short(record.id)}: its vector is not the embedding of its text (cosine {cosine:.3f}): add it again"
        for record, cosine in zip(records, cosines, strict=True)
        if not cosine >= SAME_TEXT
    ]
