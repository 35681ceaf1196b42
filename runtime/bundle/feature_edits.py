"""What people change about features: names, families, notes, and what is hidden. Kept beside the bundle.

The file ``<bundle folder>.edits.json`` lies next to the folder, so that exporting or labelling again, which replaces
what is in the folder, keeps it. It belongs to the latents of one autoencoder, which it knows by their atoms; the
precision of the embedder does not matter. Labels do not matter either: an edit says "f412", whatever f412 was called.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from ...arrays import FloatArray
from ...errors import BundleError, ConfigError, FormatVersionError, StorageError
from ...files import replace_file
from .features import Feature, Features, latent_id

if TYPE_CHECKING:
    from .bundle import Bundle

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


PATIENCE = 10.0
"""Seconds to wait for another process that is saving."""


class Edits:
    """The edits of a bundle. Change them with the methods, then `save`.

    A feature is named by its latent (`412`, `"f412"`) or by its label. What two people save at once about different
    features is all kept.

    Args:
        bundle: Whose features are edited.
        edits: Latent -> what was changed.
    """

    def __init__(self, bundle: Bundle, edits: Mapping[int, Edit]) -> None:
        self._bundle = bundle
        self._edits = dict(edits)
        self._touched: set[int] = set()

    @classmethod
    def load(cls, bundle: Bundle) -> Edits:
        """The edits of a bundle; none when it has no file of them.

        Raises:
            BundleError: The file cannot be used, or belongs to another autoencoder.
            FormatVersionError: It was written by a newer steersearch.
        """
        return cls(bundle, read_edits(bundle))

    def __getitem__(self, key: int | str) -> Edit:
        """What was changed about a feature."""
        return self._edits.get(self._latent(key), Edit())

    def __len__(self) -> int:
        """How many features are edited."""
        return len(self._edits)

    def rename(self, key: int | str, label: str) -> None:
        """Give a feature another label.

        Raises:
            ConfigError: The label is empty, too long, looks like a latent, or is another feature's.
            UnknownFeatureError: No such feature.
        """
        latent, label = self._latent(key), clean_name("label", label)
        self._check_free(label, latent, self._edits)
        self._change([latent], label=label)

    def merge(self, keys: Iterable[int | str], family: str) -> None:
        """Put features into a family, a new one or one that is there.

        Raises:
            ConfigError: The name is empty, too long or looks like a latent, or the family would have one member only.
            UnknownFeatureError: No such feature.
        """
        latents, family = self._latents(keys), clean_name("family", family)
        there = {other for other, edit in self._edits.items() if edit.family == family}
        if len(there.union(latents)) < 2:
            raise ConfigError(f"the family {family!r} would have one member: name at least two features")
        self._change(latents, family=family)

    def hide(self, *keys: int | str) -> None:
        """Leave features out of lists, searches, reports and explanations; `f412` still works as a key."""
        self._change(self._latents(keys), hidden=True)

    def show(self, *keys: int | str) -> None:
        """Take `hide` back."""
        self._change(self._latents(keys), hidden=False)

    def note(self, key: int | str, note: str) -> None:
        """Write something down about a feature; an empty text removes the note."""
        self._change([self._latent(key)], note=note.strip().encode(errors="replace").decode())

    def clear(self, *keys: int | str) -> None:
        """Take every edit of features back."""
        for latent in self._latents(keys):
            self._edits.pop(latent, None)
            self._touched.add(latent)

    def apply(self, features: Features) -> Features:
        """The features with these edits. A label that a person gave to another feature is followed by the latent."""
        given = {edit.label.casefold() for edit in self._edits.values() if edit.label}
        edited = [_edited(feature, self._edits.get(feature.id, Edit()), given) for feature in features.unedited]
        return Features(edited, features.reference_mean, self._bundle, unedited=features.unedited)

    def save(self) -> None:
        """Write what was changed since `load`; `bundle.features` shows it from then on.

        Raises:
            ConfigError: Another process gave one of the new labels to another feature meanwhile.
            BundleError: The file was altered meanwhile and cannot be used.
            StorageError: The file cannot be written, or another process does not finish; it is as it was before.
        """
        path = edits_path(self._bundle)
        try:
            with FileLock(path.with_name(f".{path.name}.lock"), timeout=PATIENCE):
                edits = {f: edit for f, edit in read_edits(self._bundle).items() if f not in self._touched}
                mine = {f: edit for f, edit in self._edits.items() if f in self._touched}
                edits |= mine
                for latent, edit in mine.items():
                    if edit.label is not None:
                        self._check_free(edit.label, latent, edits)
                write_edits(self._bundle, edits)
        except Timeout:
            raise StorageError(f"{path} is being written by another process: try again") from None
        except OSError as error:
            reason = error.strerror or error
            raise StorageError(f"cannot write {path} ({reason}): edits need a folder that can be written") from error
        self._edits, self._touched = edits, set()
        vars(self._bundle).pop("features", None)  # read again when they are asked for

    def _change(self, latents: Iterable[int], **values: Any) -> None:
        for latent in latents:
            edit = replace(self._edits.get(latent, Edit()), **values)
            self._touched.add(latent)
            self._edits[latent] = edit
            if edit == Edit():
                del self._edits[latent]

    def _latents(self, keys: Iterable[int | str]) -> list[int]:
        latents = [self._latent(key) for key in keys]
        if not latents:
            raise ConfigError("no feature is named: give at least one, like f412")
        return latents

    def _latent(self, key: int | str) -> int:
        return int(self._bundle.features.get(key).id)

    def _check_free(self, label: str, latent: int, edits: Mapping[int, Edit]) -> None:
        for feature in self._bundle.features.unedited:
            has = edits.get(feature.id, Edit()).label or feature.label
            if feature.id != latent and has is not None and has.casefold() == label.casefold():
                name = feature.name
                raise ConfigError(f"the label {label!r} is {name}'s: choose another, or rename {name} first")


def _edited(feature: Feature, edit: Edit, given: set[str]) -> Feature:
    label, guess, score, unclear = feature.label, feature.guess, feature.score, feature.unclear
    if edit.label is not None:
        label, guess, score, unclear = edit.label, None, None, False  # the score is that of another label
    elif label is not None and label.casefold() in given:
        label = f"{label} ({feature.name})"
    if edit.hidden:
        label = guess = None
    return replace(
        feature,
        label=label,
        guess=guess,
        score=score,
        unclear=unclear,
        renamed=edit.label is not None,
        hidden=edit.hidden,
        note=edit.note,
        family=edit.family,
    )
