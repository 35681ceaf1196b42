"""Plain text: where sentences end, what a word is, how a text fits on one line, and what of it a terminal may get."""

import re

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n\s*\n")
"""Splits a text between its sentences and its paragraphs."""
WORD = re.compile(r"\w[\w'-]*")
"""Words with their hyphens and apostrophes, numbers too."""
_JOINED = r"\u0600-\u180a\u1810-\u1fff\u2100-\ufdff\ufe0f\ufe70-\uff9f\U00010000-\U000dffff"
"""Characters of scripts, and emoji, that a zero-width joiner or non-joiner stands between."""
_VARIED = r"#*0-9\xa9\xae\u0600-\u180a\u1810-\u1fff\u203c-\u2049\u2100-\ufdff\U00010000-\U000dffff"
"""Characters whose form a variation selector chooses."""
_UNSEEN = re.compile(
    # Control characters but newline and tab, and halves of pairs, which are no characters.
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"
    # Line breaks of Unicode, and what changes the order of the text around it.
    r"\u2028-\u202e\u2066-\u2069\u200e\u200f\u061c"
    # What has no width and no shape: soft hyphens, zero-width spaces, fillers, tags, annotations.
    r"\xad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    r"\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
    # Persian, the scripts of India and emoji need these two to be read: only elsewhere do they hide something.
    rf"|(?<![{_JOINED}])[\u200c\u200d]|[\u200c\u200d](?![{_JOINED}])"
    rf"|(?<![{_VARIED}])[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
"""Characters that would steer a terminal, or hide from who reads them."""
LONGEST_REPR = 200
"""Characters of an object in a notebook, a log or a debugger."""
STEM, ENDING = 4, 3
"""Letters that two forms of a word share at least, and those in which they may differ at most."""


def one_line(text: str, width: int | None = None) -> str:
    """Return a text on one line. A line of more than `width` characters is cut and ends in an ellipsis."""
    line = " ".join(text.split())
    return line if width is None or len(line) <= width else line[: width - 1] + "…"


def shown(value: object, width: int = 80) -> str:
    """Return a value as messages show it: a text in quotes, its control characters escaped, `width` characters at most.

    Args:
        value: Anything; a text may be of any length.
        width: Characters, the ellipsis of a longer one included.
    """
    try:
        text = repr(value[: width + 1]) if isinstance(value, str) else " ".join(repr(value).split())
    # An integer of thousands of digits, or lists nested too deeply.
    except (ValueError, RecursionError):
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= width else text[: width - 1] + "…"


def described(kind: str, *facts: str) -> str:
    """Return what `repr` shows of an object: its kind and what is worth knowing, one line of at most 200 characters."""
    line = visible(one_line(f"{kind}({', '.join(fact for fact in facts if fact)}"))
    return f"{line if len(line) < LONGEST_REPR else f'{line[: LONGEST_REPR - 2]}…'})"


def first_line(text: str, default: str = "") -> str:
    """Return the first line of a text that is not blank, stripped; `default` when there is none."""
    return next((line.strip() for line in text.splitlines() if line.strip()), default)


def visible(text: str, *, lines: bool = False) -> str:
    r"""Return a text as a person may see it: what would steer a terminal or hide is an escape like ``\x1b``.

    Other characters stay as they are, a backslash too. It is one line, unless newlines and tabs stay with `lines`.
    """
    if text.isascii() and text.isprintable():
        return text
    shown = _UNSEEN.sub(_escape, text)
    return shown if lines else shown.replace("\n", "\\n").replace("\t", "\\t")


def visible_json(text: str) -> str:
    """Return JSON whose strings hold, as the escapes of JSON, what `visible` makes visible. They are read as before."""
    return _UNSEEN.sub(_escape_json, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def _escape_json(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def inflected(word: str, other: str) -> bool:
    """Return whether two words differ at most in their endings: `cell` and `cells`, `histone` and `histones`."""
    shared = 0
    for a, b in zip(word, other, strict=False):
        if a != b:
            break
        shared += 1
    return shared >= STEM and max(len(word), len(other)) - shared <= ENDING


def share_word(phrase: str, other: str) -> bool:
    """Return whether two phrases share a word, up to its ending."""
    return any(a == b or inflected(a, b) for a in phrase.split() for b in other.split())
