"""Cut the long entries of ``help()`` into pieces that an embedder reads to the end (some 1,000 characters)."""

import re
from collections.abc import Iterator

MIN_CHARS = 600
"""A piece is closed at the first paragraph end after this many characters."""
MAX_CHARS = 1200
"""A piece is longer than this only by a lead-in, or when a single line is."""
LEAD_IN_CHARS = 100
"""A piece as short as this ("The following methods are supported:") always stays with what follows it."""

_UNDERLINE = re.compile(r"([*=\-~^\"'+#])\1{2,}")


def split_topic(text: str) -> Iterator[tuple[str, str]]:
    """Cut a topic at its sections, and those at their paragraphs.

    Args:
        text: Plain text as Sphinx writes it: underlined headings, paragraphs between blank lines.

    Yields:
        (query, text): the text of a section's first piece goes with its heading, that of a later piece with the heading
        and the piece's own first line.
    """
    for heading, body in _sections(text):
        for number, piece in enumerate(_pieces(body)):
            first = piece.lstrip().partition("\n")[0]
            query = heading if heading and number == 0 else f"{heading}: {first}" if heading else first
            yield query, piece


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Yield (heading, body) of every section with a body; the part before the first heading has the heading ``""``."""
    lines = text.splitlines()
    heading, start = "", 0
    for number in range(1, len(lines)):
        title = lines[number - 1].strip()
        # An underline is as long as its title; the rules of tables and of examples are not.
        if _UNDERLINE.fullmatch(lines[number]) and title and abs(len(lines[number]) - len(lines[number - 1])) <= 1:
            if body := "\n".join(lines[start : number - 1]).strip("\n"):
                yield heading, body
            heading, start = title, number + 1
    if body := "\n".join(lines[start:]).strip("\n"):
        yield heading, body


def _pieces(body: str) -> Iterator[str]:
    """Join paragraphs until a piece is long enough; a short end joins the piece before it if that stays in bounds."""
    pieces: list[str] = []
    for paragraph in re.split(r"\n\s*\n", body):
        for part in _bounded(paragraph):
            last = pieces[-1] if pieces else ""
            bound = MAX_CHARS + (LEAD_IN_CHARS if len(last) <= LEAD_IN_CHARS else 0)
            if last and len(last) < MIN_CHARS and len(last) + len(part) <= bound:
                pieces[-1] = f"{last}\n\n{part}"
            else:
                pieces.append(part)
    if len(pieces) > 1 and len(pieces[-1]) < MIN_CHARS // 2 and len(pieces[-2]) + len(pieces[-1]) <= MAX_CHARS:
        last = pieces.pop()
        pieces[-1] = f"{pieces[-1]}\n\n{last}"
    yield from pieces


def _bounded(paragraph: str) -> Iterator[str]:
    """Cut a paragraph that is longer than `MAX_CHARS`, a table or a listing, at its line ends."""
    piece = ""
    for line in paragraph.splitlines():
        if piece and len(piece) + 1 + len(line) > MAX_CHARS:
            yield piece
            piece = ""
        piece = f"{piece}\n{line}" if piece else line
    yield piece
