"""What one document is in the store: its record, its checks, and the bytes of its columns."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import DataError

Row = tuple[str, str, str, bytes, bytes, bytes]
"""id, metadata, text, vector, latents, values: the columns of one document after its rowid."""

_MAX_DEPTH = 100  # SQLite's JSON functions refuse a whole query when one document nests deeper than 1,000 levels
_ESCAPE = re.compile(r"\\(u000[01]|.)")
_UNESCAPE = re.compile(r"\\(u0001\\u000[12]|.)")


@dataclass(frozen=True)
class Record:
    """One stored document; `metadata` is a fresh dict that the caller may change."""

    rowid: int
    id: str
    text: str
    metadata: dict[str, object]


def escape_text(text: str) -> str:
    """Write U+0000 as U+0001 U+0001 and U+0001 as U+0001 U+0002.

    SQLite's JSON functions end a string at U+0000 and would take what follows for nothing. The escape keeps the order
    of strings, and metadata and filters both pass through it.
    """
    return text.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")


def encode_json(value: object) -> str:
    """Turn a value into the JSON of the metadata column, with the escape of `escape_text`."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if "\\u000" not in text:
        return text
    pairs = {"u0000": r"\u0001\u0001", "u0001": r"\u0001\u0002"}
    return _ESCAPE.sub(lambda match: pairs.get(match[1], match[0]), text)


def decode_metadata(text: str) -> dict[str, object]:
    """Read the metadata column back: the inverse of `encode_json` for a mapping."""
    if "\\u0001" in text:
        pairs = {r"u0001\u0001": r"\u0000", r"u0001\u0002": r"\u0001"}
        text = _UNESCAPE.sub(lambda match: pairs.get(match[1], match[0]), text)
    metadata: dict[str, object] = json.loads(text)
    return metadata


def check_strings(name: str, strings: Sequence[str]) -> list[str]:
    """Check that a list of strings really is one, and return it as a list.

    Raises:
        DataError: It is a single string, or an item is not a string or holds a lone surrogate.
    """
    if isinstance(strings, str):
        raise DataError(f"{name} is the string {short(strings)}: expected a list of strings")
    for position, string in enumerate(strings):
        if not isinstance(string, str):
            raise DataError(f"{name}[{position}] is {short(string)} ({type(string).__name__}): expected a string")
        if not is_unicode(string):
            raise DataError(
                f"{name}[{position}] is {short(string)}, which holds a lone surrogate and is not Unicode text: "
                "decode the source with errors='replace'"
            )
    return list(strings)


def is_unicode(text: str) -> bool:
    """Tell whether a string can be written as UTF-8, that is, holds no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_documents(ids: Sequence[str], texts: Sequence[str], metadata: Sequence[Mapping[str, object]]) -> list[str]:
    """Check documents and return the metadata of each as JSON.

    Args:
        ids: n different, non-empty strings.
        texts: n strings, may be empty.
        metadata: n mappings of string keys to what JSON can hold; tuples become lists.

    Raises:
        DataError: Something is not as above; the message names the first culprit.
    """
    ids, texts, n = check_strings("ids", ids), check_strings("texts", texts), len(ids)
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
    """Check documents and turn them into the column values of the store.

    Args:
        ids: n different, non-empty strings.
        texts: n strings, may be empty.
        metadata: n mappings of string keys to what JSON can hold; tuples become lists.
        vectors: Shape (n, d_in), finite; stored as float32.
        latents: Shape (n, k), integers in [0, 2**31), k may be 0.
        values: Shape (n, k), finite; stored as float32.
        d_in: Width of the store.

    Returns:
        One `Row` per document.

    Raises:
        DataError: Something is not as above; the message names the first culprit.
    """
    n = len(ids)
    documents = check_documents(ids, texts, metadata)
    if n == 0:
        return []
    vector_rows = finite_rows("vectors", vectors, n, d_in)
    codes = np.asarray(latents)
    if codes.ndim != 2 or len(codes) != n:
        raise DataError(f"latents has shape {codes.shape}: expected ({n}, k)")
    if codes.size and codes.dtype.kind not in "iu":
        raise DataError(f"latents has dtype {codes.dtype}: expected integers")
    if codes.size and (codes.min() < 0 or codes.max() >= 2**31):
        raise DataError(f"latents reach from {codes.min()} to {codes.max()}: expected latent ids in [0, {2**31})")
    code_rows, value_rows = codes.astype("<i4"), finite_rows("values", values, n, codes.shape[1])
    return [
        (ids[i], documents[i], texts[i], *(part[i].tobytes() for part in parts))
        for parts in [(vector_rows, code_rows, value_rows)]
        for i in range(n)
    ]


def finite_rows(name: str, array: ArrayLike, n: int | None, width: int) -> NDArray[np.float32]:
    """Check a matrix of finite numbers and return it as contiguous little-endian float32.

    Args:
        name: What to call it in the message.
        array: The matrix.
        n: Rows that are expected; None for any number.
        width: Columns that are expected.

    Raises:
        DataError: Wrong shape, not numbers, or a number that float32 cannot hold; the first such row is named.
    """
    given = np.asarray(array)
    if given.ndim != 2 or given.shape[1] != width or (n is not None and len(given) != n):
        raise DataError(f"{name} has shape {given.shape}: expected ({'n' if n is None else n}, {width})")
    if given.dtype.kind not in "fiu":
        raise DataError(f"{name} has dtype {given.dtype}: expected float32")
    with np.errstate(over="ignore"):  # too large for float32 becomes inf, which is refused below
        rows = np.ascontiguousarray(given, dtype="<f4")
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        bad = int(np.argmin(finite))
        value = given[bad][~np.isfinite(rows[bad])][0]
        raise DataError(f"{name}[{bad}] holds {value}: every number must be finite in float32")
    return rows


def decode_vectors(blobs: Sequence[bytes], d_in: int) -> NDArray[np.float32]:
    """Read vector columns back, shape (n, d_in).

    Raises:
        ValueError: A column has another length.
    """
    for blob in blobs:
        if len(blob) != 4 * d_in:
            raise ValueError(f"a vector has {len(blob)} bytes, expected {4 * d_in}")
    return np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), d_in).astype(np.float32)


def decode_codes(rows: Sequence[tuple[bytes, ...]]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Read (latents, values) columns back, both of shape (n, k); codes shorter than k end in latent 0 with value 0.

    Raises:
        ValueError: The two columns of a document differ in length.
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
    as_dict = dict(metadata)
    _check_json(as_dict, f"the metadata of {short(id)}", 1)
    try:
        return encode_json(as_dict)
    except ValueError as error:  # an int of thousands of digits
        raise DataError(f"the metadata of {short(id)} cannot be written as JSON: {error}") from error


def _check_json(value: object, where: str, depth: int) -> None:
    """Check what json.dumps would accept silently and change, or refuse without saying where."""
    if depth > _MAX_DEPTH:
        raise DataError(f"{where[:200]} nests deeper than {_MAX_DEPTH} levels: flatten it")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise DataError(f"{where} has the key {short(key)} ({type(key).__name__}): keys must be strings")
            _check_json(key, where, depth)
            _check_json(item, f"{where}, key {short(key)},", depth + 1)
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
    """Show a value in an error message, in at most 80 characters that can always be printed."""
    try:
        text = ascii(value) if isinstance(value, str) and not is_unicode(value) else repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or lists inside lists without end
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
