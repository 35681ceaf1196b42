"""What documents may take the place of, and which chunks go when they do."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from ...corpus import Document
from ...errors import DataError
from ...json_values import json_values
from ..store.documents import DocumentStore
from ..store.pieces import chunks_of, is_chunk
from ..store.row_encoding import Record, encode_json, short
from .documents import Batch
from .earlier import warn_of_earlier
from .sources import Names


def check_replaced(
    store: DocumentStore, documents: Sequence[Document], stored: Sequence[Record | None], names: Names
) -> None:
    """Check that no document takes the place of one that is not its own earlier version.

    Args:
        store: The documents of the index.
        documents: Documents and chunks that are about to be stored, as `Names.document` returned them.
        stored: What the store has under their ids.
        names: The source of the documents.

    Raises:
        DataError: A made-up id is that of a document that another source or a person added; an id of a file is one
            that another source made up; a chunk is no chunk of the stored document, or takes the place of none.
    """
    owners = store.owners_of([document.id for document, old in zip(documents, stored, strict=True) if old])
    for document, old in zip(documents, stored, strict=True):
        if old is None or unchanged(document, old):
            continue
        owner, id = owners.get(document.id), short(document.id)
        new_chunk, old_chunk = is_chunk(document.id, document.metadata), is_chunk(old.id, old.metadata)
        if new_chunk != old_chunk:
            chunk, other = (id, "a document that is no chunk") if new_chunk else ("a document", f"the chunk {id}")
            raise DataError(
                f"{chunk} would replace {other}, both have the id {id}: rename the document that is cut into chunks, "
                "or delete the other one"
            )
        if document.made_up and owner != names.prefix:
            raise DataError(
                f"{id} is the line or file of a source without ids, and a document that was added under this id "
                "would be replaced: delete that one, or give the source ids of its own"
            )
        if not document.made_up and owner is not None and (names.origin or new_chunk):
            raise DataError(
                f"{id} is the id of a document here, and a line or file of a source without ids has it already: index "
                "that source into another folder, or after this one"
            )
    warn_of_earlier(store, names, [document.id for document in documents if document.made_up])


def unchanged(document: Document, old: Record) -> bool:
    """Return whether a document is stored as it is."""
    return old.text == document.text and encode_json(old.metadata) == encode_json(json_values(document.metadata))


def made_up_documents(batch: Batch) -> Iterator[str]:
    """Yield the documents that end in a batch and whose id their source made up."""
    made_up = {piece.id: piece.made_up for piece in batch.documents}
    for id, pieces in batch.counts.items():
        # The last chunk of a document is in the batch where it ends.
        if made_up[id if pieces == 1 else f"{id}#{pieces}"]:
            yield id


def stale_chunks(
    store: DocumentStore, counts: Mapping[str, int], prefixes: Mapping[str, str], *, by_hand: bool = False
) -> list[str]:
    """Return the ids of chunks that documents no longer have, without documents that only look like such chunks.

    `counts` maps documents to their number of chunks now; 1 is the document itself, 0 a removed document. `prefixes`
    maps those with a made-up id to the prefix of their source. Whoever names a document in a program, which `by_hand`
    says, means all of it, whoever made up its id.

    Raises:
        DataError: Another source, or a person, has a document under the id of one of them.
    """
    stale = {id: id for id, pieces in counts.items() if pieces != 1}
    with store.snapshot():
        for id, pieces in counts.items():
            kept = pieces if pieces > 1 else 0
            # All of them, whatever is missing between: somebody may have deleted some.
            stale |= {chunk: id for chunk in store.ids_beginning(f"{id}#") if _number_of(chunk, id) > kept}
        names = list(stale)
        found = {name: record for name, record in zip(names, store.get(names), strict=True) if record is not None}
        owners = store.owners_of(list(found))
    gone = []
    for name, record in found.items():
        if name == stale[name] or is_chunk(name, record.metadata):
            if owners.get(name) != prefixes.get(stale[name]) and (stale[name] in prefixes or not by_hand):
                raise DataError(
                    f"there is another document {short(stale[name])} already, of another source or added under this "
                    "id, which would be replaced: delete that one, or index this source into another folder"
                )
            gone.append(name)
    return gone


def other_chunks(store: DocumentStore, ids: Sequence[str], kept: Collection[str]) -> list[str]:
    """Return the ids of the chunks that whole documents take the place of, without those in `kept`."""
    with store.snapshot():
        chunks = [chunk.id for id in ids for chunk in chunks_of(store, id)]
    return [id for id in chunks if id not in kept] if chunks else []


def gone_documents(store: DocumentStore, names: Names, seen: Collection[str], problems: Collection[str]) -> list[str]:
    """Return the ids that a source made up and no longer has, after a pass over all of it.

    Nothing else is ever dropped: the store knows which source made up an id, and forgets it where a person puts another
    document under it.

    Args:
        store: The documents of the index.
        names: The source.
        seen: The documents with made-up ids of this pass, by their ids in the index and without chunks.
        problems: What the pass could not read, as the source calls it: documents, files, or folders of files. It keeps
            what it had.
    """
    if not names.origin or not names.is_recorded or "." in problems:
        return []
    gone = []
    for id in store.made_up_by(names.prefix):
        base, _, _ = id.rpartition("#")
        document = base if base and _number_of(id, base) else id
        if id not in seen and document not in seen and not _is_within(names.made_up_id(document), problems):
            gone.append(id)
    return gone


def _is_within(id: str, problems: Collection[str]) -> bool:
    """Return whether an id is one of `problems`, or a file in a folder that is."""
    return bool(problems) and (
        id in problems or any(id[:at] in problems for at, character in enumerate(id) if character == "/")
    )


def _number_of(chunk: str, document: str) -> int:
    """Return n if a chunk is called ``DOCUMENT#n``, otherwise 0."""
    number = chunk[len(document) + 1 :]
    # A longer one is no number of a chunk, and Python may refuse to read it.
    return int(number) if number.isdecimal() and number.isascii() and len(number) < 10 else 0
