"""A corpus embedded in parts, by any number of processes on any number of machines.

A shard is a folder: ``shard.json`` and its parts, each named by the checksum of what it holds: documents, vectors and
codes. Which documents belong to a shard depends on their place in the source alone, in blocks dealt out in turn, so
that `merge` puts them back in the order of the source with one part in memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._files import replace_file
from ..corpus import Corpus, Document
from ..corpus.records import first_file
from ..errors import ConfigError, DataError, StorageError
from ..metrics import FloatArray, IntArray
from .bundle import Bundle
from .ingest import Batch, batches, chunker_for
from .records import check_documents
from .writer import WriterLock

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
