"""What an index knows of its bundle, and codes for documents that were added without one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ...errors import ConfigError
from ..bundle.bundle import Bundle
from ..store.documents import DocumentStore

BATCH = 512
SAME_SPACE = 0.99
"""Lowest cosine of two embeddings of a text by the same embedder; 8-bit weights round, other embedders give less."""
MODEL_DIGEST = "model_digest"
"""Key in the metadata of the database that is present once documents have codes."""


def facts_of(bundle: Bundle, folder: Path) -> dict[str, str]:
    """Return the values that an index stores about its bundle."""
    return {
        "bundle": os.path.relpath(bundle.path.resolve(), folder.resolve()),
        MODEL_DIGEST: bundle.manifest.model_digest,
        "k": str(bundle.k),
    }


def adopt(store: DocumentStore, bundle: Bundle, facts: Mapping[str, str]) -> None:
    """Give every document of a store its code, and store `facts_of`; can be repeated after an interruption.

    Raises:
        ConfigError: The vectors have another width, or the bundle embeds the first text differently.
        IndexLockedError, StorageError: As in `SteerableIndex.add`.
    """
    folder = store.path.parent
    if store.d_in != bundle.d_in:
        raise ConfigError(
            f"{folder} holds vectors of {store.d_in} numbers and the bundle {bundle.path} takes "
            f"{bundle.d_in}: use the bundle of the embedder that made them, or add the documents to a new folder"
        )
    rows = store.rowids()
    # Without an embedder nobody can tell.
    if len(rows) and bundle.embeds:
        first = store.by_rowid(rows[:1])[0]
        cosine = float(bundle.embed_documents([first.text])[0] @ store.vectors_of(rows[:1])[0])
        if cosine < SAME_SPACE:
            raise ConfigError(
                f"{folder}: the vector of document {first.id!r} and the bundle's embedding of its text have "
                f"cosine {cosine:.2f}, expected at least {SAME_SPACE}: use the bundle of the embedder that made it"
            )
    for start in range(0, len(rows), BATCH):  # `put` keeps the order
        part = rows[start : start + BATCH]
        records, vectors = store.by_rowid(part), store.vectors_of(part)
        columns = [r.id for r in records], [r.text for r in records], [r.metadata for r in records]
        store.put(*columns, vectors, *bundle.encode(vectors), made_up=store.owners_of(columns[0]))
    # The key that marks an index with a bundle is written last.
    for key in sorted(facts, key=lambda key: key == MODEL_DIGEST):
        store.set_meta(key, facts[key])
