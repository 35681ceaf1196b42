"""The users' edits of features: labels, families, notes, and which are hidden.

The file ``<bundle folder>.edits.json`` is next to the folder, so that another export or labelling, which replaces the
folder, keeps it. It belongs to one autoencoder, identified by a digest of its atoms; the precision of the embedder does
not matter. An edit names a latent, f412, and does not depend on its automatic label.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import FloatArray
from ...errors import BundleError, ConfigError
from ...files import replace_file
from .autoencoder import Autoencoder
from .feature import Feature, latent_id
from .features import Features
from .reading import MALFORMED, check_version, read_json

FORMAT_VERSION = 1
MAX_BYTES = 2**26
"""Of the file."""
LONGEST = 80
"""Characters of a label or of a family's name."""


@dataclass(frozen=True)
class Edit:
    """The edit of one feature; default values change nothing."""

    label: str | None = None
    """Its new label."""
    hidden: bool = False
    """Whether it is left out of lists, searches, reports and explanations."""
    note: str = ""
    """A remark."""
    family: str | None = None
    """Name of its family."""


def edits_path(bundle: Path) -> Path:
    """Return the path of a bundle's edits, next to its folder. A symbolic link is followed first."""
    folder = Path(os.path.realpath(bundle))
    return folder.with_name(f"{folder.name}.edits.json")


def read_edits(bundle: Path, autoencoder: Autoencoder) -> dict[int, Edit]:
    """Return the edits in a bundle's folder, latent -> edit. Atoms are computed only when there is a file of them.

    Raises:
        BundleError: The file cannot be used, or belongs to another autoencoder.
        FormatVersionError: It was written by a newer steersearch.
    """
    path = edits_path(bundle)
    try:
        raw = read_json(path, MAX_BYTES)
        version, digest, n_latents = raw["format_version"], raw["atoms_sha256"], raw["n_latents"]
        check_version(path, version, FORMAT_VERSION)
        expected = atoms_digest(autoencoder.atoms)
        if digest != expected:
            raise BundleError(
                f"{path} edits the features of another autoencoder ({n_latents} latents, atoms {str(digest)[:12]}) "
                f"than {bundle} holds ({autoencoder.n_latents} latents, atoms {expected[:12]}): move the file away, or "
                "put it beside the bundle it was made for"
            )
        edits = {int(latent): _edit(values) for latent, values in raw["features"].items()}
        _check(edits, autoencoder.n_latents)
    except FileNotFoundError:
        return {}
    except MALFORMED as error:
        reason = f"{type(error).__name__}: {error}"
        raise BundleError(f"{path} cannot be read ({reason}): mend it or move it away") from error
    return edits


def write_edits(bundle: Path, autoencoder: Autoencoder, edits: Mapping[int, Edit]) -> None:
    """Write the file by rename, so that a kill leaves the old one or the new one. Without edits there is no file.

    Raises:
        OSError: It cannot be written; an existing file is unchanged.
    """
    path = edits_path(bundle)
    if not edits:
        path.unlink(missing_ok=True)
        return
    body = {
        "format_version": FORMAT_VERSION,
        "n_latents": autoencoder.n_latents,
        "atoms_sha256": atoms_digest(autoencoder.atoms),
        "features": {
            str(latent): {name: value for name, value in asdict(edits[latent]).items() if value}
            for latent in sorted(edits)
        },
    }
    replace_file(path, (json.dumps(body, ensure_ascii=False, indent=1) + "\n").encode())


def with_edits(features: Features, edits: Mapping[int, Edit]) -> Features:
    """Return the features with edits. An automatic label that a user gave to another feature gets its latent id."""
    given = {edit.label.casefold() for edit in edits.values() if edit.label}
    return features.with_edited([_edited(f, edits.get(f.id, Edit()), given) for f in features.unedited])


def atoms_digest(atoms: FloatArray) -> str:
    """Return the digest that edits are tied to: hexadecimal sha256 over the shape and the numbers of the atoms."""
    rows = np.ascontiguousarray(atoms, "<f4")
    return hashlib.sha256(f"{rows.shape}".encode() + rows.tobytes()).hexdigest()


def clean_name(kind: str, text: str) -> str:
    """Return a label or a family's name on one line.

    Raises:
        ConfigError: It is empty, too long, not printable, or looks like a latent.
    """
    name = " ".join(text.split()) if isinstance(text, str) else ""
    if not name or not name.isprintable():
        raise ConfigError(f"the {kind} is {text!r}: give a few words")
    if len(name) > LONGEST:
        raise ConfigError(f"the {kind} {name[:20] + '…'!r} has {len(name)} characters, at most {LONGEST}: shorten it")
    if latent_id(name) is not None:
        raise ConfigError(f"the {kind} {name!r} looks like a latent: give words")
    return name


def _edit(values: dict[str, Any]) -> Edit:
    edit = Edit(**values)
    for name, value in (("label", edit.label), ("family", edit.family)):
        if value is not None and clean_name(name, value) != value:
            raise ValueError(f"{name} is {value!r}")
    if not isinstance(edit.note, str) or type(edit.hidden) is not bool:
        raise TypeError(f"note is {edit.note!r} and hidden is {edit.hidden!r}")
    return edit


def _check(edits: Mapping[int, Edit], n_latents: int) -> None:
    if edits and not (0 <= min(edits) and max(edits) < n_latents):
        raise ValueError(f"latents reach from {min(edits)} to {max(edits)}, this bundle has 0 to {n_latents - 1}")
    seen: dict[str, int] = {}
    for latent, edit in edits.items():
        if edit.label and (other := seen.setdefault(edit.label.casefold(), latent)) != latent:
            raise ValueError(f"f{other} and f{latent} are both called {edit.label!r}")


def _edited(feature: Feature, edit: Edit, given: set[str]) -> Feature:
    label, guess, unclear = feature.label, feature.guess, feature.unclear
    score, steers, inert = feature.score, feature.steers, feature.inert
    if edit.label is not None:
        # The scores are those of the automatic label.
        label, guess, score, steers, inert, unclear = edit.label, None, None, None, False, False
    elif label is not None and label.casefold() in given:
        label = f"{label} ({feature.name})"
    if edit.hidden:
        label = guess = None
    return replace(
        feature,
        label=label,
        guess=guess,
        score=score,
        steers=steers,
        inert=inert,
        unclear=unclear,
        renamed=edit.label is not None,
        hidden=edit.hidden,
        note=edit.note,
        family=edit.family,
    )
