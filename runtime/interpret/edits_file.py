"""The file of edits: where it is, what is in it, whether it belongs to the bundle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._files import replace_file
from ...errors import BundleError, ConfigError, FormatVersionError
from ...metrics import FloatArray
from ..features import latent_id

if TYPE_CHECKING:
    from ..bundle import Bundle

FORMAT_VERSION = 1
LONGEST = 80
"""Characters of a label or of a family's name."""


@dataclass(frozen=True)
class Edit:
    """What a person changed about one feature; a default changes nothing."""

    label: str | None = None
    """Its new label."""
    hidden: bool = False
    """Whether it is left out of lists, searches, reports and explanations."""
    note: str = ""
    """A remark, for people."""
    family: str | None = None
    """The name of the family it was put into."""


def edits_path(bundle: Bundle) -> Path:
    """Where the edits of a bundle are, whether there are any or not: beside the folder that a link leads to."""
    folder = Path(os.path.realpath(bundle.path))
    return folder.with_name(f"{folder.name}.edits.json")


def read_edits(bundle: Bundle) -> dict[int, Edit]:
    """Latent -> edit; empty when there is no file. Atoms are only computed when there is one.

    Raises:
        BundleError: The file cannot be used, or belongs to another autoencoder.
        FormatVersionError: It was written by a newer steersearch.
    """
    path = edits_path(bundle)
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version, digest, n_latents = raw["format_version"], raw["atoms_sha256"], raw["n_latents"]
        if type(version) is not int or version < 1:
            raise ValueError(f"format_version is {version!r}")
        if version > FORMAT_VERSION:
            raise FormatVersionError(
                f"{path} has format_version {version}, this steersearch reads up to {FORMAT_VERSION}: "
                "pip install -U steersearch"
            )
        mine = atoms_digest(bundle.atoms)
        if digest != mine:
            raise BundleError(
                f"{path} edits the features of another autoencoder ({n_latents} latents, atoms {str(digest)[:12]}) "
                f"than {bundle.path} holds ({bundle.n_latents} latents, atoms {mine[:12]}): move the file away, or put "
                "it beside the bundle it was made for"
            )
        edits = {int(latent): _edit(values) for latent, values in raw["features"].items()}
        _check(edits, bundle.n_latents)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise BundleError(f"{path} cannot be read ({reason}): mend it or move it away") from error
    return edits


def write_edits(bundle: Bundle, edits: Mapping[int, Edit]) -> None:
    """Write the file by rename, so that a kill leaves the old one or the new one; without edits there is no file.

    Raises:
        OSError: It cannot be written; what was there is unchanged.
    """
    path = edits_path(bundle)
    if not edits:
        path.unlink(missing_ok=True)
        return
    body = {
        "format_version": FORMAT_VERSION,
        "n_latents": bundle.n_latents,
        "atoms_sha256": atoms_digest(bundle.atoms),
        "features": {
            str(latent): {name: value for name, value in asdict(edits[latent]).items() if value}
            for latent in sorted(edits)
        },
    }
    replace_file(path, (json.dumps(body, ensure_ascii=False, indent=1) + "\n").encode())


def atoms_digest(atoms: FloatArray) -> str:
    """What edits are tied to: sha256 over the shape and the numbers of the atoms, hexadecimal."""
    rows = np.ascontiguousarray(atoms, "<f4")
    return hashlib.sha256(f"{rows.shape}".encode() + rows.tobytes()).hexdigest()


def clean_name(what: str, text: str) -> str:
    """A label or a family's name on one line.

    Raises:
        ConfigError: It is empty, too long, no text that a file can hold, or looks like a latent.
    """
    name = " ".join(text.split()) if isinstance(text, str) else ""
    if not name or not name.isprintable():
        raise ConfigError(f"the {what} is {text!r}: give a few words")
    if len(name) > LONGEST:
        raise ConfigError(f"the {what} {name[:20] + '…'!r} has {len(name)} characters, at most {LONGEST}: shorten it")
    if latent_id(name) is not None:
        raise ConfigError(f"the {what} {name!r} looks like a latent: give words")
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
