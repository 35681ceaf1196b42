"""The editor of a bundle's features: rename, merge, hide, note, save."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...errors import ConfigError, StorageError
from .bundle import Bundle
from .feature_edits import Edit, clean_name, edits_path, read_edits, write_edits
from .folder_lock import hold

PATIENCE = 10.0
"""Seconds to wait for another process that is saving."""


class FeatureEditor:
    """An editor of the features of a bundle. Changes take effect with `save`.

    A key is a latent (`412`, `"f412"`) or a label. When two processes save edits of different features, both are kept.
    """

    def __init__(self, bundle: Bundle, edits: Mapping[int, Edit]) -> None:
        self._bundle, self._edits = bundle, dict(edits)
        self._changed: set[int] = set()

    @classmethod
    def load(cls, bundle: Bundle) -> FeatureEditor:
        """Read the edits of a bundle, none when it has no file of them.

        Raises:
            BundleError: The file cannot be used, or belongs to another autoencoder.
            FormatVersionError: It was written by a newer steersearch.
        """
        return cls(bundle, read_edits(bundle.path, bundle.autoencoder))

    def __getitem__(self, key: int | str) -> Edit:
        return self._edits.get(self._latent(key), Edit())

    def __len__(self) -> int:
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
        """Put features into a family, a new one or an existing one.

        Raises:
            ConfigError: The name is empty, too long or looks like a latent, or the family would have one member only.
            UnknownFeatureError: No such feature.
        """
        latents, family = self._latents(keys), clean_name("family", family)
        members = {other for other, edit in self._edits.items() if edit.family == family}
        if len(members.union(latents)) < 2:
            raise ConfigError(f"the family {family!r} would have one member: name at least two features")
        self._change(latents, family=family)

    def hide(self, *keys: int | str) -> None:
        """Leave features out of lists, searches, reports and explanations; `f412` still works as a key."""
        self._change(self._latents(keys), hidden=True)

    def show(self, *keys: int | str) -> None:
        """Undo `hide`."""
        self._change(self._latents(keys), hidden=False)

    def note(self, key: int | str, note: str) -> None:
        """Give a feature a note; an empty text removes it."""
        self._change([self._latent(key)], note=note.strip().encode(errors="replace").decode())

    def clear(self, *keys: int | str) -> None:
        """Undo all edits of features."""
        for latent in self._latents(keys):
            self._edits.pop(latent, None)
            self._changed.add(latent)

    def save(self) -> None:
        """Write the changes since `load`; `bundle.features` shows them afterwards.

        Raises:
            ConfigError: Another process has given one of the new labels to another feature.
            BundleError: The file has been altered and cannot be used.
            StorageError: The file cannot be written, or another process keeps it locked; it is unchanged then.
        """
        folder, autoencoder = self._bundle.path, self._bundle.autoencoder
        path = edits_path(folder)
        try:
            with hold(folder, PATIENCE) as held:
                if not held:
                    raise StorageError(f"{path} is being written by another process: try again")
                edits = {f: e for f, e in read_edits(folder, autoencoder).items() if f not in self._changed}
                changed = {f: edit for f, edit in self._edits.items() if f in self._changed}
                edits |= changed
                for latent, edit in changed.items():
                    if edit.label is not None:
                        self._check_free(edit.label, latent, edits)
                write_edits(folder, autoencoder, edits)
        except StorageError:
            raise
        except OSError as error:
            reason = error.strerror or error
            raise StorageError(f"cannot write {path} ({reason}): edits need a folder that can be written") from error
        self._edits, self._changed = edits, set()
        # The property reads them again on its next use.
        vars(self._bundle).pop("features", None)

    def _change(self, latents: Iterable[int], **values: Any) -> None:
        for latent in latents:
            self._changed.add(latent)
            self._edits[latent] = replace(self._edits.get(latent, Edit()), **values)
            if self._edits[latent] == Edit():
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
