"""A corpus embedded in parts, by any number of processes on any number of machines.

A shard is a folder: ``shard.json`` and its parts, each named by the checksum of what it holds: documents, vectors and
codes. Which documents belong to a shard depends on their place in the source alone, in blocks dealt out in turn, so
that `merge` puts them back in the order of the source with one part in memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from heapq import merge as in_order
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...arrays import FloatArray, IntArray
from ...corpus import Corpus, Document
from ...corpus.readers import first_file
from ...errors import ConfigError, DataError, StorageError
from ...files import replace_file
from ..bundle.bundle import Bundle
from ..store.documents import DocumentStore
from ..store.row_encoding import check_documents
from ..store.write_lock import WriterLock
from .documents import Batch, batches, chunker_for, leftovers

FORMAT_VERSION = 1
HEADER = "shard.json"


class Part(NamedTuple):
    """Where a batch of documents is."""

    block: int
    documents: int
    sha256: str


@dataclass(frozen=True)
class Shard:
    """What ``shard.json`` says."""

    number: int
    """From 1."""
    of: int
    source: str
    """Name of the corpus."""
    stamp: str
    """Checksum over the names and sizes of its files."""
    model_digest: str
    chunk_tokens: int
    overlap: int
    done: int = -1
    """The last block that is complete."""
    positions: int | None = None
    """Documents of the whole source, blank ones too; None until the shard is complete."""
    parts: tuple[Part, ...] = ()
    problems: dict[str, str] = field(default_factory=dict)
    """Files that could not be read: id -> why."""
    format_version: int = FORMAT_VERSION

    @property
    def complete(self) -> bool:
        """Whether every document of it is embedded."""
        return self.positions is not None

    @property
    def documents(self) -> int:
        """How many documents, or chunks, its parts hold."""
        return sum(part.documents for part in self.parts)


def embed_shard(
    data: str | Path,
    bundle: Bundle,
    out: str | Path,
    shard: tuple[int, int] = (1, 1),
    *,
    resume: bool = False,
    chunk_tokens: int | None = None,
    overlap: int | None = None,
    text_column: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[Path, Shard]:
    """Embed the documents of one shard; nothing but its folder is written, so shards need not know of each other.

    Args:
        data: What `Corpus.open` takes as a path; the same for all shards.
        bundle: What embeds.
        out: The folder of all shards; this one goes into ``out/00003-of-00008``.
        shard: (number from 1, number of shards).
        resume: Go on where an earlier run was stopped; does nothing when that run came to the end.
        chunk_tokens: As in `SteerableIndex.add_from`.
        overlap: As there.
        text_column: As in `Corpus.open`.
        progress: Called with the documents done.

    Returns:
        The folder, and what it holds.

    Raises:
        ConfigError: There is no such shard, or the folder holds another one, or one that was begun without `resume`.
        DataError: The source cannot be read.
        IndexLockedError: Another process is making this shard.
        StorageError: The disk is full; what was finished before stays.
    """
    number, of = shard
    if not 1 <= number <= of:
        raise ConfigError(f"shard {number}/{of} does not exist: of {of} shards the first is 1/{of}, the last {of}/{of}")
    corpus = Corpus.open(data, text_column=text_column)
    chunker = chunker_for(bundle, chunk_tokens, overlap)
    sizes = (0, 0) if chunker is None else (chunker.tokens, chunker.overlap)
    begun = Shard(number, of, corpus.name, _stamp(Path(data), corpus), bundle.manifest.model_digest, *sizes)
    folder = Path(out) / f"{number:05}-of-{of:05}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with WriterLock(folder).held():
            begun = _go_on(folder, begun, resume)
            if begun.complete:
                return folder, begun
            _tidy(folder, begun)
            mine = batches(corpus.blocks(_mine(begun)), chunker)
            return folder, _embed(folder, begun, corpus, bundle, mine, progress)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"cannot write {folder} ({error.strerror or error}): free space, then --resume") from error


def read_shard(folder: Path) -> Shard:
    """What a shard's folder says about it.

    Raises:
        DataError: It is no shard, damaged, or newer than this version.
    """
    try:
        raw = json.loads((folder / HEADER).read_text(encoding="utf-8"))
        version = int(raw["format_version"])
        if version > FORMAT_VERSION:
            raise DataError(f"{folder} has format_version {version}, this version reads {FORMAT_VERSION}: upgrade")
        return Shard(**raw | {"parts": tuple(Part(*part) for part in raw["parts"])})
    except FileNotFoundError as error:
        raise DataError(f"{folder} is no shard: expected a folder that `sae embed` wrote") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{folder / HEADER} is damaged ({error}): embed this shard again") from error


def read_part(folder: Path, part: Part) -> tuple[Batch, FloatArray, tuple[IntArray, FloatArray]]:
    """A batch with its vectors and codes.

    Raises:
        DataError: The part is missing, or not what was written.
    """
    path = folder / _name(part.sha256)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}): embed this shard again") from error
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise DataError(f"{path} is not what was written: delete {path.parent} and embed this shard again")
    with np.load(BytesIO(data), allow_pickle=False) as arrays:
        said = json.loads(arrays["documents"].tobytes())
        documents = [Document(*document) for document in said["documents"]]
        codes = (arrays["latents"].astype(np.int64), arrays["values"])
        return Batch(part.block, documents, said["counts"]), arrays["vectors"], codes


def _embed(
    folder: Path,
    shard: Shard,
    corpus: Corpus,
    bundle: Bundle,
    found: Iterable[Batch],
    progress: Callable[[int], None] | None,
) -> Shard:
    """Write part after part; the header counts a block only when all its parts are on the disk."""
    parts = list(shard.parts)
    done = shard.documents
    block = -1
    for batch in found:
        if batch.block != block and block >= 0:
            problems = {**shard.problems, **corpus.problems}
            shard = _write_header(folder, replace(shard, done=block, parts=tuple(parts), problems=problems))
        block = batch.block
        parts.append(_write_part(folder, batch, bundle))
        done += len(batch.documents)
        if progress:
            progress(done)
    problems = {**shard.problems, **corpus.problems}
    finished = replace(shard, done=max(block, shard.done), parts=tuple(parts), problems=problems)
    return _write_header(folder, replace(finished, positions=corpus.positions))


def _write_part(folder: Path, batch: Batch, bundle: Bundle) -> Part:
    check_documents(*zip(*((d.id, d.text, d.metadata) for d in batch.documents), strict=True))
    vectors = bundle.embed([document.text for document in batch.documents])
    latents, values = bundle.encode(vectors)
    rows = [[document.id, document.text, dict(document.metadata)] for document in batch.documents]
    said = json.dumps({"documents": rows, "counts": batch.counts}, allow_nan=False).encode()
    stream = BytesIO()
    np.savez(
        stream,
        documents=np.frombuffer(said, np.uint8),
        vectors=vectors.astype("<f4"),
        latents=latents.astype("<i4"),
        values=values.astype("<f4"),
    )
    data = stream.getvalue()
    part = Part(batch.block, len(batch.documents), hashlib.sha256(data).hexdigest())
    replace_file(folder / _name(part.sha256), data)
    return part


def _write_header(folder: Path, shard: Shard) -> Shard:
    replace_file(folder / HEADER, json.dumps(asdict(shard)).encode())
    return shard


def _go_on(folder: Path, begun: Shard, resume: bool) -> Shard:
    """What is there already of this shard, or the shard as it begins."""
    if not (folder / HEADER).exists():
        return _write_header(folder, begun)
    there = read_shard(folder)
    for name in ("source", "stamp", "model_digest", "chunk_tokens", "overlap"):
        if getattr(there, name) != getattr(begun, name):
            raise ConfigError(
                f"{folder} was begun with another {name} ({getattr(there, name)}, now {getattr(begun, name)}): "
                "choose another --out, or delete it"
            )
    if not resume:
        raise ConfigError(f"{folder} was {'made' if there.complete else 'begun'} already: add --resume to go on")
    return there


def _tidy(folder: Path, shard: Shard) -> None:
    """Remove what a killed run left behind."""
    ours = {_name(part.sha256) for part in shard.parts}
    for path in folder.glob("*.npz"):
        if path.name not in ours:
            path.unlink()
    for path in folder.glob(".*.tmp"):
        path.unlink()


def _stamp(path: Path, corpus: Corpus) -> str:
    """Checksum over the names and sizes of the files of a source, which all its shards must see alike."""
    if corpus.folder is not None:
        files = {id: path / id for id in corpus.folder.ids()}
    else:
        file = path if path.is_file() else first_file(path, "corpus.jsonl", "corpus.jsonl.gz") or path
        files = {file.name: file}
    sizes = {id: file.stat().st_size if file.exists() else -1 for id, file in files.items()}
    return hashlib.sha256(json.dumps(sizes).encode()).hexdigest()


def _mine(shard: Shard) -> Callable[[int], bool]:
    """Blocks are dealt out in turn, so that shards are equally large."""
    return lambda block: block % shard.of == shard.number - 1 and block > shard.done


def _name(sha256: str) -> str:
    return f"{sha256[:32]}.npz"


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
