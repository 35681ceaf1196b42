"""A stored document as Python sees it, and the encoding of its columns."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import as_numbers, check_finite_rows
from ...errors import DataError
from ...json_values import json_values
from ...sequences import as_list

Row = tuple[str, str, str, bytes, bytes, bytes]
"""The columns of one document after its row id: id, metadata, text, vector, latents, values."""

# SQLite's JSON functions reject a whole query if one document nests deeper than 1,000 levels.
_MAX_DEPTH = 100
_ESCAPE = re.compile(r"\\(u000[01]|.)")
_UNESCAPE = re.compile(r"\\(u0001\\u000[12]|.)")


@dataclass(frozen=True)
class Record:
    """A stored document; `metadata` is a new dict that the caller may change."""

    rowid: int
    id: str
    text: str
    metadata: dict[str, object]
    pieces: tuple[str, ...] = ()
    """Ids of its chunks, of a document that was put together of them."""


def escape_text(text: str) -> str:
    """Write U+0000 as U+0001 U+0001, and U+0001 as U+0001 U+0002.

    SQLite's JSON functions end a string at U+0000. Metadata and filters use the escape, which preserves their order.
    """
    return text.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")


def encode_json(value: object) -> str:
    """Return the JSON of the metadata column, escaped as in `escape_text`."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if "\\u000" not in text:
        return text
    pairs = {"u0000": r"\u0001\u0001", "u0001": r"\u0001\u0002"}
    return _ESCAPE.sub(lambda match: pairs.get(match[1], match[0]), text)


def decode_metadata(text: str) -> dict[str, object]:
    """Parse the metadata column; the inverse of `encode_json` for a mapping."""
    if "\\u0001" in text:
        pairs = {r"u0001\u0001": r"\u0000", r"u0001\u0002": r"\u0001"}
        text = _UNESCAPE.sub(lambda match: pairs.get(match[1], match[0]), text)
    metadata: dict[str, object] = json.loads(text)
    return metadata


def check_strings(name: str, strings: Sequence[str]) -> list[str]:
    """Return strings as a list; a DataError as in `as_list`, or for an item that is not a string or not Unicode."""
    if isinstance(strings, str):
        raise DataError(f"{name} is the string {short(strings)}: expected a list of strings")
    strings = as_list(strings, name)
    for position, string in enumerate(strings):
        if not isinstance(string, str):
            raise DataError(f"{name}[{position}] is {short(string)} ({type(string).__name__}): expected a string")
        if not is_unicode(string):
            raise DataError(
                f"{name}[{position}] is {short(string)}, which holds a lone surrogate and is not Unicode text: "
                "decode the source with errors='replace'"
            )
    return strings


