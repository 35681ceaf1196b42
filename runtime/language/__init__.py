"""Requests in plain words: `cafés in Rome, not touristy, more for families`.

`grammar.understand` splits a text into a `Request`. `english` has the cues as data, `words` cuts a text into words
and sentences, and `cues` finds a cue at a place.
"""

from .grammar import understand
from .request import Request

__all__ = ["Request", "understand"]
