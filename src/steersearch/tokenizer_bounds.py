"""What the tokenizer of a file may ask for, read before the file is opened."""

from __future__ import annotations

import math
from typing import Any

MAX_GROWTH = 256
"""How many times longer the steps of a tokenizer may make a text. Memory that is not there ends the process."""

MAX_ADDED = 2**15
"""Tokens beside the vocabulary: opening takes time by their square, 1 s for these; real models have up to 6,500."""


def check_tokenizer(tokenizer: Any) -> None:
    """Check the content of a tokenizer.json.

    Raises:
        ValueError: Its steps make a text more than `MAX_GROWTH` times longer, or it adds more than `MAX_ADDED` tokens.
        AttributeError: It is no object.
    """
    added = tokenizer.get("added_tokens")
    if isinstance(added, list) and len(added) > MAX_ADDED:
        raise ValueError(f"it has {len(added):,} added tokens, at most {MAX_ADDED:,} are allowed")
    growths, waiting = [1.0], [tokenizer.get("normalizer"), tokenizer.get("pre_tokenizer")]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            waiting += each.values()
            match each.get("type"):
                case "Replace":
                    # A pattern may match between all characters.
                    growths.append(1.0 + len(str(each.get("content", ""))))
                case "Prepend":
                    growths.append(1.0 + len(str(each.get("prepend", ""))))
                case "ByteLevel":
                    # A character for each byte of a character, which has two bytes itself.
                    growths.append(4.0)
    growth = math.prod(growths)
    if growth > MAX_GROWTH:
        raise ValueError(f"its replacements make a text {growth:.3g} times longer, at most {MAX_GROWTH} are allowed")
