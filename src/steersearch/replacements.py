"""How much longer the tokenizer of a file can make a text, read before the file is opened."""

from __future__ import annotations

import math
from typing import Any

MAX_GROWTH = 256
"""How many times longer the steps of a tokenizer may make a text. Memory that is not there ends the process."""


def check_growth(tokenizer: Any) -> None:
    """Check the content of a tokenizer.json.

    Raises:
        ValueError: Its replacements make a text more than `MAX_GROWTH` times longer.
        AttributeError: It is no object.
    """
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
