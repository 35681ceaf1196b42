"""Documents whose vectors are there already: whether they may go into an index of a bundle."""

from __future__ import annotations

import numpy as np

from ...corpus import Corpus
from ...errors import ConfigError
from ...vectors import Vectors
from ...vectors.fits import check_fits
from ..bundle.bundle import Bundle
from ..bundle.manifest import PROBES
from ..bundle.probes import read_probes

SAME_MODEL = 0.98
"""Least median cosine of texts that the bundle remembers, as where an embedder is brought."""


def check_given(bundle: Bundle, held: Vectors) -> Corpus:
    """Check that vectors can be those of a bundle's embedder, and return their documents.

    A few documents are embedded. Where nothing embeds, those are compared whose texts the bundle remembers.

    Raises:
        ConfigError: There are no texts; or the vectors have another width, or are of another embedder.
    """
    if held.documents is None:
        raise ConfigError(f"{held.name} has vectors alone, and an index holds texts: give the documents too (--data)")
    width = held.rows.shape[1]
    if width != bundle.d_in:
        raise ConfigError(
            f"{held.name} has vectors of {width} numbers and the bundle {bundle.path} takes {bundle.d_in}: use the "
            "bundle of the embedder that made them"
        )
    if bundle.embeds:
        check_fits(bundle.embed_documents, held)
    elif PROBES in bundle.manifest.files:
        _check_by_probes(bundle, held)
    return held.documents


def _check_by_probes(bundle: Bundle, held: Vectors) -> None:
    probes = read_probes(bundle.path, bundle.d_in)
    vector_of = dict(zip(probes.texts, probes.vectors, strict=True))
    assert held.documents is not None
    found = [
        float(vector_of[text] @ held.rows[at]) for at, text in enumerate(held.documents.texts()) if text in vector_of
    ]
    if found and (cosine := float(np.median(found))) < SAME_MODEL:
        raise ConfigError(
            f"{held.name} and {bundle.path} have a median cosine of {cosine:.2f} on {len(found)} texts that both have, "
            f"expected at least {SAME_MODEL}: these vectors are of another embedder than the bundle's"
        )
