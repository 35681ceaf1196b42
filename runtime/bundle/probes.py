"""`embedder.probes.npz`: a few texts with their vectors, by which a bundle without an embedder knows its own."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...arrays import FloatArray, check_unit_rows
from ...errors import BundleError, DataError
from .embedder import check_texts
from .manifest import CURE, PROBES
from .reading import MALFORMED, check_version, read_arrays

FORMAT_VERSION = 1
MOST = 64
"""Probes of a bundle at most: the first use of an embedder pays for them."""
LONGEST = 8_000
"""Characters of a probe at most. Services cut long texts at different places, and the vectors would differ."""


@dataclass(frozen=True)
class Probes:
    """Texts that were embedded as documents when the model was trained."""

    texts: tuple[str, ...]
    vectors: FloatArray
    """Unit rows, shape (n, d_in), float32."""


def write_probes(folder: Path, texts: Sequence[str], vectors: FloatArray) -> Path:
    """Write the probes of a bundle into its folder and return the path of the file.

    Args:
        folder: The folder of the bundle.
        texts: One to `MOST` texts of at most `LONGEST` characters, spread over the documents.
        vectors: Their vectors as documents, unit rows, shape (n, d_in).

    Raises:
        DataError: There are none or too many, one is too long or blank, or a vector has another length than 1.
        OSError: The file cannot be written.
    """
    kept = check_texts(texts)
    rows = check_unit_rows(vectors, "the vectors of the probes", np.shape(vectors)[-1] if np.ndim(vectors) else 0)
    if not 1 <= len(kept) <= MOST or len(rows) != len(kept):
        raise DataError(f"{len(kept)} probes and {len(rows)} vectors: give one vector per text, for 1 to {MOST} texts")
    for text in kept:
        if not text.strip() or len(text) > LONGEST:
            raise DataError(f"a probe has {len(text)} characters: choose texts with words, of at most {LONGEST}")
    file = io.BytesIO()
    encoded = np.frombuffer(json.dumps(kept).encode(), np.uint8)
    np.savez(file, format_version=np.int64(FORMAT_VERSION), texts=encoded, vectors=rows)
    path = Path(folder) / PROBES
    path.write_bytes(file.getvalue())
    return path


def read_probes(folder: Path, d_in: int) -> Probes:
    """Read the probes of a bundle.

    Raises:
        BundleError: They are missing, cannot be read, or have another width than `d_in`.
        FormatVersionError: They were written by a newer steersearch.
    """
    path = Path(folder) / PROBES
    rows: tuple[int | None, ...] = (None, d_in)
    expected = {"format_version": ("i", ()), "texts": ("u", (None,)), "vectors": ("f", rows)}
    try:
        arrays = read_arrays(path, expected)
        check_version(path, int(arrays["format_version"]), FORMAT_VERSION)
        texts = json.loads(arrays["texts"].tobytes().decode("utf-8"))
        good = isinstance(texts, list) and 1 <= len(texts) <= MOST
        if not good or not all(isinstance(text, str) and text.strip() and len(text) <= LONGEST for text in texts):
            raise ValueError(f"expected 1 to {MOST} texts of at most {LONGEST} characters")
        vectors = check_unit_rows(arrays["vectors"], "its vectors", d_in)
        if len(vectors) != len(texts):
            raise ValueError(f"it holds {len(texts)} texts and {len(vectors)} vectors")
    except MALFORMED as error:
        raise BundleError(f"{path} cannot be read ({type(error).__name__}: {error}): {CURE}") from error
    return Probes(tuple(texts), vectors)
