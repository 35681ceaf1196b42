"""The tokenizer of a bundle, opened with bounds. Its errors are ours, also those that no `except Exception` catches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenizers import Tokenizer

from ...errors import BundleError
from ...text import first_line
from ...tokenizer_bounds import check_tokenizer
from .manifest import CURE
from .reading import MALFORMED, read_json

MAX_BYTES = 2**28
"""Of tokenizer.json; 250,000 words of many languages take 17 MB."""


def open_tokenizer(path: Path, max_length: int) -> Tokenizer:
    """Open a tokenizer.json so that it cuts at `max_length` tokens and pads nothing.

    Raises:
        BundleError: It cannot be read, makes texts much longer, or adds so many special tokens that none is left.
    """
    try:
        check_tokenizer(read_json(path, MAX_BYTES))
        with no_panic(f"{path} cannot be read"):
            tokenizer = Tokenizer.from_file(str(path))
            special = tokenizer.num_special_tokens_to_add(False)
            if special < max_length:
                # The file often says otherwise than the embedder (all-MiniLM-L6-v2: cut at 128, pad to 128).
                tokenizer.enable_truncation(max_length)
    except MALFORMED as error:
        raise BundleError(f"{path} cannot be read ({error}): {CURE}") from error
    if special >= max_length:
        raise BundleError(f"{path} adds {special} tokens to a text, the manifest has max_length {max_length}: {CURE}")
    return tokenizer


@contextmanager
def no_panic(what: str) -> Iterator[None]:
    """Turn errors of the tokenizers library, panics in its Rust code too, into a BundleError that says `what`."""
    try:
        yield
    # It raises plain Exception; a panic is a BaseException of a module that cannot be imported.
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = first_line(str(error), type(error).__name__)
        raise BundleError(f"{what} ({reason[:200]}): {CURE}") from error
