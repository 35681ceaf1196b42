"""Merging shards: into a store, or batch by batch for another engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from heapq import merge as in_order
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ...arrays import FloatArray, IntArray
from ...errors import DataError
from ...files import absolute
from ...sequences import as_list
from ..bundle.bundle import Bundle
from ..store.documents import DocumentStore
from .documents import Batch
from .replacing import check_replaced, gone_documents, made_up_documents, stale_chunks, unchanged
from .shards import HEADER, Part, Shard, read_part, read_shard
from .sources import Names, unique_prefix

MERGED = "merged "
"""Prefix of the key under which an index records the progress of merging a set of shards."""


class Merged(NamedTuple):
    """What a merge did."""

    documents: int
    """Documents, or chunks, in the shards."""
    problems: dict[str, str]
    """Unreadable files: id -> reason."""
    replaced: int = 0
    """Documents that took the place of another text under their id."""
    dropped: int = 0
    """Chunks that their document no longer has, and documents without ids that their source no longer has."""


class _Set(NamedTuple):
    """All shards of one source."""

    shards: dict[int, tuple[Path, Shard]]

    @property
    def first(self) -> Shard:
        """The first shard, whose origin is that of all: other machines may have the source elsewhere."""
        return self.shards[1][1]

    def parts(self) -> list[tuple[Path, Part]]:
        """Return all parts in the order of the source."""
        each = [[(part.block, folder, part) for part in shard.parts] for folder, shard in self.shards.values()]
        return [(folder, part) for _, folder, part in in_order(*each, key=lambda part: part[0])]

    def problems(self) -> dict[str, str]:
        """Return what could not be read: id -> reason."""
        return {id: why for _, shard in self.shards.values() for id, why in shard.problems.items()}


def merge_shards(
    store: DocumentStore,
    model_digest: str,
    folders: Sequence[Path],
    progress: Callable[[int, int], None] | None = None,
) -> Merged:
    """Add the documents of shards to a store, in the order of their source, with one part in memory.

    Progress is recorded: after an interruption the same call resumes. Shards that are merged again put back what was
    deleted or changed since. Documents with the same id are replaced. Shards of several sources are merged one source
    after another. What none of the shards of a source has is dropped at the end if it has no id of its own. Arguments
    and result as in `SteerableIndex.merge`.

    Raises:
        DataError: A shard is missing, duplicate, unfinished, damaged, or made with another bundle (nothing was merged);
            or a part is damaged, or two documents have the same id (earlier parts stay merged).
        IndexLockedError, StorageError: As in `SteerableIndex.add`.
    """
    sets = _sets(folders, model_digest)
    total = sum(shard.documents for group in sets for _, shard in group.shards.values())
    done = replaced = dropped = 0
    problems: dict[str, dict[str, str]] = {}
    seen: dict[str, set[str]] = {}
    with store.writing():
        for group in sets:
            origin = group.first.origin
            problems.setdefault(origin, {}).update(group.problems())
            for documents, others, stale in _merge_set(store, group, seen.setdefault(origin, set())):
                done, replaced, dropped = done + documents, replaced + others, dropped + stale
                if progress:
                    progress(done, total)
        # After all of them: several sets may be of one path, embedded on machines that have other files there.
        for origin, ids in seen.items():
            gone = gone_documents(store, Names(store, origin, ""), ids, problems[origin])
            dropped += store.delete(gone) if gone else 0
    every = {id: why for of_source in problems.values() for id, why in of_source.items()}
    return Merged(total, every, replaced, dropped)


def shard_batches(
    folders: Sequence[str | Path], bundle: Bundle
) -> Iterator[tuple[Batch, FloatArray, tuple[IntArray, FloatArray]]]:
    """Yield the content of shards in the order of their source, with one part in memory, to fill another engine.

    Documents come with their vectors, shape (n, d_in), and codes, (n, k) and (n, k). An engine records no sources, so
    an id that a source made up always has a prefix that belongs to its path alone, ``docs-1a2b3c4d/readme.txt``.
    Errors as in `merge_shards`.
    """
    for group in _sets([absolute(folder) for folder in as_list(folders, "folders")], bundle.manifest.model_digest):
        prefix = unique_prefix(group.first.origin, group.first.prefix)
        for folder, part in group.parts():
            batch, vectors, codes = read_part(folder, part)
            made_up = set(made_up_documents(batch))
            documents = [replace(d, id=prefix + d.id) if d.made_up else d for d in batch.documents]
            counts = {prefix + id if id in made_up else id: count for id, count in batch.counts.items()}
            yield batch._replace(documents=documents, counts=counts), vectors, codes


def _merge_set(store: DocumentStore, group: _Set, seen: set[str]) -> Iterator[tuple[int, int, int]]:
    """Merge one part after another; yield the number of documents of each, of those replaced, and of stale chunks.

    `seen` receives the ids in the index of the documents whose id the source made up.
    """
    names = Names(store, group.first.origin, group.first.prefix)
    parts = group.parts()
    key = MERGED + hashlib.sha256("".join(part.sha256 for _, part in parts).encode()).hexdigest()[:16]
    merged, _, kind = store.meta.get(key, "0 " + ("alone" if not len(store) else "added")).partition(" ")
    if int(merged) == len(parts):
        # All of it was merged before: what was deleted or changed since then is put back.
        merged, kind = "0", "added"
    for number, (folder, part) in enumerate(parts):
        replaced = dropped = 0
        if number >= int(merged) or names.is_recorded:
            batch, vectors, codes = read_part(folder, part)
            batch, prefixes = _named(batch, names)
            seen.update(prefixes)
        if number >= int(merged):
            ids, texts = [d.id for d in batch.documents], [d.text for d in batch.documents]
            stored = store.get(ids)
            if kind == "added":
                check_replaced(store, batch.documents, stored, names)
                dropped = store.delete(stale_chunks(store, batch.counts, prefixes))
            # An interrupted run may have stored the first part without recording it.
            elif number > int(merged):
                _check_new(store, ids, folder)
            if kind == "added" and all(
                old and unchanged(d, old) for d, old in zip(batch.documents, stored, strict=True)
            ):
                store.set_meta(key, f"{number + 1} {kind}")
                yield part.documents, 0, dropped
                continue
            made_up = {document.id: names.prefix for document in batch.documents if document.made_up}
            store.put(ids, texts, [d.metadata for d in batch.documents], vectors, *codes, made_up=made_up)
            store.set_meta(key, f"{number + 1} {kind}")
            replaced = sum(old is not None and old.text != text for old, text in zip(stored, texts, strict=True))
        yield part.documents, replaced, dropped


def _named(batch: Batch, names: Names) -> tuple[Batch, dict[str, str]]:
    """Return a batch with the ids that it has in the index, and the prefix of each document with a made-up one."""
    made_up = {id: names.id_of(id) for id in made_up_documents(batch)}
    counts = {made_up.get(id, id): count for id, count in batch.counts.items()}
    named = batch._replace(documents=[names.document(document) for document in batch.documents], counts=counts)
    return named, {id: names.prefix for id in made_up.values()}


def _check_new(store: DocumentStore, ids: list[str], folder: Path) -> None:
    for record in store.get(ids):
        if record is not None:
            raise DataError(f"two documents have the id {record.id!r}, one in {folder}: every id must occur once")


def _sets(folders: Sequence[Path], model_digest: str) -> list[_Set]:
    """Group shards by source, and check that each source is complete."""
    sets: dict[tuple[object, ...], _Set] = {}
    for folder in _shard_folders(folders):
        shard = read_shard(folder)
        if shard.model_digest != model_digest:
            raise DataError(f"{folder} was embedded with another bundle than that of the index: embed it again")
        if not shard.complete:
            raise DataError(f"{folder} is not finished: run `sae embed --shard {shard.number}/{shard.of} --resume`")
        key = (shard.source, shard.stamp, shard.of, shard.chunk_tokens, shard.overlap, shard.positions)
        shards = sets.setdefault(key, _Set({})).shards
        if shard.number in shards:
            raise DataError(f"shard {shard.number}/{shard.of} is there twice: {shards[shard.number][0]} and {folder}")
        shards[shard.number] = (folder, shard)
    for group in sets.values():
        folder, shard = next(iter(group.shards.values()))
        # The first ten: a header may say that there are a billion.
        missing = [str(n) for n in islice((n for n in range(1, shard.of + 1) if n not in group.shards), 10)]
        if missing:
            others = " that saw the same source with the same options" if len(sets) > 1 else ""
            raise DataError(
                f"of the {shard.of} shards of {shard.source} (one is {folder}) {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing{others}: embed what is missing first"
            )
    return list(sets.values())


def _shard_folders(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        inner = [folder] if (folder / HEADER).exists() else sorted(path.parent for path in folder.glob(f"*/{HEADER}"))
        if not inner:
            raise DataError(f"{folder} holds no shard: expected a folder that `sae embed` wrote")
        yield from inner
