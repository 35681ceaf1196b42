"""Ids that a source made up, line numbers and paths, as ids of an index: unique there, and the same every time.

The first source of an empty index keeps them. Every other source has a prefix, ``two.txt:1`` or ``docs/readme.txt``.
It is recorded under the absolute path of the source before its first document, so that a source that is indexed again
updates its own documents.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from ...corpus import Corpus, Document
from ...corpus.formats import format_of
from ..store.documents import DocumentStore

SOURCE = "source "
"""Begin of the keys in the metadata of the database: ``source /home/me/docs`` -> the prefix of that source."""


def wanted_prefix(corpus: Corpus) -> str:
    """Return the prefix that a source has where it is free: ``docs/`` for a folder, ``two.txt:`` for a file of rows.

    A file that is one document is taken for the only one of its folder. A source in memory has none.
    """
    path = Path(corpus.origin)
    if not corpus.origin:
        return ""
    if corpus.folder is not None:
        return f"{path.name}/"
    format = format_of(path)
    return f"{path.parent.name}/" if format is not None and format.read_rows is None else f"{path.name}:"


def unique_prefix(origin: str, wanted: str) -> str:
    """Return a prefix that no other source has anywhere, for an engine that records no sources: ``docs-1a2b3c4d/``."""
    return f"{wanted[:-1]}-{hashlib.sha256(origin.encode()).hexdigest()[:8]}{wanted[-1:]}"


class Names:
    """Gives the documents of one source their ids in an index; the right to write is held while it is used.

    Args:
        store: The documents of the index.
        origin: Absolute path of the source; ``""`` for one in memory, whose made-up ids become random ones.
        wanted: See `wanted_prefix`.
    """

    def __init__(self, store: DocumentStore, origin: str, wanted: str) -> None:
        self._store, self.origin, self._wanted = store, origin, wanted
        self.is_new = False
        """Whether this object recorded the source: earlier documents of it can only be of an older version."""

    @property
    def is_recorded(self) -> bool:
        """Whether the source has a prefix."""
        return self.origin in self._sources

    @property
    def first_is_free(self) -> bool:
        """Whether no source has its ids without a prefix."""
        return "" not in self._sources.values()

    def record(self, prefix: str) -> None:
        """Record the prefix of the source."""
        self._store.set_meta(SOURCE + self.origin, prefix)
        self._sources[self.origin] = prefix

    @cached_property
    def prefix(self) -> str:
        """The prefix of the source, recorded when it is first asked for."""
        if self.is_recorded:
            return self._sources[self.origin]
        taken = set(self._sources.values())
        prefix = "" if not len(self._store) and self.first_is_free else self._wanted
        number = 1
        while prefix in taken or (prefix and self._store.has_prefix(prefix)):
            number += 1
            prefix = f"{self._wanted[:-1]}-{number}{self._wanted[-1:]}"
        self.record(prefix)
        self.is_new = True
        return prefix

    def id_of(self, id: str) -> str:
        """Return the id in the index for one that the source made up; the same with the mark of a chunk."""
        return self.prefix + id if self.prefix else self.id_of_first(id)

    def id_of_first(self, id: str) -> str:
        """Return the id in the index for one that a source without a prefix made up."""
        others = [prefix for prefix in self._sources.values() if prefix]
        return f"./{id}" if id.startswith(tuple(others)) else id

    def made_up_id(self, id: str) -> str:
        """Return the id that the source made up for one in the index, the reverse of `id_of`."""
        # No source makes up a path that begins with a dot and a slash.
        return id.removeprefix(self.prefix or "./")

    def document(self, document: Document) -> Document:
        """Return a document, or a chunk, with its id in the index; `source` in its metadata follows."""
        if not document.made_up:
            return document
        if not self.origin:
            return replace(document, id=uuid.uuid4().hex, made_up=False)
        id = self.id_of(document.id)
        if id == document.id:
            return document
        metadata, whole = document.metadata, document.id.removesuffix(f"#{document.metadata.get('chunk')}")
        if metadata.get("source") == whole:
            metadata = {**metadata, "source": self.id_of(whole)}
        return replace(document, id=id, metadata=metadata)

    @cached_property
    def _sources(self) -> dict[str, str]:
        meta = self._store.meta.items()
        return {key.removeprefix(SOURCE): prefix for key, prefix in meta if key.startswith(SOURCE)}
