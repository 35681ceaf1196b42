"""The common nouns of English, of one to three words: names for what documents are about without saying it."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files


@cache
def common_nouns() -> tuple[str, ...]:
    """Return the nouns that WordNet's tagged texts have, in alphabetical order."""
    packed = files(__package__).joinpath("nouns.txt.gz").read_bytes()
    return tuple(gzip.decompress(packed).decode("ascii").split("\n")[:-1])
