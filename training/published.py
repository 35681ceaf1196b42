"""Autoencoders that are given away: weights as safetensors with the rest of a checkpoint as JSON, and a model card.

No text of a corpus is in them, only words: neither the examples of features nor the sample texts of the export's gate.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import CheckpointError, ConfigError, StorageError
from ..files import absolute, replace_file
from ..hub import Repository, push
from ..model_card import CARD, UNSTATED, model_card
from ..text import first_line
from .checkpoint import FORMAT_VERSION, PARAMETERS, CheckpointInfo, check_payload
from .config import SaeConfig

WEIGHTS = "model.safetensors"
KEY = "steersearch"
"""Of the JSON in the metadata of a safetensors file."""
MOST = 2**33
"""Bytes of a file of weights that is downloaded."""
Checkpoint = tuple[SaeConfig, CheckpointInfo, dict[str, Tensor]]
Stored = Literal["fp32", "fp16", "int8"]
"""How weights are stored. fp16 halves the file and changes no score by more than .0002. int8 has a scale per latent and
quarters it."""
_LATENT_AXIS = {"W_enc": 1, "W_dec": 0}
"""Axis of the latents in the two matrices, which int8 is for; biases are small and stay fp16."""
_SCALE = ".scale"


def published_bytes(
    config: SaeConfig, info: CheckpointInfo, state: dict[str, Tensor], stored: Stored = "fp32"
) -> bytes:
    """Return a safetensors file."""
    from safetensors.torch import save

    if stored not in ("fp32", "fp16", "int8"):
        raise ConfigError(f"stored is {stored!r}: choose fp32, fp16 or int8")

    plain = dataclasses.replace(info, origin={}, query_table=None).plain() | {
        "sample_texts": [],
        "sample_vectors": None,
    }
    plain["features"] = [entry | {"examples": []} for entry in plain["features"]]
    if plain["embedder"]:
        # The path is that of this machine.
        plain["embedder"]["path"] = plain["embedder"]["id"]
    metadata = {"format_version": FORMAT_VERSION, "config": dataclasses.asdict(config), "info": plain}
    tensors = {name: state[name].detach().cpu().contiguous() for name in PARAMETERS}
    if stored == "int8":
        for name, axis in _LATENT_AXIS.items():
            scale = tensors[name].abs().amax(1 - axis, keepdim=True).clamp_min(1e-12) / 127
            tensors[name + _SCALE] = scale.squeeze(1 - axis).contiguous()
            tensors[name] = (tensors[name] / scale).round().to(torch.int8)
    if stored != "fp32":
        small = {name: t.half() for name, t in tensors.items() if name in PARAMETERS and t.is_floating_point()}
        tensors |= small
    text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
    return bytes(save(tensors, {KEY: text}))


def read_published(path: Path) -> Checkpoint:
    """Read a safetensors file of `published_bytes`: weights in float32, atoms of unit length.

    Raises:
        CheckpointError: It is damaged, newer, or no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            metadata: dict[str, Any] = json.loads(file.metadata()[KEY])
            state = {name: file.get_tensor(name) for name in PARAMETERS}
            scales = {name: file.get_tensor(name + _SCALE) for name in _LATENT_AXIS if state[name].dtype == torch.int8}
        payload = {name: metadata[name] for name in ("format_version", "config", "info")} | {"state": state}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): it is damaged or no published autoencoder") from error
    try:
        exact = state["W_dec"].dtype == torch.float32
        for name, scale in scales.items():
            state[name] = state[name].float() * scale.float().unsqueeze(1 - _LATENT_AXIS[name])
    except (RuntimeError, IndexError) as error:
        raise CheckpointError(f"{path} holds scales that do not fit its weights ({first_line(str(error))})") from error
    config, info, checked = check_payload(path, payload)
    weights = {name: tensor.float() for name, tensor in checked.items()}
    if not exact:
        # Rounding changed their lengths, in half precision by up to .0005.
        weights["W_dec"] = normalize(weights["W_dec"], dim=1)
    return config, info, weights


def save_published(folder: str | Path, checkpoint: Checkpoint, *, stored: Stored, card: str | None) -> Path:
    """Write weights and card into a folder, which is made; see `SparseAutoencoder.save_pretrained`."""
    folder = absolute(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / WEIGHTS, published_bytes(*checkpoint, stored))
        replace_file(folder / CARD, (card or _card(checkpoint)).encode())
    except OSError as error:
        raise StorageError(f"cannot write {folder} ({error.strerror or error}): choose another folder") from error
    return folder


def push_published(
    repo: str,
    checkpoint: Checkpoint,
    *,
    stored: Stored,
    card: str | None,
    private: bool,
    revision: str | None,
    message: str,
) -> str:
    """Send weights and card to the hub and return the commit; see `SparseAutoencoder.push_to_hub`."""
    with tempfile.TemporaryDirectory(prefix="steersearch-") as scratch:
        folder = save_published(scratch, checkpoint, stored=stored, card=card)
        return push(
            folder,
            repo,
            (WEIGHTS, CARD),
            revision=revision,
            private=private,
            message=message,
            error=CheckpointError,
        )


def find_published(name: str | Path, revision: str | None) -> tuple[Path, dict[str, str]]:
    """Return the file of weights, and where it came from if it is of the hub, else nothing.

    `name` is a file, a folder that holds one, or ``owner/name`` of a repository.

    Raises:
        ConfigError: It is none of these.
        CheckpointError: The folder or the repository has no such file, or the hub cannot be reached.
    """
    local = Path(name).expanduser()
    if local.is_file():
        return absolute(local), {}
    if local.is_dir():
        if not (local / WEIGHTS).is_file():
            raise CheckpointError(f"{local} has no {WEIGHTS}: expected a folder of SparseAutoencoder.save_pretrained")
        return absolute(local / WEIGHTS), {}
    repository = Repository(str(name), revision, first=WEIGHTS, error=CheckpointError)
    path = repository.fetch(WEIGHTS, most=MOST)
    return path, {"repo": repository.name, "commit": repository.commit, "revision": revision or "main"}


def _card(checkpoint: Checkpoint) -> str:
    config, info, _ = checkpoint
    embedder = info.embedder or {}
    figures = ", ".join(f"{name} {value:.4g}" for name, value in sorted(info.metrics.items()))
    return model_card(
        "A sparse autoencoder for steersearch",
        f"A sparse code of the embeddings of {embedder.get('id', 'an embedder that is not named')}: "
        "`sae-export` makes a bundle of it, for search that people can read and steer.",
        facts={
            "embedder": embedder.get("id"),
            "its revision": embedder.get("revision"),
            "sha256 of its weights": embedder.get("sha256"),
            "width of the embeddings": config.d_in,
            "latents, active at a time": f"{config.n_latents:,}, {config.k}",
            "trained on": info.corpus.get("name"),
            "documents": info.corpus.get("n_documents"),
            "held-out figures of the training": figures,
        },
        code="from steersearch.training import SparseAutoencoder\n\n"
        'sae = SparseAutoencoder.from_pretrained("OWNER/NAME")\n'
        'sae.save("model.pt")  # then: sae-export --ckpt model.pt',
        base_model=embedder.get("id"),
        licence=UNSTATED,
    )
