"""Autoencoders that come with the package, to start without training, with the labels of their features.

`export/weights` holds of each a safetensors file, a file of labels where they were made, and a model card, which says
from which texts and with which command. Labels are an interpretation without passages: names, scores, words, families.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..catalogue import PretrainedModel, find_pretrained, pretrained_names
from ..errors import CheckpointError, ConfigError, SteersearchError
from ..files import replace_file, sha256_of
from ..hub import is_repository
from ..runtime.bundle.interpretation import (
    Entry,
    Interpretation,
    interpretation_bytes,
    read_interpretation_file,
    without_passages,
)
from ..runtime.bundle.manifest import Manifest
from ..training.published import Stored, published_bytes
from ..training.sae import SparseAutoencoder
from .bundle import export_bundle
from .embedder import Via
from .quantize import Precision

__all__ = [
    "export_pretrained",
    "load_labels",
    "load_pretrained",
    "pretrained_names",
    "write_labels",
    "write_pretrained",
]

LEAST_POSITIVES, LEAST_AUC = 5, 0.85
"""Held-out documents on which a latent fires, and AUC of its label there, from which on the label comes with a model.
Of labels between .80 and .85 about half of those that were read joined words that have nothing in common."""


def export_pretrained(
    name: str,
    out: str | Path,
    *,
    revision: str | None = None,
    precision: Precision = "fp32",
    embedder: str | Path | None = None,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    truncate_dim: int | None = None,
    via: Via = "auto",
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Manifest:
    """Export a model that comes with the package, with its labels, or one of the Hugging Face hub.

    Args:
        name: One of `pretrained_names`, a .safetensors file or a folder of `save_pretrained`, or ``owner/name`` on the
            hub, which is downloaded.
        out: The new folder.
        revision: Of a repository on the hub.
        precision: As for `export_bundle`.
        embedder: As for `export_bundle`.
        query_prompt: As for `export_bundle`.
        document_prompt: As for `export_bundle`.
        truncate_dim: As for `export_bundle`.
        via: As for `export_bundle`.
        overwrite: As for `export_bundle`.
        progress: As for `export_bundle`.

    Raises:
        ConfigError: An unknown name.
        CheckpointError: The file is damaged or newer, or the hub does not give it.
        SteersearchError: As for `export_bundle`.
    """
    sae = load_pretrained(name, revision)
    model = find_pretrained(name) if name in pretrained_names() else None
    return export_bundle(
        sae,
        out,
        precision=precision,
        embedder=embedder,
        query_prompt=query_prompt,
        document_prompt=document_prompt,
        truncate_dim=truncate_dim,
        via=via,
        overwrite=overwrite,
        progress=progress,
        labels=load_labels(model) if model else None,
        card=model.card.read_text(encoding="utf-8") if model and model.card else None,
    )


def load_pretrained(name: str | Path, revision: str | None = None) -> SparseAutoencoder:
    """Load a model that comes with the package, such as ``minilm``, or what `SparseAutoencoder.from_pretrained` takes.

    Returns:
        The model in float32, atoms of unit length, on the CPU.

    Raises:
        ConfigError: An unknown name.
        CheckpointError: The file is damaged or of a newer version, or the hub does not give it.
    """
    if str(name) in pretrained_names():
        return SparseAutoencoder.from_pretrained(find_pretrained(str(name)).weights)
    if not Path(name).expanduser().exists() and not is_repository(str(name)):
        raise ConfigError(
            f"there is no pretrained model {str(name)!r}: choose {', '.join(pretrained_names()) or 'a file'}, a folder "
            "of save_pretrained, a .safetensors file, or owner/name on the Hugging Face hub"
        )
    return SparseAutoencoder.from_pretrained(name, revision)


def load_labels(model: PretrainedModel) -> Interpretation | None:
    """Return the labels of a model of the package; None where it comes without.

    Raises:
        CheckpointError: They are damaged, or were made with other weights.
    """
    if model.labels_file is None:
        return None
    try:
        labels = read_interpretation_file(model.labels_file, model.n_latents)
    except SteersearchError as error:
        raise CheckpointError(f"{model.labels_file} cannot be read ({error}): install the package again") from error
    if labels.settings.get("weights") != sha256_of(model.weights):
        raise CheckpointError(f"{model.labels_file} belongs to other weights: install the package again")
    return labels


def write_pretrained(sae: SparseAutoencoder, path: Path, *, int8: bool = False) -> Path:
    """Write the weights of a model as the package holds them, in half precision or in 8 bits."""
    stored: Stored = "int8" if int8 else "fp16"
    replace_file(path, published_bytes(sae.config, sae.info, sae.state_dict(), stored))
    return path


def write_labels(found: Interpretation, weights: Path, path: Path) -> Interpretation:
    """Write the labels of a model as the package holds them, and return them.

    They are bound to the checksum of its weights. Texts of the corpus are left out. A label that is not `holds` is left
    out too: an honest "unclear" beats a wrong name.
    """
    kept = without_passages(found)
    entries = tuple(
        entry if holds(entry) else replace(entry, label=None, phrases=(), score=None) for entry in kept.entries
    )
    settings = dict(found.settings) | {
        "weights": sha256_of(weights),
        "labels": sum(not entry.unclear for entry in entries),
    }
    kept = replace(kept, entries=entries, settings=settings)
    replace_file(path, interpretation_bytes(kept))
    return kept


def holds(entry: Entry) -> bool:
    """Return whether a label is good enough to come with a model, whose user did not see it made."""
    score = entry.score
    return not entry.unclear and score is not None and score.positives >= LEAST_POSITIVES and score.auc >= LEAST_AUC
