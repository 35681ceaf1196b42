"""Answers of an embedding service, read with suspicion: every text gets its own vector, or there is an error."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import numpy as np

from ....arrays import FloatArray
from ....text import one_line, shown, visible

BYTES_PER_NUMBER, BYTES_PER_TEXT, BYTES_AT_LEAST = 32, 1024, 1 << 20
"""A number in JSON takes up to 25 bytes, blanks aside; 16 MB of answer for 100 texts of 3,072 numbers."""
WIDEST = 65_536
"""Numbers per text that are expected where the width is not known."""


class BadAnswerError(Exception):
    """The answer is no answer to the request; the message says what was found."""


def most_bytes(texts: int, width: int | None) -> int:
    """Return the bytes that an answer may have for so many texts of `width` numbers each."""
    return BYTES_AT_LEAST + texts * ((width or WIDEST) * BYTES_PER_NUMBER + BYTES_PER_TEXT)


def read_vectors(body: bytes, kind: str, texts: int) -> tuple[FloatArray, int]:
    """Read an answer in the format of OpenAI's ``/v1/embeddings``.

    Rows are put in order by their `index`. Numbers are a list, or base64 of float32.

    Args:
        body: The answer.
        kind: Its content type, for the message about one that is no JSON.
        texts: Number of texts in the request.

    Returns:
        Rows of any length, shape (texts, width), float32, and the tokens that the service counted, 0 if it does not.

    Raises:
        BadAnswerError: It is no JSON, or an index is missing, doubled or out of range, or rows differ in width.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        what = f"{kind.split(';')[0] or 'something'} that is no JSON ({first_words(body)})"
        raise BadAnswerError(f"it answered {what}; is the address right? It often ends in /v1") from error
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list):
        raise BadAnswerError(f"its answer holds no list `data`: {shown(answer, 120)}")
    if len(data) != texts:
        raise BadAnswerError(f"it answered {len(data)} vectors for {texts} texts")
    rows: list[FloatArray | None] = [None] * texts
    for place, item in enumerate(data):
        index = item.get("index") if isinstance(item, dict) else None
        if index is None and texts == 1 and isinstance(item, dict):
            index = 0
        if type(index) is not int or not 0 <= index < texts:
            expected = f"expected 0 to {texts - 1}"
            raise BadAnswerError(f"vector {place} of its answer has the index {shown(index)}, {expected}")
        if rows[index] is not None:
            raise BadAnswerError(f"its answer has the index {index} twice")
        rows[index] = _numbers(item.get("embedding"), place)
    kept = [row for row in rows if row is not None]
    widths = {len(row) for row in kept}
    if len(widths) > 1:
        raise BadAnswerError(f"its answer has vectors of {min(widths)} and of {max(widths)} numbers")
    return np.stack(kept), _tokens(answer)


def first_words(body: bytes, width: int = 80) -> str:
    """Return the beginning of an answer as it may be shown."""
    return visible(one_line(body[: 4 * width].decode("utf-8", "replace"), width))


def _numbers(value: Any, place: int) -> FloatArray:
    try:
        if isinstance(value, str):
            row = np.frombuffer(b64decode(value, validate=True), "<f4").astype(np.float32)
        else:
            given = np.asarray(value)
            if given.ndim != 1 or given.dtype.kind not in "fiu":
                raise ValueError("no list of numbers")
            with np.errstate(over="ignore"):
                row = given.astype(np.float32)
    except (ValueError, TypeError) as error:
        raise BadAnswerError(f"vector {place} of its answer is {shown(value)}, expected numbers") from error
    if not len(row):
        raise BadAnswerError(f"vector {place} of its answer is empty")
    return row


def _tokens(answer: Any) -> int:
    usage = answer.get("usage")
    found = usage.get("total_tokens") if isinstance(usage, dict) else None
    return found if type(found) is int and found >= 0 else 0
