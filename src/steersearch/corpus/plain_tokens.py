"""Tokens of a text without a tokenizer, to cut documents by."""

from __future__ import annotations

import re

_LETTERS = 5
"""Letters and digits of a token at most. BERT's WordPiece makes a quarter fewer tokens of English, more of German."""
# Scripts that put no spaces between words: tokenizers give each of their characters a token or two.
_APART = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00010000-\U0010ffff"
)
_TOKEN = re.compile(rf"[{_APART}]|[^\W_{_APART}]{{1,{_LETTERS}}}|[^\w\s]|_+")


def plain_tokens(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of the tokens of a text, in characters.

    A token is up to five letters or digits of one word, one punctuation mark, or one character of a script without
    spaces. Blanks are none. Of ordinary text that is a token per 3 to 5 characters.
    """
    return [match.span() for match in _TOKEN.finditer(text)]


def count_plain_tokens(text: str) -> int:
    """Return the number of tokens of a text; see `plain_tokens`."""
    return sum(1 for _ in _TOKEN.finditer(text))
