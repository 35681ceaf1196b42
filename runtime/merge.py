"""Join the shards that `embed_shard` made into an index."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from heapq import merge as in_order
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from ..metrics import FloatArray, IntArray
from .bundle import Bundle
from .ingest import Batch, leftovers
from .shards import HEADER, Part, Shard, read_part, read_shard
from .store import DocumentStore

MEMORY = "merged "
"""Beginning of the key under which an index remembers how much of a set of shards it holds."""


class _Set(NamedTuple):
    """All shards of one source."""

    shards: dict[int, tuple[Path, Shard]]

    def parts(self) -> list[tuple[Path, Part]]:
        """All parts in the order of the source."""
        each = [[(part.block, folder, part) for part in shard.parts] for folder, shard in self.shards.values()]
        return [(folder, part) for _, folder, part in in_order(*each, key=lambda found: found[0])]


def merge_shards(
    store: DocumentStore,
    model_digest: str,
    folders: Sequence[Path],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, dict[str, str]]:
    """Put the documents of shards into a store, in the order of their source, with one part in memory.

    What was merged is remembered: after a kill the same call goes on where it was.

    Args:
        store: Where they go; documents whose id is there are replaced.
        model_digest: Of the bundle of the store.
        folders: Shards, or folders of shards. Shards of several sources are merged one source after the other.
        progress: Called with (documents merged, documents in all).

    Returns:
        Documents in all, and the files that could not be read: id -> why.

    Raises:
        DataError: A shard is missing, there twice, unfinished, damaged, or made with another bundle (nothing was
            merged then); or a part is damaged, or two documents have the same id (what came before stays).
        IndexLockedError: Another process is writing to the index.
        StorageError: The disk is full; what was merged before stays.
    """
    sets = _sets(folders, model_digest)
    total = sum(shard.documents for found in sets for _, shard in found.shards.values())
    done = 0
    with store.writing():
        for found in sets:
            for documents in _merge_set(store, found):
                done += documents
                if progress:
                    progress(done, total)
    problems = {id: why for found in sets for _, shard in found.shards.values() for id, why in shard.problems.items()}
    return total, problems


def shard_batches(
    folders: Sequence[str | Path], bundle: Bundle
) -> Iterator[tuple[Batch, FloatArray, tuple[IntArray, FloatArray]]]:
    """Read what shards hold in the order of their source, with one part in memory: to fill another engine.

    Args:
        folders: Shards, or folders of shards.
        bundle: What embedded them.

    Yields:
        Documents with their vectors, shape (n, d_in), and codes, (n, k) and (n, k).

    Raises:
        DataError: As `merge_shards`.
    """
    for found in _sets([Path(folder) for folder in folders], bundle.manifest.model_digest):
        yield from (read_part(folder, part) for folder, part in found.parts())


def _merge_set(store: DocumentStore, found: _Set) -> Iterator[int]:
    """Yields the documents of part after part."""
    parts = found.parts()
    key = MEMORY + hashlib.sha256("".join(part.sha256 for _, part in parts).encode()).hexdigest()[:16]
    merged, _, kind = store.meta.get(key, "0 " + ("alone" if not len(store) else "added")).partition(" ")
    for number, (folder, part) in enumerate(parts):
        if number >= int(merged):
            batch, vectors, codes = read_part(folder, part)
            ids = [document.id for document in batch.documents]
            if kind == "added":
                store.delete(leftovers(store, batch.counts))
            elif number > int(merged):  # the first may be there in part of a run that was killed
                _refuse_doubles(store, ids, folder)
            texts, metadata = [d.text for d in batch.documents], [d.metadata for d in batch.documents]
            store.put(ids, texts, metadata, vectors, *codes)
            store.set_meta(key, f"{number + 1} {kind}")
        yield part.documents


def _refuse_doubles(store: DocumentStore, ids: list[str], folder: Path) -> None:
    for record in store.get(ids):
        if record is not None:
            raise DataError(f"two documents have the id {record.id!r}, one in {folder}: every id must occur once")


def _sets(folders: Sequence[Path], model_digest: str) -> list[_Set]:
    """The shards by source, all there and fit to be merged."""
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
    for found in sets.values():
        folder, shard = next(iter(found.shards.values()))
        missing = [str(number) for number in range(1, shard.of + 1) if number not in found.shards]
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
