"""Autoencoders that come with the package, so that whoever has only documents starts without training.

A file of these is safetensors: half-precision weights, and in its metadata, as JSON, what a checkpoint knows besides.
`minilm` was trained by ``python -m benchmarks.retention.pretrain`` (see there for its texts and their licences).
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, ConfigError
from ..training.checkpoint import FORMAT_VERSION, PARAMETERS, CheckpointInfo
from ..training.config import SaeConfig
from ..training.sae import SparseAutoencoder

FOLDER = Path(__file__).parent / "pretrained"


def pretrained_names() -> list[str]:
    """Names that `load_pretrained` takes."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def write_pretrained(sae: SparseAutoencoder, path: Path) -> Path:
    """Write a model as half-precision safetensors, without any text of its corpus.

    Labels, keywords and statistics of the features are kept; the quoted examples and sample texts are left out.
    """
    from safetensors.torch import save

    info = dataclasses.asdict(sae.info) | {"sample_texts": []}
    info["features"] = [entry | {"examples": []} for entry in info["features"]]
    if info["embedder"]:
        info["embedder"]["path"] = info["embedder"]["id"]  # of this machine, and nobody else's
    notes = {"format_version": FORMAT_VERSION, "config": dataclasses.asdict(sae.config), "info": info}
    state = sae.state_dict()
    tensors = {name: state[name].detach().cpu().half().contiguous() for name in PARAMETERS}
    text = json.dumps(notes, ensure_ascii=False, separators=(",", ":"))
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(save(tensors, {"steersearch": text}))
    os.replace(temporary, path)
    return path


def load_pretrained(name: str | Path) -> SparseAutoencoder:
    """Read a model that comes with the package, or a file that `write_pretrained` made.

    Args:
        name: ``minilm``, or the path of a .safetensors file.

    Returns:
        The model in float32, atoms of unit length, on the CPU.

    Raises:
        ConfigError: There is no model of that name.
        CheckpointError: The file is damaged or of a newer version.
    """
    path = Path(name) if str(name).endswith(".safetensors") else FOLDER / f"{name}.safetensors"
    if not path.is_file():
        raise ConfigError(
            f"there is no pretrained model {str(name)!r}: choose {', '.join(pretrained_names()) or 'a file'}, "
            "or the path of a .safetensors file"
        )
    notes, state = _read(path)
    if notes["format_version"] > FORMAT_VERSION:
        raise CheckpointError(f"{path} has format_version {notes['format_version']}: pip install -U steersearch")
    try:
        sae = SparseAutoencoder(SaeConfig(**notes["config"]))
        sae.load_state_dict({parameter: state[parameter].float() for parameter in PARAMETERS})
        sae.info = CheckpointInfo(**notes["info"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path} is incomplete ({error}): install the package again") from error
    if not all(bool(torch.isfinite(parameter).all()) for parameter in sae.parameters()):
        raise CheckpointError(f"{path} holds NaN or infinite numbers: install the package again")
    sae.normalise_atoms()  # half precision moved their lengths by up to .0005
    return sae.eval().requires_grad_(False)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            notes = json.loads(file.metadata()["steersearch"])
            return notes, {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): it is damaged or no pretrained model") from error
