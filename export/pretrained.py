"""Autoencoders that come with the package, to start without training.

They are safetensors files: half-precision weights, and the rest of a checkpoint as JSON in the metadata. `minilm` was
trained by ``python -m benchmarks.retention.pretrain``; see there for its texts and their licences.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, ConfigError
from ..files import check_format, replace_file
from ..training.checkpoint import FORMAT_VERSION, PARAMETERS, CheckpointInfo, check_embedder
from ..training.config import SaeConfig
from ..training.sae import SparseAutoencoder

FOLDER = Path(__file__).parent / "weights"


def pretrained_names() -> list[str]:
    """Return the names that `load_pretrained` accepts."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def write_pretrained(sae: SparseAutoencoder, path: Path) -> Path:
    """Write a model as half-precision safetensors, without the examples and sample texts of its corpus."""
    from safetensors.torch import save

    info = dataclasses.asdict(sae.info) | {"sample_texts": []}
    info["features"] = [entry | {"examples": []} for entry in info["features"]]
    if info["embedder"]:
        # The path is that of this machine.
        info["embedder"]["path"] = info["embedder"]["id"]
    metadata = {"format_version": FORMAT_VERSION, "config": dataclasses.asdict(sae.config), "info": info}
    state = sae.state_dict()
    tensors = {name: state[name].detach().cpu().half().contiguous() for name in PARAMETERS}
    text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
    replace_file(path, save(tensors, {"steersearch": text}))
    return path


def load_pretrained(name: str | Path) -> SparseAutoencoder:
    """Load a model that comes with the package, such as ``minilm``, or a .safetensors file of `write_pretrained`.

    Returns:
        The model in float32, atoms of unit length, on the CPU.

    Raises:
        ConfigError: An unknown name.
        CheckpointError: The file is damaged or of a newer version.
    """
    path = Path(name) if str(name).endswith(".safetensors") else FOLDER / f"{name}.safetensors"
    if not path.is_file():
        raise ConfigError(
            f"there is no pretrained model {str(name)!r}: choose {', '.join(pretrained_names()) or 'a file'}, "
            "or the path of a .safetensors file"
        )
    metadata, state = _read(path)
    try:
        if type(metadata["format_version"]) is not int:
            raise TypeError(f"format_version is {metadata['format_version']!r}")
        check_format(path, metadata["format_version"], FORMAT_VERSION, error=CheckpointError)
        sae = SparseAutoencoder(SaeConfig(**metadata["config"]))
        sae.load_state_dict({parameter: state[parameter].float() for parameter in PARAMETERS})
        sae.info = CheckpointInfo(**metadata["info"])
        check_embedder(sae.info.embedder)
    except (KeyError, TypeError, AttributeError, RuntimeError, ConfigError) as error:
        raise CheckpointError(f"{path} is incomplete ({error}): install the package again") from error
    if not all(bool(torch.isfinite(parameter).all()) for parameter in sae.parameters()):
        raise CheckpointError(f"{path} holds NaN or infinite numbers: install the package again")
    # Half precision changed their lengths by up to .0005.
    sae.normalise_atoms()
    return sae.eval().requires_grad_(False)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = json.loads(file.metadata()["steersearch"])
            return metadata, {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): it is damaged or no pretrained model") from error
