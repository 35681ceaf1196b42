"""Export of a checkpoint as a bundle: embedder, encoder and decoder, features, licences and manifest, verified."""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from .. import __version__
from ..errors import ConfigError, DataError
from ..files import absolute, sha256_of
from ..runtime.bundle.bundle import Bundle
from ..runtime.bundle.embedder_kinds import find_opener
from ..runtime.bundle.fast_queries.storage import with_table
from ..runtime.bundle.interpretation import Interpretation, interpretation_bytes
from ..runtime.bundle.manifest import (
    DECODER,
    ENCODER,
    FEATURES,
    INTERPRETATION,
    LICENSES,
    MANIFEST,
    TOKENIZER,
    Manifest,
)
from ..runtime.bundle.write import check_target, staged_folder
from ..runtime.interpret.storage import features_bytes
from ..text import shown
from ..training.embedder_source import EmbedderSource, positions_of, resolve_embedder
from ..training.prompts import read_prompts
from ..training.sae import SparseAutoencoder
from ..training.threads import limit_threads
from .embedder import Via, choose_exporter
from .exportable import ExportableEmbedder
from .features import carry_over, features_of
from .given_vectors import is_of_given_vectors, write_without_embedder
from .graphs import decoder_graph, encoder_graph
from .licences import licences_text
from .onnx_files import opset_of, write_model
from .own_graph import OwnGraphExport
from .parity import check_parity, parity_texts
from .quantize import MIN_ONNXRUNTIME, Precision, check_precision, is_batch_invariant
from .query_tables import find_table
from .static import StaticExport
from .transformer import TransformerExport

logger = logging.getLogger(__name__)

EXPORTS: dict[str, Callable[[EmbedderSource], ExportableEmbedder]] = {
    "transformer": TransformerExport,
    "static": StaticExport,
    "onnx": OwnGraphExport,
}
"""Kind of the source -> the class that exports it."""
_NO_PROMPTS: dict[str, Any] = {"query_prompt": "", "document_prompt": ""}
"""Of an embedder whose prompts the checkpoint knows."""


def export_bundle(
    ckpt: str | Path | SparseAutoencoder,
    out: str | Path,
    *,
    precision: Precision = "fp32",
    embedder: str | Path | None = None,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    truncate_dim: int | None = None,
    via: Via = "auto",
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
    labels: Interpretation | None = None,
    card: str | None = None,
) -> Manifest:
    """Export a checkpoint as a bundle that `steersearch.runtime` reads without torch.

    The files are compared with the embedder and the autoencoder on at least 256 real texts before anything is written
    to `out`. After an error `out` is unchanged.

    Args:
        ckpt: A checkpoint of ``sae train``, or a trained autoencoder.
        out: The new folder.
        precision: Of the embedder: ``fp32``; ``w8``, under a third of the size with nearly the same codes; ``small``,
            slightly smaller and less exact; ``int8``, a quarter of the size, fastest, least exact, one text per run. A
            table of token vectors can be ``fp32``, ``fp16`` or ``w8``.
        embedder: Folder or name of the embedder of the training, when its weights have moved; or of the one that made
            the vectors of the training. Without it a model of given vectors becomes a bundle without an embedder, which
            remembers a few texts and their vectors; whoever opens it brings what embeds queries.
        query_prompt: Another prompt of queries than at training: a text, or the name of a prompt in the embedder's
            folder; ``""`` for none.
        document_prompt: Prompt of documents, of an autoencoder that was trained on given vectors; by default what the
            embedder's folder says.
        truncate_dim: How many numbers of an embedding were kept, of such an autoencoder.
        via: Exporter of a transformer: ``optimum``, ``torch``, or ``auto``: optimum where it is installed and can
            export this embedder, else torch.
        overwrite: Replace a bundle at `out`, and keep its labels if the autoencoder is the same.
        progress: Called with a line before every step.
        labels: An interpretation of this autoencoder, which the bundle gets unless it replaces one that has its own.
        card: Text of the autoencoder's model card, which goes into LICENSES.

    Returns:
        The manifest, with sizes and parity figures.

    Raises:
        CheckpointError: The checkpoint cannot be read.
        DataError: The embedder is not found, not that of the training, or of a kind that cannot be exported.
        ConfigError: An unknown `precision` or `via`, or prompts without an embedder.
        BundleError: `out` exists and must not be replaced, or the runtime refuses the new bundle.
        ExportMismatchError: The files do not reproduce the embedder and the autoencoder.
        StorageError: The disk is full or cannot be written.
    """
    limit_threads()
    precision, out = check_precision(precision), absolute(out)
    choose_exporter(via)
    check_target(out, overwrite)
    report = _StepLog(progress)
    sae = copy.deepcopy(ckpt) if isinstance(ckpt, SparseAutoencoder) else SparseAutoencoder.load(ckpt)
    sae = sae.cpu().float().eval()
    if embedder is None and is_of_given_vectors(sae):
        if (query_prompt, document_prompt, truncate_dim) != (None, None, None):
            raise ConfigError(
                "prompts and truncate_dim belong to an embedder, and this bundle will have none: name it with "
                "--embedder, or leave them out"
            )
        with staged_folder(out, overwrite=overwrite) as folder:
            manifest = write_without_embedder(folder, sae, out, report)
        report(f"wrote {out}")
        return manifest
    source = _find_embedder(sae, embedder, query_prompt, document_prompt, truncate_dim)
    report(f"loading the embedder {source.id}")
    exported = EXPORTS[source.kind](source)
    if exported.d_in != sae.config.d_in:
        raise DataError(
            f"{source.id} gives {exported.d_in} numbers per text, the autoencoder was trained on {sae.config.d_in}"
        )
    with staged_folder(out, overwrite=overwrite) as folder:
        exported.write(folder, precision, via, report)
        weights = sorted(path.name for path in folder.iterdir() if path.name != TOKENIZER)
        report("exporting the encoder and the decoder")
        for name, graph in {ENCODER: encoder_graph(sae), DECODER: decoder_graph(sae)}.items():
            write_model(graph, folder / name)
        features = json.dumps(features_of(sae), ensure_ascii=False, separators=(",", ":"))
        (folder / FEATURES).write_text(features + "\n", encoding="utf-8")
        if carry_over(out, folder):
            report("keeping the labels of the bundle that is replaced")
        elif labels is not None:
            (folder / INTERPRETATION).write_bytes(interpretation_bytes(labels))
            (folder / FEATURES).write_bytes(
                features_bytes(folder / FEATURES, labels.entries, labels.documents, keep_words=True)
            )
        licences = licences_text(source.id, Path(source.path_or_name), sae.info.corpus.get("name"), weights, card=card)
        (folder / LICENSES).write_text(licences, encoding="utf-8")
        texts = parity_texts(sae.info.sample_texts, (source.document_prefix, source.query_prefix), source.max_length)
        manifest = Manifest(
            steersearch_version=__version__,
            d_in=sae.config.d_in,
            n_latents=sae.config.n_latents,
            k=sae.config.k,
            pooling=exported.pooling,
            max_length=source.max_length,
            precision=precision,
            batch_invariant=is_batch_invariant(precision),
            embedder={"id": source.id, "revision": source.revision, "sha256": source.sha256},
            files={p.name: {"sha256": sha256_of(p), "bytes": p.stat().st_size} for p in sorted(folder.iterdir())},
            parity={},
            opset=opset_of(onnx.load(path, load_external_data=False) for path in folder.glob("*.onnx")),
            min_onnxruntime=MIN_ONNXRUNTIME[precision],
            query_prefix=source.query_prefix,
            document_prefix=source.document_prefix,
            embedder_kind=exported.kind,
        )
        if (found := find_table(sae.info, source, manifest, out)) is not None:
            table, origin = found
            report(f"adding the table for fast queries of {origin}")
            manifest = with_table(folder, manifest, table)
        report(f"comparing the bundle with the embedder and the autoencoder on {len(texts)} texts")
        opened: Any = find_opener(manifest, folder)(folder, manifest, None, "fast")
        figures = check_parity(folder, opened, exported.reference, sae, texts, precision)
        manifest = replace(manifest, parity=figures)
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


