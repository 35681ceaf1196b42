"""What people change about features: names, families, notes, and what is hidden. Kept beside the bundle.

The file ``<bundle folder>.edits.json`` lies next to the folder, so that exporting or labelling again, which replaces
what is in the folder, keeps it. It belongs to the latents of one autoencoder, which it knows by their atoms; the
precision of the embedder does not matter. Labels do not matter either: an edit says "f412", whatever f412 was called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from ...errors import ConfigError, StorageError
from ..features import Feature, Features
from .edits_file import Edit, clean_name, edits_path, read_edits, write_edits

if TYPE_CHECKING:
    from ..bundle import Bundle

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