def is_unicode(text: str) -> bool:
    """Return whether a string can be encoded as UTF-8, i.e. holds no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable_ids(ids: Sequence[str]) -> list[str]:
    """Return the distinct ids without those that hold a lone surrogate, which SQLite cannot bind."""
    return [id for id in dict.fromkeys(check_ids(ids)) if is_unicode(id)]


def check_ids(ids: object) -> list[str]:
    """Return ids to look up as a list, by position; a DataError for what is no list of strings."""
    if isinstance(ids, str):
        raise DataError(f"ids is {short(ids)}: expected a list of strings")
    wanted = as_list(ids, "ids")
    if not all(isinstance(id, str) for id in wanted):
        raise DataError(f"ids is {short(wanted)}: expected a list of strings")
    return wanted


def check_documents(ids: Sequence[str], texts: Sequence[str], metadata: Sequence[Mapping[str, object]]) -> list[str]:
    """Check documents and return the metadata of each as JSON; arguments and errors as in `encode_rows`."""
    ids, texts, metadata = check_strings("ids", ids), check_strings("texts", texts), as_list(metadata, "metadata")
    n = len(ids)
    for name, length in (("texts", len(texts)), ("metadata", len(metadata))):
        if length != n:
            raise DataError(f"{name} has {length} items and ids has {n}: they must be equally many")
    seen: set[str] = set()
    for id in ids:
        if not id:
            raise DataError("an id is the empty string: every document needs an id of at least one character")
        if id in seen:
            raise DataError(f"id {short(id)} occurs twice in one call: ids must differ")
        seen.add(id)
    return [_metadata_json(id, entry) for id, entry in zip(ids, metadata, strict=True)]


def encode_rows(
    ids: Sequence[str],
    texts: Sequence[str],
    metadata: Sequence[Mapping[str, object]],
    vectors: ArrayLike,
    latents: ArrayLike,
    values: ArrayLike,
    *,
    d_in: int,
) -> list[Row]:
    """Check documents and encode them as columns of the store.

    Args:
        ids: n different, non-empty strings.
        texts: n strings, possibly empty.
        metadata: n mappings of string keys to JSON values, or to what `json_values` turns into such; tuples become
            lists.
        vectors: Shape (n, d_in), finite; stored as float32.
        latents: Shape (n, k), integers in [0, 2**31); k may be 0.
        values: Shape (n, k), finite; stored as float32.
        d_in: Width of the store.

    Raises:
        DataError: An argument is invalid; the message names the first offender.
    """
    ids, texts = check_strings("ids", ids), check_strings("texts", texts)
    metadata = as_list(metadata, "metadata")
    n, documents = len(ids), check_documents(ids, texts, metadata)
    if n == 0:
        return []
    vector_rows = check_finite_rows(vectors, "vectors", d_in, n=n)
    codes = as_numbers(latents, "latents")
    if codes.ndim != 2 or len(codes) != n:
        raise DataError(f"latents has shape {codes.shape}: expected ({n}, k)")
    if codes.size and codes.dtype.kind not in "iu":
        raise DataError(f"latents has dtype {codes.dtype}: expected integers")
    if codes.size and (codes.min() < 0 or codes.max() >= 2**31):
        raise DataError(f"latents reach from {codes.min()} to {codes.max()}: expected latent ids in [0, {2**31})")
    code_rows, value_rows = codes.astype("<i4"), check_finite_rows(values, "values", codes.shape[1], n=n)
    return [
        (ids[i], documents[i], texts[i], *(part[i].tobytes() for part in parts))
        for parts in [(vector_rows, code_rows, value_rows)]
        for i in range(n)
    ]


def decode_vectors(blobs: Sequence[bytes], d_in: int) -> NDArray[np.float32]:
    """Decode vector columns, shape (n, d_in); a ValueError for one of another length."""
    for blob in blobs:
        if len(blob) != 4 * d_in:
            raise ValueError(f"a vector has {len(blob)} bytes, expected {4 * d_in}")
    return np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), d_in).astype(np.float32)


def decode_codes(rows: Sequence[tuple[bytes, ...]]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Decode (latents, values) columns, both of shape (n, k); shorter codes are padded with latent 0, value 0.

    The two columns of a document must have the same length, else it is a ValueError.
    """
    k = max((len(latents) // 4 for latents, _ in rows), default=0)
    for latents, values in rows:
        if len(latents) != len(values):
            raise ValueError(f"a code has {len(latents)} bytes of latents and {len(values)} of values")
    latent_bytes = b"".join(latents.ljust(4 * k, b"\0") for latents, _ in rows)
    value_bytes = b"".join(values.ljust(4 * k, b"\0") for _, values in rows)
    shape = (len(rows), k)
    return (
        np.frombuffer(latent_bytes, "<i4").reshape(shape).astype(np.int64),
        np.frombuffer(value_bytes, "<f4").reshape(shape).astype(np.float32),
    )


def _metadata_json(id: str, metadata: Mapping[str, object]) -> str:
    if not isinstance(metadata, Mapping):
        raise DataError(f"the metadata of {short(id)} is {short(metadata)}: expected a mapping")
    try:
        as_dict = json_values(metadata)
    except DataError as error:
        raise DataError(f"the metadata of {short(id)}: {error}") from None
    _check_json(as_dict, f"the metadata of {short(id)}", 1)
    try:
        return encode_json(as_dict)
    except ValueError as error:  # an int of thousands of digits
        raise DataError(f"the metadata of {short(id)} cannot be written as JSON: {error}") from error


def _check_json(value: object, where: str, depth: int) -> None:
    """Reject what json.dumps would silently change, or refuse without naming the place."""
    if depth > _MAX_DEPTH:
        raise DataError(f"{where[:200]} nests deeper than {_MAX_DEPTH} levels: flatten it")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise DataError(f"{where} has the key {short(key)} ({type(key).__name__}): keys must be strings")
            _check_json(key, where, depth)
            _check_json(item, f"{where.removesuffix(',')}, key {short(key)},", depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_json(item, where, depth + 1)
    elif isinstance(value, str):
        if not is_unicode(value):
            raise DataError(f"{where} holds {short(value)}, a string with a lone surrogate: it is not Unicode text")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise DataError(f"{where} holds {value}: JSON has only finite numbers, use None")
    elif value is not None and not isinstance(value, int):
        raise DataError(f"{where} holds {short(value)} ({type(value).__name__}): expected what JSON can hold")


def short(value: object) -> str:
    """Return a printable form of a value for an error message, at most 80 characters long."""
    try:
        text = ascii(value) if isinstance(value, str) and not is_unicode(value) else repr(value)
    # An integer of thousands of digits, or lists nested too deeply.
    except (ValueError, RecursionError):
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def rowid_list(rowids: ArrayLike) -> list[int]:
    """Return row ids as plain numbers; a DataError for anything but integers, shape (n,)."""
    array = np.asarray(rowids)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise DataError(f"rowids has shape {array.shape} and dtype {array.dtype}: expected (n,) integers")
    return list(map(int, array.astype(np.int64)))


def ascending_rows(rows: Sequence[tuple[int]]) -> NDArray[np.int64]:
    """Return the row ids that a statement found, ascending, read-only, shape (n,)."""
    found = np.sort(np.fromiter((row for (row,) in rows), np.int64, len(rows)))
    found.flags.writeable = False
    return found
