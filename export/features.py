"""features.json: what a checkpoint knows of each latent; labels and query table of a bundle that is replaced."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from ..errors import SteersearchError
from ..files import sha256_of
from ..runtime.bundle.bundle import Bundle
from ..runtime.bundle.fast_queries.storage import has_table
from ..runtime.bundle.fast_queries.table import Table
from ..runtime.bundle.features import FORMAT_VERSION
from ..runtime.bundle.manifest import (
    DECODER,
    FAST_QUERIES,
    FEATURES,
    INTERPRETATION_FILES,
    TOKENIZER,
    Manifest,
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


def carried_table(old: Path, manifest: Manifest) -> Table | None:
    """Return the query table of a bundle that is replaced, if it belongs to the same embedder, in whatever precision.

    Args:
        old: The bundle that will be replaced, or nothing.
        manifest: Of the new one.
    """
    if not (old / FAST_QUERIES).is_file():
        return None
    reason = "it belongs to another embedder or prompt"
    try:
        bundle = Bundle.load(old)
        if has_table(bundle.manifest) and _embedder_of(bundle.manifest) == _embedder_of(manifest):
            return bundle.query_table.table
    except SteersearchError as error:
        reason = str(error)
    logger.warning(
        "the table for fast queries of the bundle that is replaced is not kept, since %s: make one with "
        "`sae fast-queries`",
        reason,
    )
    return None


def _embedder_of(manifest: Manifest) -> tuple[Any, ...]:
    """Return what decides the vector of a query, but for the precision."""
    tokenizer = manifest.files[TOKENIZER]["sha256"] if TOKENIZER in manifest.files else None
    return manifest.embedder["sha256"], manifest.query_prefix, manifest.d_in, manifest.max_length, tokenizer


def _same_decoder(old: Path, new: Path) -> bool:
    """Compare the graphs and, of a large autoencoder, the files of their weights."""
    sums = [[sha256_of(f / n) for n in (DECODER, f"{DECODER}.data") if (f / n).is_file()] for f in (old, new)]
    return sums[0] == sums[1]