def _find_embedder(
    sae: SparseAutoencoder, given: str | Path | None, query: str | None, document: str | None, cut: int | None
) -> EmbedderSource:
    """Find the embedder of the training; with any other one the codes would be meaningless."""
    trained = sae.info.embedder
    if trained is None:
        if given is None:
            raise DataError(
                "this autoencoder was trained on vectors without texts, so that nobody could see whether an embedder "
                "is the one that made them: train again with the documents too (--data), or name it with --embedder"
            )
        return resolve_embedder(given, query_prompt=query, document_prompt=document, truncate_dim=cut)
    # Its own prompts are not asked for, since the training decided.
    source = resolve_embedder(given, **_NO_PROMPTS) if given is not None else _embedder_of_training(trained)
    if source.sha256 != trained["sha256"]:
        raise DataError(
            f"{source.path_or_name} has weights with sha256 {source.sha256}, but the autoencoder was trained over "
            f"{trained['id']} with sha256 {trained['sha256']}: give that embedder's folder with --embedder"
        )
    folder = Path(source.path_or_name)
    prompts = {name: trained.get(f"{name}_prefix", "") for name in ("query", "document")}
    if query is not None:
        prompts["query"] = read_prompts(folder, query, "")[0]
    for name, asked, was in (
        ("document prompt", document and read_prompts(folder, "", document)[1], prompts["document"]),
        ("truncate_dim", cut, trained.get("truncate_dim")),
    ):
        if asked is not None and asked != was:
            raise DataError(
                f"the autoencoder was trained with the {name} {shown(was)}, not {shown(asked)}: train again"
            )
    # `source` is named after its folder.
    return replace(
        source,
        id=trained["id"],
        revision=trained["revision"],
        max_length=min(trained["max_length"], positions_of(folder) or trained["max_length"]),
        query_prefix=prompts["query"],
        document_prefix=prompts["document"],
        pooling=trained.get("pooling", ""),
        truncate_dim=trained.get("truncate_dim"),
    )


def _embedder_of_training(trained: dict[str, Any]) -> EmbedderSource:
    """Find the embedder that a checkpoint names, by its absolute path or by its name, never by a relative path.

    A checkpoint may come from somebody else, and what a relative path means is decided by whoever made the folder.
    """
    path, name = trained["path"], trained["id"]
    # Two slashes: a share on another machine, which Windows would log in to.
    if Path(path).is_absolute() and not path.startswith(("//", "\\\\")) and Path(path).is_dir():
        return resolve_embedder(path, **_NO_PROMPTS)
    try:
        return resolve_embedder(name, by_name=True, **_NO_PROMPTS)
    except DataError as error:
        raise DataError(
            f"{error}; the autoencoder was trained over {name} in {path}: give its folder with --embedder"
        ) from error
