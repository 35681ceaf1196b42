"""Which documents share a node of a graph, because their vectors are equal or nearly so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ....arrays import FloatArray, IntArray, distinct
from ....errors import DataError

RADIUS = 0.02
"""Greatest distance of a vector from that of its node, which is a cosine above .9998. A text that is embedded again in
another batch moves by 1e-7 (fp32) to 1e-2 (int8); texts that differ in a number lie farther apart."""
# Vectors that may be near each other are found by a key: some of their numbers, rounded to cells of this width.
_CELL = 1 / 128
_SAMPLED = 24

Lookup: TypeAlias = Callable[[IntArray], FloatArray]
"""Returns the vectors of row ids, or raises DataError if one is unknown."""


class SharedNodes:
    """Assigns documents to the nodes of a graph: one node for all vectors within `RADIUS` of its own.

    A graph has no place for many equal vectors: they link to each other alone, and a search that meets them does not
    find its way out. A node is called by the row id of its first document, and keeps this name when that is removed.

    Documents are assigned one after the other, so the result does not depend on how they are divided into calls. Near
    nodes are found by a key and compared with the vector. Two vectors at a distance of 1e-4 have different keys in one
    of four cases, at 1e-7 in one of a thousand; such a document gets a node of its own, which only costs its place.
    """

    def __init__(self) -> None:
        self._keys = np.empty(0, np.uint64)  # of all nodes, ascending
        self._key_nodes = np.empty(0, np.int64)
        self._set(np.empty((0, 3), np.int64))

    def place(self, rowids: IntArray, vectors: FloatArray, lookup: Lookup) -> NDArray[np.bool_]:
        """Assign new documents to nodes, and return which of them need a new node, shape (n,).

        Args:
            rowids: Shape (n,), not known.
            vectors: Shape (n, d_in).
            lookup: Returns the vectors of known documents.
        """
        alone, keys = np.ones(len(rowids), np.bool_), _keys_of(vectors)
        _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        start = np.searchsorted(self._keys, keys)
        known = self._keys[start.clip(max=len(self._keys) - 1)] == keys if len(self._keys) else ~alone
        near: dict[int, list[tuple[int, FloatArray]]] = {}
        added: list[tuple[int, int, int]] = []
        shared = set(self._shared.tolist())
        for i in np.flatnonzero(known | (counts[inverse] > 1)).tolist():
            key, rowid, vector = int(keys[i]), int(rowids[i]), vectors[i]
            nodes = near.get(key)
            if nodes is None:
                nodes = near[key] = self._nodes_of(keys[i], lookup) if known[i] else []
            for node, other in nodes:
                difference = vector.astype(np.float64) - other
                if float(np.sum(difference * difference)) <= RADIUS**2:
                    if node not in shared:
                        shared.add(node)
                        added.append((node, _digest(other), node))
                    added.append((node, _digest(vector), rowid))
                    alone[i] = False
                    break
            else:
                nodes.append((rowid, vector))
        order = np.argsort(keys[alone], kind="stable")
        new_keys, new_nodes = keys[alone][order], rowids[alone][order]
        where = np.searchsorted(self._keys, new_keys, side="right")
        self._keys, self._key_nodes = (
            np.insert(self._keys, where, new_keys),
            np.insert(self._key_nodes, where, new_nodes),
        )
        if added:
            self._set(np.concatenate([self._entries, np.array(added, np.int64)]))
        return alone

    def remove(self, rowids: IntArray) -> IntArray:
        """Remove documents, and return the nodes that have none any more."""
        removed = np.isin(self._entries[:, 2], rowids)
        gone = np.setdiff1d(rowids, self._entries[:, 2])
        if removed.any():
            touched = self._entries[removed, 0]
            self._set(self._entries[~removed])
            gone = np.concatenate([gone, np.setdiff1d(touched, self._shared)])
        kept = ~np.isin(self._key_nodes, gone)
        self._keys, self._key_nodes = self._keys[kept], self._key_nodes[kept]
        return gone

    def documents(self, nodes: IntArray, k: int, allowed: IntArray | None) -> IntArray:
        """Return the documents of nodes, of `allowed` (ascending) alone if it is given, without order.

        Of equal vectors only the `k` lowest row ids are returned, which is all that a search for `k` can answer with.
        """
        if len(self._shared):
            place = np.searchsorted(self._shared, nodes).clip(max=len(self._shared) - 1)
            several = self._shared[place] == nodes
            if several.any():
                first = self._starts[place[several]]
                counts = self._starts[place[several] + 1] - first
                ends = np.cumsum(counts)
                entries = self._entries[np.repeat(first - ends + counts, counts) + np.arange(ends[-1])]
                if allowed is not None:
                    entries = entries[_member(entries[:, 2], allowed)]
                if len(entries) > k:
                    entries = entries[_rank(entries) < k]
                nodes = nodes[~several]
                return np.concatenate([entries[:, 2], nodes if allowed is None else nodes[_member(nodes, allowed)]])
        return nodes if allowed is None else nodes[_member(nodes, allowed)]

    def nodes_among(self, rowids: IntArray) -> IntArray:
        """Return the nodes that a graph of these documents has, ascending."""
        alone = rowids[~np.isin(rowids, self._entries[:, 2])]
        return distinct(np.concatenate([alone, self._shared]))

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self._keys)

    @property
    def names(self) -> IntArray:
        """The nodes, ascending."""
        return np.sort(self._key_nodes)

    @property
    def shared(self) -> IntArray:
        """The nodes with several documents, ascending."""
        return self._shared

    @property
    def sharing(self) -> IntArray:
        """The documents of those nodes."""
        documents: IntArray = self._entries[:, 2]
        return documents

    def write(self, path: Path) -> None:
        """Write a file, or raise OSError."""
        with path.open("wb") as file:
            for part in (self._keys.view(np.int64), self._key_nodes, self._entries.ravel()):
                file.write(np.ascontiguousarray(part, "<i8").data)

    @classmethod
    def read(cls, path: Path, nodes: int) -> SharedNodes:
        """Read the output of `write` for so many nodes; ValueError if it cannot be that."""
        numbers = np.fromfile(path, "<i8").astype(np.int64)
        if nodes < 0 or len(numbers) < 2 * nodes or (len(numbers) - 2 * nodes) % 3:
            raise ValueError(f"it holds {len(numbers)} numbers, which is not what {nodes} nodes need")
        found = cls()
        found._keys, found._key_nodes = numbers[:nodes].view(np.uint64), numbers[nodes : 2 * nodes]
        found._set(numbers[2 * nodes :].reshape(-1, 3))
        names, documents = np.sort(found._key_nodes), np.sort(found._entries[:, 2])
        if (
            np.any(found._keys[1:] < found._keys[:-1])
            or np.any(names[1:] == names[:-1])
            or np.any(documents[1:] == documents[:-1])
            or not np.isin(found._shared, names).all()
        ):
            raise ValueError("its nodes contradict each other")
        return found

    def _set(self, entries: NDArray[np.int64]) -> None:
        """Take the documents of nodes that have several: node, digest of the vector and row id, shape (m, 3)."""
        self._entries = entries[np.lexsort((entries[:, 2], entries[:, 1], entries[:, 0]))]
        nodes = self._entries[:, 0]
        starts = np.flatnonzero(np.diff(nodes, prepend=nodes[:1] - 1))
        self._shared, self._starts = nodes[starts], np.append(starts, len(entries))

    def _nodes_of(self, key: np.uint64, lookup: Lookup) -> list[tuple[int, FloatArray]]:
        first, last = np.searchsorted(self._keys, key, side="left"), np.searchsorted(self._keys, key, side="right")
        found = []
        # In the order of insertion, so that the first node that is near enough is the same one after a reopen.
        for node in self._key_nodes[first:last].tolist():
            named = node
            place = int(np.searchsorted(self._shared, node))
            if place < len(self._shared) and self._shared[place] == node:
                documents = self._entries[self._starts[place] : self._starts[place + 1], 2]
                named = node if node in documents else int(documents.min())  # its first document was removed
            try:
                found.append((node, lookup(np.array([named]))[0]))
            except DataError:  # removed by another thread while this one builds
                continue
        return found


def _keys_of(vectors: FloatArray) -> NDArray[np.uint64]:
    """Return a number for each vector (n, d_in), equal for most that are near each other, shape (n,)."""
    columns = np.linspace(0, vectors.shape[1] - 1, min(_SAMPLED, vectors.shape[1])).astype(np.int64)
    cells = np.floor(vectors[:, columns] / np.float32(_CELL)).astype(np.int64).astype(np.uint64)
    keys = np.zeros(len(vectors), np.uint64)
    for column in cells.T:  # FNV-1a, a cell at a time
        keys = (keys ^ column) * np.uint64(0x100000001B3)
        keys ^= keys >> np.uint64(29)
    return keys


def _digest(vector: FloatArray) -> int:
    return int.from_bytes(hashlib.blake2b(vector.tobytes(), digest_size=8).digest(), "little", signed=True)


def _rank(entries: NDArray[np.int64]) -> IntArray:
    """Return the place of each entry among those of the same node and digest, which follow each other."""
    positions = np.arange(len(entries))
    first = np.ones(len(entries), np.bool_)
    first[1:] = (entries[1:, :2] != entries[:-1, :2]).any(axis=1)
    return positions - np.maximum.accumulate(np.where(first, positions, 0))


def _member(rowids: IntArray, allowed: IntArray) -> NDArray[np.bool_]:
    """Return which row ids occur in an ascending array."""
    if len(allowed) == 0:
        return np.zeros(len(rowids), np.bool_)
    inside: NDArray[np.bool_] = allowed[np.searchsorted(allowed, rowids).clip(max=len(allowed) - 1)] == rowids
    return inside
