"""features.json: what a checkpoint knows of each latent; labels and query table of a bundle that is replaced."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from ..errors import SteersearchError
from ..files import sha256_of
from ..runtime.bundle.bundle import Bundle
from ..runtime.bundle.features import FORMAT_VERSION
from ..runtime.bundle.manifest import (
    DECODER,
    FEATURES,
    INTERPRETATION_FILES,
)
from ..runtime.interpret.storage import read_graph
from ..training.sae import SparseAutoencoder

logger = logging.getLogger(__name__)


def features_of(sae: SparseAutoencoder) -> dict[str, Any]:
    """Return the content of features.json."""
    info, n_latents = sae.info, sae.config.n_latents
    reference = {name: info.corpus.get(name) for name in ("name", "n_documents")} | {"mean": list(info.reference_mean)}
    # Where the autoencoder was fitted to embeddings without texts.
    unknown = {"label": None, "density": 0.0, "mean": 0.0, "p95": 0.0, "max": 0.0}
    return {
        "format_version": FORMAT_VERSION,
        "n_latents": n_latents,
        "reference": reference,
        "latents": info.features or [{"id": latent, **unknown} for latent in range(n_latents)],
    }


def carry_over(old: Path, new: Path) -> bool:
    """Copy the interpretation of a bundle, if it has one, into the folder of another export of the same autoencoder.

    `new` is complete but for its manifest. Returns whether an interpretation was copied: it must be readable, and the
    decoders, which hold the atoms, must be equal.
    """
    if not all((old / name).is_file() for name in INTERPRETATION_FILES) or not _same_decoder(old, new):
        return False
    try:
        read_graph(Bundle.load(old))
    except SteersearchError as error:
        logger.warning("the labels of the bundle that is replaced are not kept: %s", error)
        return False
    for name in (*INTERPRETATION_FILES, FEATURES):
        shutil.copyfile(old / name, new / name)
    return True


def _same_decoder(old: Path, new: Path) -> bool:
    """Compare the graphs and, of a large autoencoder, the files of their weights."""
    sums = [[sha256_of(f / n) for n in (DECODER, f"{DECODER}.data") if (f / n).is_file()] for f in (old, new)]
    return sums[0] == sums[1]
