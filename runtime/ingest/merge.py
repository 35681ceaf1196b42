"""Merging shards: into a store, or batch by batch for another engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from heapq import merge as in_order
from pathlib import Path
from typing import NamedTuple

from ...arrays import FloatArray, IntArray
from ...errors import DataError
from ...files import absolute
from ..bundle.bundle import Bundle
from ..store.documents import DocumentStore
from .documents import Batch, stale_chunks
from .shards import HEADER, Part, Shard, read_part, read_shard

MERGED = "merged "
"""Prefix of the key under which an index records the progress of merging a set of shards."""


class _Set(NamedTuple):
    """All shards of one source."""

    shards: dict[int, tuple[Path, Shard]]

    def parts(self) -> list[tuple[Path, Part]]:
        """Return all parts in the order of the source."""
        each = [[(part.block, folder, part) for part in shard.parts] for folder, shard in self.shards.values()]
        return [(folder, part) for _, folder, part in in_order(*each, key=lambda part: part[0])]


def merge_shards(
    store: DocumentStore,
    model_digest: str,
    folders: Sequence[Path],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, dict[str, str]]:
    """Add the documents of shards to a store, in the order of their source, with one part in memory.

    Progress is recorded: after an interruption the same call resumes. Documents with the same id are replaced. Shards
    of several sources are merged one source after another. Arguments and result as in `SteerableIndex.merge`.

    Raises:
        DataError: A shard is missing, duplicate, unfinished, damaged, or made with another bundle (nothing was merged);
            or a part is damaged, or two documents have the same id (earlier parts stay merged).
        IndexLockedError, StorageError: As in `SteerableIndex.add`.
    """
    sets = _sets(folders, model_digest)
    total = sum(shard.documents for group in sets for _, shard in group.shards.values())
    done = 0
    with store.writing():
        for group in sets:
            for documents in _merge_set(store, group):
                done += documents
                if progress:
                    progress(done, total)
    problems = {id: why for group in sets for _, shard in group.shards.values() for id, why in shard.problems.items()}
    return total, problems


def shard_batches(
    folders: Sequence[str | Path], bundle: Bundle
) -> Iterator[tuple[Batch, FloatArray, tuple[IntArray, FloatArray]]]:
    """Yield the content of shards in the order of their source, with one part in memory, to fill another engine.

    Documents come with their vectors, shape (n, d_in), and codes, (n, k) and (n, k). Errors as in `merge_shards`.
    """
    for group in _sets([absolute(folder) for folder in folders], bundle.manifest.model_digest):
        yield from (read_part(folder, part) for folder, part in group.parts())


def _merge_set(store: DocumentStore, group: _Set) -> Iterator[int]:
    """Merge one part after another; yield the number of documents of each."""
    parts = group.parts()
    key = MERGED + hashlib.sha256("".join(part.sha256 for _, part in parts).encode()).hexdigest()[:16]
    merged, _, kind = store.meta.get(key, "0 " + ("alone" if not len(store) else "added")).partition(" ")
    for number, (folder, part) in enumerate(parts):
        if number >= int(merged):
            batch, vectors, codes = read_part(folder, part)
            ids = [document.id for document in batch.documents]
            if kind == "added":
                store.delete(stale_chunks(store, batch.counts))
            # An interrupted run may have stored the first part without recording it.
            elif number > int(merged):
                _check_new(store, ids, folder)
            texts, metadata = [d.text for d in batch.documents], [d.metadata for d in batch.documents]
            store.put(ids, texts, metadata, vectors, *codes)
            store.set_meta(key, f"{number + 1} {kind}")
        yield part.documents


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
        missing = [str(number) for number in range(1, shard.of + 1) if number not in group.shards]
        if missing:
            others = " that saw the same source with the same options" if len(sets) > 1 else ""
            raise DataError(
                f"of the {shard.of} shards of {shard.source} (one is {folder}) {', '.join(missing[:10])} "
                f"{'is' if len(missing) == 1 else 'are'} missing{others}: embed what is missing first"
            )
    return list(sets.values())


def _shard_folders(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        inner = [folder] if (folder / HEADER).exists() else sorted(path.parent for path in folder.glob(f"*/{HEADER}"))
        if not inner:
            raise DataError(f"{folder} holds no shard: expected a folder that `sae embed` wrote")
        yield from inner
