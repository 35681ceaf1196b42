"""Export of a checkpoint as a bundle: three graphs, tokenizer, features, licences and manifest, verified with torch."""

from __future__ import annotations

import copy
import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import DataError, SteersearchError
from ..files import absolute, sha256_of
from ..runtime.bundle.bundle import Bundle
from ..runtime.bundle.features import FORMAT_VERSION as FEATURES_FORMAT_VERSION
from ..runtime.bundle.manifest import (
    DECODER,
    EMBEDDER,
    ENCODER,
    FEATURES,
    INTERPRETATION_FILES,
    LICENSES,
    MANIFEST,
    TOKENIZER,
    Manifest,
)
from ..runtime.bundle.write import check_target, staged_folder
from ..runtime.interpret.storage import read_graph
from ..training.embedder_source import EmbedderSource, positions_of, resolve_embedder
from ..training.sae import SparseAutoencoder
from .embedder import Via, choose_exporter, embedder_graph, load_embedder, pooling_of, write_tokenizer
from .graphs import decoder_graph, encoder_graph
from .licences import licences_text
from .onnx_files import opset_of, write_model
from .parity import check_parity, parity_texts
from .quantize import MIN_ONNXRUNTIME, Precision, check_precision, is_batch_invariant, quantize

logger = logging.getLogger(__name__)


