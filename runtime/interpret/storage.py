"""The files of an interpretation in the bundle's folder: two of its own, and labels with their scores in features.json.

The folder is replaced as a whole, so a bundle is either labelled or not. The files that searching needs do not change:
an index that was made with the bundle keeps working.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ...errors import BundleError, ConfigError
from ...files import sha256_of
from ..bundle.bundle import Bundle
from ..bundle.interpretation import Entry, Interpretation, Score, interpretation_bytes
from ..bundle.manifest import FEATURES, INTERPRETATION, MANIFEST, TOKEN_MODEL
from ..bundle.reading import MALFORMED, check_version, read_arrays
from ..bundle.write import staged_folder
from .neuron2graph import Calibration, Neuron2Graph, TokenModel
from .pipeline import InterpretationResult

FORMAT_VERSION = 1
"""Of the weights of words, tokens.npz."""
_CURE = "interpret the bundle again with: sae features label"


def save(bundle: Bundle, result: InterpretationResult) -> Bundle:
    """Write an interpretation into a bundle's folder, in place of an earlier one; return the bundle, opened again.

    Raises:
        ChecksumError: Another bundle is in the folder now, which is unchanged.
        StorageError: The disk is full or the folder cannot be replaced; it is unchanged then.
    """
    # Labelling takes minutes, and somebody may have exported another model to the folder meanwhile.
    with staged_folder(bundle.path, overwrite=True) as folder, bundle.files.unchanged(*bundle.manifest.files):
        files = {
            INTERPRETATION: interpretation_bytes(result.interpretation),
            TOKEN_MODEL: _token_model_bytes(result.token_model, result.calibration),
            FEATURES: features_bytes(
                bundle.path / FEATURES, result.interpretation.entries, result.interpretation.documents
            ),
        }
        for name in set(bundle.manifest.files) - set(files):
            _link_or_copy(bundle.path / name, folder / name)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        listed = bundle.manifest.files | {
            name: {"sha256": sha256_of(folder / name), "bytes": len(content)} for name, content in files.items()
        }
        (folder / MANIFEST).write_text(replace(bundle.manifest, files=listed).to_json(), encoding="utf-8")
        # One that cannot be opened must not take the place of one that can.
        read_graph(Bundle.load(folder))
    return Bundle.load(bundle.path, verify=False)


def read_interpretation(bundle: Bundle) -> Interpretation | None:
    """Return the interpretation of a bundle; None when it was never interpreted.

    Raises:
        BundleError: It cannot be read, or does not fit the bundle.
        FormatVersionError: It was written by a newer steersearch.
    """
    return bundle.interpretation


def read_graph(bundle: Bundle) -> Neuron2Graph:
    """Read the Neuron-to-Graph model of a bundle.

    Raises:
        ConfigError: The bundle was never interpreted.
        BundleError: It cannot be read, or does not fit the bundle.
    """
    interpretation = bundle.interpretation
    if interpretation is None:
        raise ConfigError(f"{bundle.path} was never interpreted: sae features label --bundle {bundle.path} --data DOCS")
    if TOKEN_MODEL not in bundle.manifest.files:
        raise ConfigError(
            f"{bundle.path} has labels that came with its model, and no weights of words: sae features label "
            f"--bundle {bundle.path} --data DOCS"
        )
    path = bundle.path / TOKEN_MODEL
    width, latents = bundle.d_in, (bundle.n_latents,)
    kinds: dict[str, tuple[str, tuple[int | None, ...]]] = {
        **{"format_version": ("i", ()), "tokens": ("i", (None,)), "idf": ("f", (None,)), "scale": ("f", (None,))},
        **{"table": ("i", (None, width)), "slope": ("f", latents), "offset": ("f", latents)},
    }
    try:
        with bundle.files.unchanged(TOKEN_MODEL):
            arrays = read_arrays(path, kinds)
        check_version(path, int(arrays["format_version"]), FORMAT_VERSION)
        if not all(np.isfinite(arrays[name]).all() for name in ("idf", "scale", "slope", "offset")):
            raise ValueError("it holds NaN or infinite numbers")
        table = arrays["table"].astype(np.float32) * arrays["scale"][:, None]
        model = TokenModel(arrays["tokens"].astype(np.int64), arrays["idf"], table)
        calibration = Calibration(arrays["slope"], arrays["offset"])
    except MALFORMED as error:
        raise BundleError(f"{path} cannot be read ({type(error).__name__}: {error}): {_CURE}") from error
    if not len(table) == len(model.tokens) == len(model.idf):
        raise BundleError(f"{path} does not fit the bundle: {_CURE}")
    patterns = {entry.latent: entry.patterns for entry in interpretation.entries if entry.patterns}
    return Neuron2Graph(bundle, model, calibration, patterns)


def _token_model_bytes(model: TokenModel, calibration: Calibration) -> bytes:
    """Return an .npz file with the table in 8 bits: the error is .3 % of a row's length and changes no score."""
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


def features_bytes(path: Path, entries: Sequence[Entry], documents: int, *, keep_words: bool = False) -> bytes:
    """Return features.json with the labels of `entries` and how many of the `documents` they fire on.

    The other statistics remain those of the reference corpus, since a strength is in units of them.

    With `keep_words`, a feature whose entry is unclear keeps the words that training gave it, which have no score. They
    say more than "unclear" where labels were made on other texts than the user's.
    """
    raw = json.loads(path.read_text(encoding="utf-8"))
    taken = {str(entry.label).casefold() for entry in entries if not entry.unclear}
    for feature, entry in zip(raw["latents"], entries, strict=True):
        if keep_words and entry.unclear and feature["label"] and feature["label"].casefold() not in taken:
            continue
        feature |= {
            "label": None if entry.unclear else entry.label,
            "guess": entry.label if entry.unclear else None,
            "unclear": entry.unclear and entry.active > 0,
            "score": _auc(entry.score),
            "support": None if entry.score is None else entry.score.positives,
            "fires": entry.fires,
            "share": round(entry.active / max(documents, 1), 6),
            "pattern_score": _auc(entry.pattern_score),
            "steers": None if entry.steers is None else round(entry.steers.score, 4),
            "inert": entry.steers is not None and not entry.steers.holds,
            "description": entry.description,
        }
    return (json.dumps(raw, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8", "replace")


def _auc(score: Score | None) -> float | None:
    return None if score is None else round(score.auc, 4)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
