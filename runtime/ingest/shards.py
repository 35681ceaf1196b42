"""Sharded embedding of a corpus by any number of processes on any number of machines.

A shard is a folder with ``shard.json`` and parts, each named by the checksum of its content: documents, vectors and
codes. Blocks of the source are assigned to shards in turn, by position alone, so that `merge` restores the order of the
source with one part in memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...arrays import FloatArray, IntArray
from ...corpus import Corpus, Document
from ...corpus.readers import first_file
from ...errors import ConfigError, DataError, StorageError
from ...files import absolute, check_format, replace_file
from ..bundle.bundle import Bundle
from ..store.row_encoding import check_documents
from ..store.write_lock import WriterLock
from .documents import Batch, batches, chunker_for
from .sources import wanted_prefix

FORMAT_VERSION = 2
"""Version 1 did not say which ids its source made up; they are taken for the source's own."""
HEADER = "shard.json"
BEGINNING = 1 << 16
"""Bytes of each file that the stamp of a source depends on."""


class Part(NamedTuple):
    """The location of a batch of documents."""

    block: int
    documents: int
    sha256: str


@dataclass(frozen=True)
class Shard:
    """The content of ``shard.json``."""

    number: int
    """From 1."""
    of: int
    source: str
    """Name of the corpus."""
    stamp: str
    """Checksum of the names, sizes and beginnings of its files."""
    model_digest: str
    chunk_tokens: int
    overlap: int
    done: int = -1
    """The last complete block."""
    positions: int | None = None
    """Number of documents in the source, including blank ones; None until the shard is complete."""
    parts: tuple[Part, ...] = ()
    problems: dict[str, str] = field(default_factory=dict)
    """Unreadable files: id -> reason."""
    origin: str = ""
    """Absolute path of the source where it was embedded."""
    prefix: str = ""
    """Prefix of made-up ids where it is free, see `wanted_prefix`."""
    format_version: int = FORMAT_VERSION

    @property
    def complete(self) -> bool:
        """Whether all its documents are embedded."""
        return self.positions is not None

    @property
    def documents(self) -> int:
        """Number of documents, or chunks, in its parts."""
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
    """Embed the documents of one shard; return its folder, the only one that is written, and its header.

    Args:
        data: A path as for `Corpus.open`; the same for all shards.
        bundle: The bundle that embeds.
        out: The folder of all shards; this one is written to ``out/00003-of-00008``.
        shard: (number from 1, number of shards).
        resume: Continue an interrupted run; does nothing if the shard is complete.
        chunk_tokens: As in `SteerableIndex.add_from`.
        overlap: As in `SteerableIndex.add_from`.
        text_column: As in `Corpus.open`.
        progress: Called with the documents done.

    Raises:
        ConfigError: The shard number is out of range, or the folder holds another shard, or this one without `resume`.
        DataError: The source cannot be read.
        IndexLockedError: Another process is embedding this shard.
        StorageError: The disk is full; finished parts are kept.
    """
    number, of = shard
    if not 1 <= number <= of:
        raise ConfigError(f"shard {number}/{of} does not exist: of {of} shards the first is 1/{of}, the last {of}/{of}")
    corpus = Corpus.open(data, text_column=text_column)
    chunker = chunker_for(bundle, chunk_tokens, overlap)
    sizes = (0, 0) if chunker is None else (chunker.tokens, chunker.overlap)
    header = Shard(number, of, corpus.name, _stamp(absolute(data), corpus), bundle.manifest.model_digest, *sizes)
    header = replace(header, origin=corpus.origin, prefix=wanted_prefix(corpus))
    folder = absolute(out) / f"{number:05}-of-{of:05}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with WriterLock(folder).held():
            header = _resume(folder, header, resume, lambda: _stamp(absolute(data), corpus, beginnings=False))
            if header.complete:
                return folder, header
            _remove_unlisted(folder, header)
            remaining = batches(corpus.blocks(_blocks_of(header)), chunker)
            return folder, _embed(folder, header, corpus, bundle, remaining, progress)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"cannot write {folder} ({error.strerror or error}): free space, then --resume") from error


def read_shard(folder: Path) -> Shard:
    """Read the header of a shard's folder; DataError if it is no shard, damaged, or newer than this version."""
    try:
        raw = json.loads((folder / HEADER).read_text(encoding="utf-8"))
        check_format(folder, int(raw["format_version"]), FORMAT_VERSION, error=DataError)
        return Shard(**raw | {"parts": tuple(Part(*part) for part in raw["parts"])})
    except FileNotFoundError as error:
        raise DataError(f"{folder} is no shard: expected a folder that `sae embed` wrote") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{folder / HEADER} is damaged ({error}): embed this shard again") from error


