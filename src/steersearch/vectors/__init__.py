"""Vectors that somebody has already: read from files, checked, made unit length, and matched to their documents.

`rows` checks and normalises, `files` reads .npy, .jsonl and .parquet, `matching` finds each document's row, `given` has
`Vectors` and `open_vectors`, which do all of it. `fits` says whether an embedder made them.
"""

from .given import Vectors, open_vectors

__all__ = ["Vectors", "open_vectors"]
