"""An interpretation in the bundle's folder: two files more, and labels with their scores in features.json.

The folder is replaced as a whole, so a bundle is labelled or it is not. What searching needs stays as it was: an index
made with the bundle goes on working.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BundleError, ConfigError, FormatVersionError
from ...files import sha256_of
from ..bundle.bundle import Bundle
from ..bundle.interpretation import Entry, Interpretation, entry_from_json, entry_to_json
from ..bundle.manifest import DECODER, FEATURES, INTERPRETATION, MANIFEST, OPTIONAL_FILES, TOKEN_MODEL
from ..bundle.write import staged_folder
from .neuron2graph import Calibration, Neuron2Graph, TokenModel
from .pipeline import Interpreted

FORMAT_VERSION = 1
_CURE = "interpret the bundle again with: sae features label"


def save(bundle: Bundle, found: Interpreted) -> Bundle:
    """Put an interpretation into a bundle's folder, in place of an earlier one.

    Returns:
        The bundle, opened anew.

    Raises:
        StorageError: The disk is full or the folder cannot be replaced; it is as it was before.
    """
    files = {
        INTERPRETATION: _interpretation_bytes(found.interpretation),
        TOKEN_MODEL: _token_bytes(found.token_model, found.calibration),
        FEATURES: _labelled(bundle.path / FEATURES, found.interpretation.entries),
    }
    with staged_folder(bundle.path, overwrite=True) as folder:
        for name in set(bundle.manifest.files) - set(files):
            _link(bundle.path / name, folder / name)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        listed = bundle.manifest.files | {
            name: {"sha256": sha256_of(folder / name), "bytes": len(content)} for name, content in files.items()
        }
        (folder / MANIFEST).write_text(replace(bundle.manifest, files=listed).to_json(), encoding="utf-8")
    return Bundle.load(bundle.path)


def carry_over(old: Path, new: Path) -> bool:
    """Take the interpretation of a bundle into the folder of another export of the same autoencoder.

    Args:
        old: The bundle that is replaced, or nothing.
        new: A folder that has everything but its manifest.

    Returns:
        Whether there was one. The decoder has to be the same: it holds the atoms.
    """
    if not all((old / name).is_file() for name in OPTIONAL_FILES):
        return False
    if sha256_of(old / DECODER) != sha256_of(new / DECODER):
        return False
    for name in (*OPTIONAL_FILES, FEATURES):
        shutil.copyfile(old / name, new / name)
    return True


def read_interpretation(bundle: Bundle) -> Interpretation | None:
    """What is known about the latents of a bundle; None when it was never interpreted.

    Raises:
        BundleError: It cannot be read, or does not fit the bundle.
        FormatVersionError: It was written by a newer steersearch.
    """
    if INTERPRETATION not in bundle.manifest.files:
        return None
    path = bundle.path / INTERPRETATION
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            head = json.loads(next(lines))
            _check_version(path, head.pop("format_version"))
            entries = tuple(entry_from_json(json.loads(line)) for line in lines)
        for name in ("covered", "families", "positions"):
            head[name] = tuple(tuple(each) if isinstance(each, list) else each for each in head[name])
        found = Interpretation(**head, entries=entries)
    except (OSError, EOFError, StopIteration, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path} cannot be read ({type(error).__name__}: {error}): {_CURE}") from error
    if [entry.latent for entry in entries] != list(range(bundle.n_latents)):
        raise BundleError(f"{path} describes {len(entries)} latents, the bundle has {bundle.n_latents}: {_CURE}")
    return found


def read_graph(bundle: Bundle) -> Neuron2Graph:
    """Neuron-to-Graph of a bundle.

    Raises:
        ConfigError: The bundle was never interpreted.
        BundleError: It cannot be read, or does not fit the bundle.
    """
    found = bundle.interpretation
    if found is None:
        raise ConfigError(f"{bundle.path} was never interpreted: sae features label --bundle {bundle.path} --data DOCS")
    path = bundle.path / TOKEN_MODEL
    try:
        with np.load(path, allow_pickle=False) as arrays:
            _check_version(path, int(arrays["format_version"]))
            table = arrays["table"].astype(np.float32) * arrays["scale"][:, None]
            model = TokenModel(arrays["tokens"].astype(np.int64), arrays["idf"], table)
            calibration = Calibration(arrays["slope"], arrays["offset"])
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} cannot be read ({type(error).__name__}: {error}): {_CURE}") from error
    if table.shape != (len(model.tokens), bundle.d_in) or calibration.slope.shape != (bundle.n_latents,):
        raise BundleError(f"{path} does not fit the bundle: {_CURE}")
    return Neuron2Graph(bundle, model, calibration, {e.latent: e.patterns for e in found.entries if e.patterns})


def _interpretation_bytes(found: Interpretation) -> bytes:
    """One line for what concerns all latents, then one line per latent; compressed, without a date."""
    head = {name: value for name, value in vars(found).items() if name != "entries"}
    lines: Iterable[Any] = ({"format_version": FORMAT_VERSION} | head, *map(entry_to_json, found.entries))
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    return gzip.compress(text.encode("utf-8", "replace"), mtime=0)


def _token_bytes(model: TokenModel, calibration: Calibration) -> bytes:
    """Rows of the table as 8-bit integers: a third of a percent of their length, which no score can tell."""
    scale = np.maximum(np.abs(model.table).max(1), 1e-12).astype(np.float32) / 127
    file = io.BytesIO()
    np.savez(
        file,
        format_version=np.int64(FORMAT_VERSION),
        tokens=model.tokens.astype(np.int32),
        idf=model.idf,
        table=np.round(model.table / scale[:, None]).astype(np.int8),
        scale=scale,
        **asdict(calibration),
    )
    return file.getvalue()


def _labelled(path: Path, entries: Iterable[Entry]) -> bytes:
    """features.json with these labels; statistics, keywords and examples stay those of the reference corpus."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    for feature, entry in zip(raw["latents"], entries, strict=True):
        feature |= {
            "label": None if entry.unclear else entry.label,
            "guess": entry.label if entry.unclear else None,
            "unclear": entry.unclear and entry.active > 0,
            "score": _auc(entry.score),
            "pattern_score": _auc(entry.pattern_score),
        }
    return (json.dumps(raw, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8", "replace")


def _auc(score: Any) -> float | None:
    return None if score is None else round(score.auc, 4)


def _link(source: Path, target: Path) -> None:
    """The same file in another folder, without a copy where the disk can do that."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _check_version(path: Path, version: int) -> None:
    if version > FORMAT_VERSION:
        raise FormatVersionError(
            f"{path} has format_version {version}, this steersearch reads up to {FORMAT_VERSION}: "
            "pip install -U steersearch"
        )
