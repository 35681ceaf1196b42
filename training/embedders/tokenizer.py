"""The tokenizer.json of a static model or of somebody's graph, opened without transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import DataError
from ...text import first_line
from ...tokenizer_bounds import check_tokenizer
from ..sentence_model import read_json

MAX_CHARACTERS = 2**20
"""Characters of a text that are read at most, as in the runtime; a tokenizer takes about 100 bytes for each."""


def open_tokenizer(path: Path) -> Any:
    """Open a tokenizer.json as it is: it may cut texts, and pad them.

    Returns:
        A `tokenizers.Tokenizer`.

    Raises:
        DataError: It cannot be read, or its steps make texts much longer.
    """
    from tokenizers import Tokenizer

    content = read_json(path)
    try:
        check_tokenizer(content)
        tokenizer = Tokenizer.from_file(str(path))
    # The library raises plain Exception; a fault in its Rust code is below BaseException only.
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = first_line(str(error), type(error).__name__)
        raise DataError(
            f"{path} cannot be used ({reason:.200}): copy the model again, or choose another one"
        ) from error
    return tokenizer