def export_bundle(
    ckpt: str | Path | SparseAutoencoder,
    out: str | Path,
    *,
    precision: Precision = "fp32",
    embedder: str | Path | None = None,
    via: Via = "auto",
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Manifest:
    """Export a checkpoint as a bundle that `steersearch.runtime` reads without torch.

    The graphs are compared with torch on at least 256 real texts before anything is written to `out`. After an error
    `out` is unchanged.

    Args:
        ckpt: A checkpoint of ``sae train``, or a trained autoencoder.
        out: The new folder.
        precision: Of the embedder: ``fp32``; ``w8``, under a third of the size with nearly the same codes; ``small``,
            slightly smaller and less exact; ``int8``, a quarter of the size, fastest, least exact, one text per run.
        embedder: Folder or name of the embedder of the training, when its weights have moved. Required when the
            autoencoder was trained on bare embeddings.
        via: Exporter of the embedder: ``optimum``, ``torch``, or ``auto`` for optimum where it is installed.
        overwrite: Replace a bundle at `out`, and keep its labels if the autoencoder is the same.
        progress: Called with a line before every step.

    Returns:
        The manifest, with sizes and parity figures.

    Raises:
        CheckpointError: The checkpoint cannot be read.
        DataError: The embedder is not found, not that of the training, or of a kind that cannot be exported.
        ConfigError: An unknown `precision` or `via`.
        BundleError: `out` exists and must not be replaced, or the runtime refuses the new bundle.
        ExportMismatchError: The graphs do not reproduce the torch model.
        StorageError: The disk is full or cannot be written.
    """
    precision, out = check_precision(precision), absolute(out)
    exporter = choose_exporter(via)
    check_target(out, overwrite)
    report = _StepLog(progress)
    sae = copy.deepcopy(ckpt) if isinstance(ckpt, SparseAutoencoder) else SparseAutoencoder.load(ckpt)
    sae = sae.cpu().float().eval()
    source = _find_embedder(sae, embedder)
    report(f"loading the embedder {source.id}")
    model = load_embedder(source)
    width = model.get_sentence_embedding_dimension()
    if width != sae.config.d_in:
        raise DataError(f"{source.id} gives {width} numbers per text, the autoencoder was trained on {sae.config.d_in}")
    with staged_folder(out, overwrite=overwrite) as folder:
        write_tokenizer(model, folder / TOKENIZER)
        report(f"exporting the embedder with {exporter}, {precision}")
        graphs = {EMBEDDER: quantize(embedder_graph(model, exporter, folder), precision, folder)}
        report("exporting the encoder and the decoder")
        graphs |= {ENCODER: encoder_graph(sae), DECODER: decoder_graph(sae)}
        for name, graph in graphs.items():
            write_model(graph, folder / name)
        features = json.dumps(_features(sae), ensure_ascii=False, separators=(",", ":"))
        (folder / FEATURES).write_text(features + "\n", encoding="utf-8")
        if carry_over(out, folder):
            report("keeping the labels of the bundle that is replaced")
        licences = licences_text(source.id, Path(source.path_or_name), sae.info.corpus.get("name"))
        (folder / LICENSES).write_text(licences, encoding="utf-8")
        texts = parity_texts(sae.info.sample_texts, (source.document_prefix, source.query_prefix))
        report(f"comparing the bundle with torch on {len(texts)} texts")
        figures = check_parity(folder, model, sae, texts, precision)
        manifest = Manifest(
            steersearch_version=__version__,
            d_in=sae.config.d_in,
            n_latents=sae.config.n_latents,
            k=sae.config.k,
            pooling=pooling_of(model),
            max_length=source.max_length,
            precision=precision,
            batch_invariant=is_batch_invariant(precision),
            embedder={"id": source.id, "revision": source.revision, "sha256": source.sha256},
            files={p.name: {"sha256": sha256_of(p), "bytes": p.stat().st_size} for p in sorted(folder.iterdir())},
            parity=figures,
            opset=opset_of(graphs.values()),
            min_onnxruntime=MIN_ONNXRUNTIME[precision],
            query_prefix=source.query_prefix,
            document_prefix=source.document_prefix,
        )
        report("writing the manifest")
        (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        _use_once(folder, texts)
    report(f"wrote {out}")
    return manifest


def _use_once(folder: Path, texts: Sequence[str]) -> None:
    """Do with a bundle what a search does, so that none is written that the runtime refuses; a BundleError then."""
    bundle = Bundle.load(folder, verify=False)
    longest = max(texts, key=len)
    rows = np.stack([bundle.embed_query(text) for text in (texts[0], longest)])
    indices, values = bundle.encode(rows)
    bundle.decode(indices, values)
    bundle.features.search(texts[0], 1)
    # Reads an interpretation that was carried over.
    bundle.features.similar(0, 1)


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


class _StepLog:
    """A report of each step to the caller, and of its duration to the log."""

    def __init__(self, progress: Callable[[str], None] | None) -> None:
        self._progress = progress
        self._last = ""
        self._since = time.monotonic()

    def __call__(self, step: str) -> None:
        now = time.monotonic()
        if self._last:
            logger.info("%s: %.1f s", self._last, now - self._since)
        self._last, self._since = step, now
        if self._progress is not None:
            self._progress(step)


def _find_embedder(sae: SparseAutoencoder, given: str | Path | None) -> EmbedderSource:
    """Find the embedder of the training; with any other one the codes would be meaningless."""
    trained = sae.info.embedder
    if trained is None:
        if given is None:
            raise DataError(
                "this autoencoder was trained on bare embeddings, so nobody knows with which embedder: "
                "name it with --embedder FOLDER_OR_NAME"
            )
        return resolve_embedder(given)
    source = resolve_embedder(given) if given is not None else _embedder_of_training(trained)
    if source.sha256 != trained["sha256"]:
        raise DataError(
            f"{source.path_or_name} has weights with sha256 {source.sha256}, but the autoencoder was trained over "
            f"{trained['id']} with sha256 {trained['sha256']}: give that embedder's folder with --embedder"
        )
    # `source` is named after its folder.
    return replace(
        source,
        id=trained["id"],
        revision=trained["revision"],
        max_length=min(trained["max_length"], positions_of(Path(source.path_or_name)) or trained["max_length"]),
        query_prefix=trained.get("query_prefix", ""),
        document_prefix=trained.get("document_prefix", ""),
    )


def _embedder_of_training(trained: dict[str, Any]) -> EmbedderSource:
    """Find the embedder that a checkpoint names, by its absolute path or by its name, never by a relative path.

    A checkpoint may come from somebody else, and what a relative path means is decided by whoever made the folder.
    """
    path, name = trained["path"], trained["id"]
    # Two slashes: a share on another machine, which Windows would log in to.
    if Path(path).is_absolute() and not path.startswith(("//", "\\\\")) and Path(path).is_dir():
        return resolve_embedder(path)
    try:
        return resolve_embedder(name, by_name=True)
    except DataError as error:
        raise DataError(
            f"{error}; the autoencoder was trained over {name} in {path}: give its folder with --embedder"
        ) from error


def _features(sae: SparseAutoencoder) -> dict[str, Any]:
    info, n_latents = sae.info, sae.config.n_latents
    reference = {name: info.corpus.get(name) for name in ("name", "n_documents")} | {"mean": list(info.reference_mean)}
    # Where the autoencoder was fitted to embeddings without texts.
    unknown = {"label": None, "density": 0.0, "mean": 0.0, "p95": 0.0, "max": 0.0}
    return {
        "format_version": FEATURES_FORMAT_VERSION,
        "n_latents": n_latents,
        "reference": reference,
        "latents": info.features or [{"id": latent, **unknown} for latent in range(n_latents)],
    }