def read_part(folder: Path, part: Part) -> tuple[Batch, FloatArray, tuple[IntArray, FloatArray]]:
    """Return a batch with its vectors and codes; DataError if the part is missing or damaged."""
    path = folder / _name(part.sha256)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}): embed this shard again") from error
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise DataError(f"{path} is not what was written: delete {path.parent} and embed this shard again")
    with np.load(BytesIO(data), allow_pickle=False) as arrays:
        content = json.loads(arrays["documents"].tobytes())
        documents = [
            Document(id, text, metadata, made_up=bool(more and more[0]))
            for id, text, metadata, *more in content["documents"]
        ]
        codes = (arrays["latents"].astype(np.int64), arrays["values"])
        return Batch(part.block, documents, content["counts"]), arrays["vectors"], codes


def _embed(
    folder: Path,
    shard: Shard,
    corpus: Corpus,
    bundle: Bundle,
    remaining: Iterable[Batch],
    progress: Callable[[int], None] | None,
) -> Shard:
    """Write one part after another; the header counts a block only when all its parts are on the disk."""
    parts, done, block = list(shard.parts), shard.documents, -1
    for batch in remaining:
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
    vectors = bundle.embed_documents([document.text for document in batch.documents])
    latents, values = bundle.encode(vectors)
    rows = [[document.id, document.text, dict(document.metadata), document.made_up] for document in batch.documents]
    content = json.dumps({"documents": rows, "counts": batch.counts}, allow_nan=False).encode()
    stream, documents = BytesIO(), np.frombuffer(content, np.uint8)
    vectors, latents, values = vectors.astype("<f4"), latents.astype("<i4"), values.astype("<f4")
    np.savez(stream, documents=documents, vectors=vectors, latents=latents, values=values)
    data = stream.getvalue()
    part = Part(batch.block, len(batch.documents), hashlib.sha256(data).hexdigest())
    replace_file(folder / _name(part.sha256), data)
    return part


def _write_header(folder: Path, shard: Shard) -> Shard:
    replace_file(folder / HEADER, json.dumps(asdict(shard)).encode())
    return shard


def _resume(folder: Path, new: Shard, resume: bool, earlier_stamp: Callable[[], str]) -> Shard:
    """Return the existing header of this shard, or write a new one; `earlier_stamp` is that of an earlier version."""
    if not (folder / HEADER).exists():
        return _write_header(folder, new)
    existing = read_shard(folder)
    if existing.stamp != new.stamp and existing.stamp == earlier_stamp():
        new = replace(new, stamp=existing.stamp)
    # Parts of both versions would not agree about made-up ids.
    version = () if existing.complete else ("format_version",)
    for name in ("source", "stamp", "model_digest", "chunk_tokens", "overlap", *version):
        if getattr(existing, name) != getattr(new, name):
            raise ConfigError(
                f"{folder} was begun with another {name} ({getattr(existing, name)}, now {getattr(new, name)}): "
                "choose another --out, or delete it"
            )
    if not resume:
        raise ConfigError(f"{folder} was {'made' if existing.complete else 'begun'} already: add --resume to go on")
    return existing


def _remove_unlisted(folder: Path, shard: Shard) -> None:
    """Remove the files that an interrupted run left behind."""
    ours = {_name(part.sha256) for part in shard.parts}
    for path in (*folder.glob("*.npz"), *folder.glob(".*.tmp")):
        if path.name not in ours:
            path.unlink()


def _stamp(path: Path, corpus: Corpus, *, beginnings: bool = True) -> str:
    """Return a checksum of the files of a source, which must be equal for all its shards.

    It is one of their names, sizes and, with `beginnings`, first 64 KiB; earlier versions did not look into the files.
    """
    if corpus.folder is not None:
        found = corpus.folder.files()
        files = {id: found[id] for id in sorted(found)}
    else:
        file = path if path.is_file() else first_file(path, "corpus.jsonl", "corpus.jsonl.gz") or path
        files = {file.name: file}
    sizes = {id: file.stat().st_size if file.exists() else -1 for id, file in files.items()}
    digest = hashlib.sha256(json.dumps(sizes).encode())
    for file in files.values() if beginnings else ():
        digest.update(_beginning(file))
    return digest.hexdigest()


def _beginning(file: Path) -> bytes:
    """Return a checksum of the first bytes of a file; of none if it cannot be read, which is reported later."""
    content = b""
    # A link may lead to a pipe, which would wait for its writer.
    with suppress(OSError):
        if file.is_file():
            with file.open("rb") as opened:
                content = opened.read(BEGINNING)
    return hashlib.sha256(content).digest()


def _blocks_of(shard: Shard) -> Callable[[int], bool]:
    """Return a test for the unfinished blocks of a shard; every n-th block, so that n shards are equally large."""
    return lambda block: block % shard.of == shard.number - 1 and block > shard.done


def _name(sha256: str) -> str:
    return f"{sha256[:32]}.npz"
