"""Export of a model that was trained on vectors from elsewhere: a bundle without an embedder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .. import __version__
from ..arrays import FloatArray
from ..files import sha256_of
from ..runtime.bundle.bundle import Bundle
from ..runtime.bundle.manifest import (
    DECODER,
    ENCODER,
    FEATURES,
    LICENSES,
    MANIFEST,
    NO_EMBEDDER,
    Manifest,
)
from ..runtime.bundle.probes import write_probes
from ..training.sae import SparseAutoencoder
from .features import carry_over, features_of
from .graphs import decoder_graph, encoder_graph
from .licences import licences_of_vectors
from .onnx_files import opset_of, write_model
from .parity import check_sae_parity
from .quantize import MIN_ONNXRUNTIME

PROBES = 16
"""Texts by which the bundle knows its embedder: a cent's hundredth at a paid service, and one call."""
PROBE_CHARACTERS = 1_500
"""Longest probe where there are shorter texts: no embedder cuts it, 512 tokens or fewer in most languages."""
ANY_LENGTH = 8191
"""`max_length` of the manifest, tokens: nobody knows what the embedder reads; chunks of a text are shorter anyway."""


def is_of_given_vectors(sae: SparseAutoencoder) -> bool:
    """Return whether a model was trained on vectors whose texts are known, and on no embedder's own."""
    return sae.info.embedder is None and sae.info.sample_vectors is not None and bool(sae.info.sample_texts)


def write_without_embedder(folder: Path, sae: SparseAutoencoder, out: Path, report: Callable[[str], None]) -> Manifest:
    """Write the files of a bundle without an embedder into `folder`, which will replace `out`.

    Encoder and decoder are compared with torch on the vectors that the checkpoint holds.

    Raises:
        DataError: None of the checkpoint's texts can be a probe.
        ExportMismatchError: The graphs do not reproduce the torch model.
        BundleError: The runtime refuses the new bundle.
    """
    assert sae.info.sample_vectors is not None
    rows: FloatArray = sae.info.sample_vectors.numpy()
    report("exporting the encoder and the decoder")
    graphs = {ENCODER: encoder_graph(sae), DECODER: decoder_graph(sae)}
    for name, graph in graphs.items():
        write_model(graph, folder / name)
    chosen = probes_among(sae.info.sample_texts)
    write_probes(folder, [sae.info.sample_texts[i] for i in chosen], rows[chosen])
    features = json.dumps(features_of(sae), ensure_ascii=False, separators=(",", ":"))
    (folder / FEATURES).write_text(features + "\n", encoding="utf-8")
    if carry_over(out, folder):
        report("keeping the labels of the bundle that is replaced")
    licences = licences_of_vectors(sae.info.embedder_name, sae.info.corpus.get("name"))
    (folder / LICENSES).write_text(licences, encoding="utf-8")
    report(f"comparing the bundle with torch on {len(rows)} vectors")
    figures = check_sae_parity(folder, sae, rows)
    manifest = Manifest(
        steersearch_version=__version__,
        d_in=sae.config.d_in,
        n_latents=sae.config.n_latents,
        k=sae.config.k,
        pooling="",
        max_length=ANY_LENGTH,
        precision="fp32",
        batch_invariant=True,
        embedder={"id": sae.info.embedder_name or None, "revision": None, "sha256": None},
        files={p.name: {"sha256": sha256_of(p), "bytes": p.stat().st_size} for p in sorted(folder.iterdir())},
        parity=figures,
        opset=opset_of(graphs.values()),
        min_onnxruntime=MIN_ONNXRUNTIME["fp32"],
        embedder_kind=NO_EMBEDDER,
    )
    report("writing the manifest")
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    _use_once(folder, rows)
    return manifest


def probes_among(texts: list[str]) -> list[int]:
    """Choose up to `PROBES` texts, spread over all: short ones where there are enough, never blank or cut ones."""
    fit = [i for i, text in enumerate(texts) if text.strip() and len(text) <= PROBE_CHARACTERS]
    if len(fit) < min(PROBES, len(texts)):
        # The shortest of all, in their own order.
        fit = sorted(sorted((i for i, text in enumerate(texts) if text.strip()), key=lambda i: len(texts[i]))[:PROBES])
    return [fit[place] for place in np.unique(np.linspace(0, len(fit) - 1, min(PROBES, len(fit))).astype(int))]


def _use_once(folder: Path, rows: FloatArray) -> None:
    """Do with a bundle what a search does, so that none is written that the runtime refuses; a BundleError then."""
    bundle = Bundle.load(folder, verify=False)
    indices, values = bundle.encode(np.asarray(rows[:2]))
    bundle.decode(indices, values)
    # Reads an interpretation that was carried over.
    bundle.features.similar(0, 1)
