"""Checks of the files of hnswlib and usearch, which follow every number in them without a check of their own.

A file is accepted only if no link, level, count or size in it leads outside of it. The layouts are those of hnswlib 0.8
and usearch 2.26; the name of the version is compared before. The numbers of the vectors are not checked.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....arrays import IntArray

_HNSW = struct.Struct("<6QiI3QdQ")
_USEARCH = struct.Struct("<7s3H4B3Q23s")
_USEARCH_GRAPH = struct.Struct("<5Q")
# Levels thin out by the number of links, 16 or more, so that the tenth is beyond any number of documents.
_MOST_LEVELS = 64
_SCALARS = {"f32": (11, 4), "f16": (12, 2), "i8": (23, 1)}
_FREE = np.uint64(2**64 - 1)  # the key of a removed vector in usearch

Bytes = NDArray[np.uint8]


def check_hnsw_file(path: Path, d_in: int, m: int, ef_construction: int) -> int:
    """Check a file of hnswlib, and return the number of its elements; ValueError if it cannot be read safely."""
    data = np.memmap(path, np.uint8, mode="r")
    _require(len(data) >= _HNSW.size, "the header is cut off")
    zero, room, n, width, labels, vectors, top, entry, m_upper, m_base, m_given, scale, breadth = _HNSW.unpack(
        data[: _HNSW.size].tobytes()
    )
    per_level, start = 4 + 4 * m, 4 + 8 * m
    _require((zero, vectors, labels, width) == (0, start, start + 4 * d_in, start + 4 * d_in + 8), "the width is wrong")
    _require((m_upper, m_base, m_given, breadth) == (m, 2 * m, m, ef_construction), "the parameters are others")
    _require(abs(scale * np.log(m) - 1) < 1e-6 if m > 1 else True, "the parameters are others")
    _require(n <= room and n <= len(data) // width, "the number of elements is wrong")
    end = _HNSW.size + n * width
    _require((len(data) - end) % 4 == 0, "the size is wrong")
    elements, upper = data[_HNSW.size : end].reshape(n, width), data[end:].view("<u4")
    levels, places = _hnsw_levels(upper, n, per_level)
    _check_entry(levels, top, entry, none=-1)
    base = np.ascontiguousarray(elements[:, :start]).view("<u4")
    _require(not (base[:, 0] & np.uint32(0xFFFE0000)).any(), "a mark is unknown")  # bit 16 marks removed elements
    _check_links(base[:, 0] & np.uint32(0xFFFF), base[:, 1:], levels, 0)
    for level in range(1, top + 1):
        at = places[levels >= level] + (level - 1) * (m + 1)
        block = upper[at[:, None] + np.arange(m + 1)]
        _check_links(block[:, 0], block[:, 1:], levels, level)
    names = np.sort(np.ascontiguousarray(elements[:, labels:]).view("<u8").ravel())
    _require(not (names[1:] == names[:-1]).any() and not (names >> np.uint64(63)).any(), "a label is wrong")
    return int(n)


def check_usearch_file(path: Path, d_in: int, m: int, dtype: str) -> None:
    """Check a file of usearch; ValueError if it cannot be read safely."""
    data = np.memmap(path, np.uint8, mode="r")
    scalar, size = _SCALARS[dtype]
    _require(len(data) >= 8, "the header is cut off")
    rows, columns = np.frombuffer(data[:8].tobytes(), "<u4").tolist()
    start = 8 + rows * columns
    _require(len(data) >= start + _USEARCH.size + _USEARCH_GRAPH.size, "the header is cut off")
    magic, *_, metric, number, key, slot, present, removed, width, rest = _USEARCH.unpack(
        data[start : start + _USEARCH.size].tobytes()
    )
    start += _USEARCH.size
    n, links, base_links, top, entry = _USEARCH_GRAPH.unpack(data[start : start + _USEARCH_GRAPH.size].tobytes())
    start += _USEARCH_GRAPH.size
    kinds = (magic, metric, number, key, slot, width)
    _require(kinds == (b"usearch", ord("i"), scalar, 14, 15, d_in), f"its graph has width and type {kinds}")
    _require(not any(rest) and present + removed == n == rows, "the number of elements is wrong")
    _require((links, base_links) == (m, 2 * m) and (n == 0 or columns == size * d_in), "the parameters are others")
    _require(len(data) >= start + 2 * n, "the levels are cut off")
    levels = np.frombuffer(data[start : start + 2 * n].tobytes(), "<i2").astype(np.int64)
    start += 2 * n
    _require(not ((levels < 0) | (levels > _MOST_LEVELS)).any(), "a level is wrong")
    per_level, first = 4 + 4 * m, 14 + 8 * m
    sizes = first + levels * per_level
    _require(start + int(sizes.sum()) == len(data), "the size is wrong")
    if n == 0:
        return
    _check_entry(levels, top, entry, none=0)
    places = start + np.cumsum(sizes) - sizes
    base = _gather(data, places, first)
    keys = np.ascontiguousarray(base[:, :8]).view("<u8").ravel()
    _require(np.array_equal(np.ascontiguousarray(base[:, 8:10]).view("<i2").ravel(), levels), "a level is wrong")
    block = np.ascontiguousarray(base[:, 10:]).view("<u4")
    _check_links(block[:, 0], block[:, 1:], levels, 0)
    for level in range(1, top + 1):
        block = _gather(data, places[levels >= level] + first + (level - 1) * per_level, per_level).view("<u4")
        _check_links(block[:, 0], block[:, 1:], levels, level)
    names = np.sort(keys[keys != _FREE])
    _require(len(names) == present and not (names[1:] == names[:-1]).any(), "a key is wrong")
    _require(not (names >> np.uint64(63)).any(), "a key is wrong")


def _hnsw_levels(upper: NDArray[np.uint32], n: int, per_level: int) -> tuple[IntArray, IntArray]:
    """Return the level of each element, and the place of its links above the lowest level, in numbers of 4 bytes.

    Each element has a size in bytes, followed by so many bytes of links. Most sizes are zero, and are passed over.
    """
    levels, places = np.zeros(n, np.int64), np.zeros(n, np.int64)
    filled = np.flatnonzero(upper)
    at = element = 0
    while element < n:
        following = int(np.searchsorted(filled, at))
        skipped = (int(filled[following]) if following < len(filled) else len(upper)) - at
        if skipped >= n - element:  # the rest has no links
            at += n - element
            break
        at, element = at + skipped, element + skipped
        _require(at < len(upper), "the links are cut off")
        size = int(upper[at])
        _require(size % per_level == 0 and size <= _MOST_LEVELS * per_level, "a level is wrong")
        levels[element], places[element] = size // per_level, at + 1
        at, element = at + 1 + size // 4, element + 1
    _require(at == len(upper), "the size is wrong")
    return levels, places


def _check_entry(levels: IntArray, top: int, entry: int, *, none: int) -> None:
    if len(levels) == 0:
        _require(top == none, "the highest level is wrong")
        return
    _require(top == levels.max(), "the highest level is wrong")
    _require(entry < len(levels) and levels[entry] == top, "the entry is wrong")


def _check_links(counts: NDArray[np.uint32], links: NDArray[np.uint32], levels: IntArray, level: int) -> None:
    """Check that the links of a level, shape (n, most), lead to elements that have this level."""
    _require(not (counts > links.shape[1]).any(), "a number of links is wrong")
    used = links[np.arange(links.shape[1]) < counts[:, None]]
    _require(not (used >= len(levels)).any() and bool((levels[used] >= level).all()), "a link is wrong")


def _gather(data: Bytes, places: IntArray, size: int) -> Bytes:
    """Return so many bytes at each place, shape (n, size)."""
    found: Bytes = np.lib.stride_tricks.sliding_window_view(data, size)[places]
    return found


def _require(right: bool, problem: str) -> None:
    if not right:
        raise ValueError(f"it is no graph that can be read safely: {problem}")
