"""`Profile`: what a person likes and dislikes, learned from clicks, as a few named features to steer by."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Any, Protocol

import numpy as np

from ....arrays import FloatArray
from ....errors import ConfigError, DataError, UnknownFeatureError
from ....files import absolute
from ....forks import renew_after_fork
from ....text import described, one_line, shown
from ...bundle.bundle import Bundle
from ...bundle.feature import Feature
from ..change import check_strength
from ..concept_directions import SAMPLE, background, refine
from ..concepts import Concept
from .clicks import (
    DAY,
    LONGEST_TEXT,
    MAX_CLICKS,
    Click,
    ClickShares,
    Learned,
    Weights,
    packed,
    weights_of,
)
from .profile_file import check_half_life, locked, read_learned, stamp_of, write_learned

HALF_LIFE = 90.0
"""Days after which a click counts half. Interests last for months; no corpus here can measure it."""


class Collection(Protocol):
    """What a click is made in: a `SteerableIndex`, or an engine."""

    @property
    def bundle(self) -> Bundle:
        """The bundle of its embedder."""

    def vectors(self, ids: Sequence[str], /) -> Sequence[FloatArray | None]:
        """Return the unit vectors of documents; None for an unknown id."""

    def sample(self, limit: int, /) -> tuple[FloatArray | None, Any]:
        """Return vectors of an even sample of the documents, (n, d_in), and their codes; None without a sample."""


class Profile:
    """Likes and dislikes of one person, as at most 32 named features that `boost` takes.

    ``index.search(query, boost=profile)`` boosts it at strength 1, ``boost={profile: 0.5, "jazz": 1}`` beside others.
    Without clicks it boosts nothing: the search is the plain one, bit for bit. A click counts half after `half_life`
    days. A profile of old clicks is boosted at less than the strength that is given (`trust`).

    A click remembers what the documents nearest to the clicked one have in common, with the id, the time, and a
    checksum. So it outlives the document, and works in every index of the same model. Texts are not stored unless
    `keep_texts`. Directions and ids still say what somebody reads: keep the file as private as that.

    Opened from a path, every change is saved at once, and changes by other processes are seen. Threads may share one.

    Args:
        bundle: The model; by default that of the index of the first click.
        half_life: Days after which a click counts half.
        keep_texts: Keep the beginning of each clicked text, to show it in `why`.
        clock: Returns the time in seconds since 1970.

    Raises:
        ConfigError: The half-life is not a number above 0.
    """

    def __init__(
        self,
        bundle: Bundle | None = None,
        *,
        half_life: float = HALF_LIFE,
        keep_texts: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.half_life, self.keep_texts = check_half_life(half_life), keep_texts
        self.path: Path | None = None
        """The file that every change is saved to, if it was opened from one."""
        self._bundle, self._clock = bundle, clock
        self._learned = Learned()
        self._stamp: tuple[int, int, int] | None = None
        self._made: tuple[Learned, Weights] | None = None
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Replace the lock, which another thread may have held."""
        self._lock = RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle everything but the lock; a profile of a file goes on with the file."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._after_fork()
        renew_after_fork(self)

    @classmethod
    def open(
        cls,
        path: str | Path,
        bundle: str | Path | Bundle,
        *,
        half_life: float | None = None,
        keep_texts: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> Profile:
        """Open the profile of a file, which the first change makes, and save every change to it.

        Args:
            path: The file, JSON. A lock is taken in ``.NAME.lock`` beside it while it is written.
            bundle: The model that the profile was learned with.
            half_life: Days; by default that of the file, or `HALF_LIFE`.
            keep_texts: See `Profile`.
            clock: See `Profile`.

        Raises:
            ConfigError: The file is no profile, is of a newer version, or was learned with another model.
            BundleError: The bundle cannot be used.
        """
        opened = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
        profile = cls(opened, keep_texts=keep_texts, clock=clock)
        profile.path = absolute(path)
        found = profile._read(profile.path)
        profile.half_life = check_half_life(half_life) if half_life is not None else found or HALF_LIFE
        return profile

    def like(self, document: Any, index: Collection | None = None) -> Click:
        """Learn that a document is liked. A later click on the same document takes the place of an earlier one.

        Args:
            document: A hit of a search, a document of LangChain, the id of a document in `index`, or a text.
            index: The index or engine that holds it. It finds the documents nearest to it: with one, four clicks do as
                much as eight without.

        Raises:
            DataError: The id is unknown, or there is nothing to embed.
            ConfigError: It is no document, there is neither an index nor a bundle, or the index has another model.
            StorageError: The file of the profile cannot be written; the click is not kept then.
        """
        return self._click(document, index, liked=True)

    def dislike(self, document: Any, index: Collection | None = None) -> Click:
        """Learn that a document is disliked; see `like`. Beside likes it counts a fifth."""
        return self._click(document, index, liked=False)

    def undo(self) -> Click | None:
        """Take back the last click, and return it; None without one. What it had replaced counts again."""
        taken: list[Click] = []

        def without_last(learned: Learned) -> Learned:
            taken.extend(learned.clicks[-1:])
            return replace(learned, clicks=learned.clicks[:-1]) if taken else learned

        self._change(without_last)
        return taken[0] if taken else None

    def forget_all(self) -> None:
        """Forget every click and every edit. The file then holds an empty profile."""
        self._change(lambda learned: Learned())

    def set(self, feature: int | str | Feature, weight: float) -> None:
        """Give a feature a weight of one's own, whatever clicks say; the largest that clicks make is 1 or -1.

        Args:
            feature: A latent id, a label, or a feature.
            weight: In units of the latent's typical activation; 0 removes the feature.

        Raises:
            UnknownFeatureError: There is no such feature, or it never fires.
            ConfigError: The weight is no number, or the profile has no model yet.
        """
        found, number = self._feature(feature), check_strength(str(feature), weight)
        if found.p95 <= 0:
            raise UnknownFeatureError(f"{found.name} never fires on the bundle's reference corpus: choose another")
        model = _model_of(self._need_bundle())
        self._change(lambda learned: replace(learned, model=model, edits={**learned.edits, found.id: number}))

    def remove(self, feature: int | str | Feature) -> None:
        """Remove a feature, also from what further clicks make; the weights of the others stay. See `set`."""
        self.set(feature, 0.0)

    def reset(self, feature: int | str | Feature) -> None:
        """Leave a feature to the clicks again, after `set` or `remove`."""
        id = self._feature(feature).id
        self._change(
            lambda learned: replace(learned, edits={key: value for key, value in learned.edits.items() if key != id})
        )

    @property
    def clicks(self) -> list[Click]:
        """The last click on each document, oldest first."""
        return self._current().standing

    @property
    def weights(self) -> dict[int, float]:
        """Latent -> weight, at most 32, largest share of the direction first; negative is disliked."""
        return dict(self._make().weights)

    @property
    def trust(self) -> float:
        """The share of a boost's strength that the profile is given, 0 to 1.

        It is 1 as long as the likes, or the dislikes if there are no likes, are worth one fresh click together, and
        then fades to 0. A profile with features that were set by hand does not fade.
        """
        learned = self._current()
        if any(learned.edits.values()):
            return 1.0
        clicks, now = learned.standing, self._clock()
        liked = any(click.liked for click in clicks)
        ages = [max(now - click.time, 0.0) / DAY for click in clicks if click.liked is liked]
        fresh: float = sum(2.0 ** (-age / self.half_life) for age in ages)
        return min(fresh, 1.0)

    def why(self, feature: int | str | Feature) -> ClickShares:
        """Return the clicks that made a feature's weight, with their shares; they add up to it, before an edit."""
        found, made, clicks = self._feature(feature), self._make(), self._current().standing
        shares = made.shares.get(found.id, np.zeros(0))
        pairs = [(click, float(share)) for click, share in zip(clicks, shares, strict=False) if share]
        return ClickShares(sorted(pairs, key=lambda pair: -abs(pair[1])))

    def concept(self) -> Concept | None:
        """Return the features as a `Concept`, to explain, save or edit; None while there is nothing to boost."""
        made = self._make()
        if not made.weights:
            return None
        model = self._current().model
        return Concept("profile", "profile", dict(made.weights), fit=made.fit, model=model)

    def save(self, path: str | Path) -> None:
        """Write a copy as JSON, by rename, which `open` reads; a StorageError if it cannot be written."""
        where = absolute(path)
        with locked(where):
            write_learned(where, self._current(), self.half_life)

    def __repr__(self) -> str:
        liked = sum(click.liked for click in self._learned.standing)
        where = "" if self.path is None else shown(str(self.path), 90)
        return described("Profile", where, f"{liked} liked, {len(self._learned.standing) - liked} disliked")

    def __str__(self) -> str:
        learned, made = self._current(), self._make()
        likes = sum(click.liked for click in learned.standing)
        counts = f"{likes} liked, {len(learned.standing) - likes} disliked"
        removed = [str(self._feature(id)) for id, weight in learned.edits.items() if not weight]
        gone = [f"removed: {', '.join(removed)}"] if removed else []
        if not made.weights:
            return "\n".join([f"profile ({counts}): it boosts nothing", *gone])
        lines = [f"profile ({counts}), faded to {self.trust:.2f}:" if self.trust < 0.995 else f"profile ({counts}):"]
        for id, weight in made.weights.items():
            by = "set by hand" if id in learned.edits else _reasons(self.why(id), weight)
            lines.append(f"  {weight:+.2f}  {self._feature(id)}: {by}")
        return "\n".join(lines + gone)

    def _click(self, document: Any, index: Collection | None, *, liked: bool) -> Click:
        bundle = self._bundle if index is None else index.bundle
        if bundle is None:
            raise ConfigError("the profile has no model yet: give index=, which holds the document, or Profile(bundle)")
        model = _model_of(bundle)
        vector, id, text = _read_document(document, index, bundle)
        mean, sample = background(bundle, None if index is None else index.sample(SAMPLE)[0])
        difference = vector - mean
        if not float(np.linalg.norm(difference)) > 1e-4:
            raise DataError(f"the document {shown(id or text)} is the average of all documents: nothing to learn")
        click = Click(
            liked,
            float(self._clock()),
            hashlib.sha256(vector.astype("<f4").tobytes()).hexdigest()[:16],
            packed(refine(difference, sample)),
            id,
            one_line(text, LONGEST_TEXT) if self.keep_texts and text else None,
        )

        def with_click(learned: Learned) -> Learned:
            if learned.model not in (None, model):
                raise ConfigError(
                    "the profile was learned with another model than that of the index: use the index that it was "
                    "learned in, or start another profile"
                )
            return replace(learned, model=model, clicks=(*learned.clicks, click)[-MAX_CLICKS:])

        self._change(with_click)
        self._bundle = bundle
        return click

    def _need_bundle(self) -> Bundle:
        if self._bundle is None:
            raise ConfigError("the profile has no model yet: click a document first, or give Profile(bundle)")
        return self._bundle

    def _feature(self, key: int | str | Feature) -> Feature:
        return self._need_bundle().features.get(key.id if isinstance(key, Feature) else key)

    def _change(self, change: Callable[[Learned], Learned]) -> None:
        """Replace what was learned; in a file under its lock, on top of what other processes have saved meanwhile."""
        with self._lock:
            if self.path is None:
                self._learned = change(self._learned)
                return
            with locked(self.path):
                self._read(self.path)
                changed = change(self._learned)
                if changed is not self._learned:
                    write_learned(self.path, changed, self.half_life)
                    self._learned, self._stamp = changed, stamp_of(self.path)

    def _current(self) -> Learned:
        with self._lock:
            if self.path is not None and stamp_of(self.path) != self._stamp:
                self._read(self.path)
            return self._learned

    def _read(self, path: Path) -> float | None:
        bundle, stamp = self._need_bundle(), stamp_of(path)
        learned, half_life = read_learned(path, bundle.d_in, bundle.n_latents)
        if learned.model not in (None, _model_of(bundle)):
            raise ConfigError(
                f"{path} was learned with another model than {bundle.path} holds, and its features mean other things: "
                "open it with the bundle it was learned with, or name a new file"
            )
        self._learned, self._stamp = learned, stamp
        return half_life

    def _make(self) -> Weights:
        learned = self._current()
        made = self._made
        if made is None or made[0] is not learned:
            made = learned, weights_of(learned, self._bundle, self.half_life) if self._bundle else Weights({}, {}, 0.0)
            self._made = made
        return made[1]


def _model_of(bundle: Bundle) -> str:
    return str(bundle.manifest.files["decoder.onnx"]["sha256"])


def _read_document(
    document: Any, index: Collection | None, bundle: Bundle
) -> tuple[FloatArray, str | None, str | None]:
    """Return the vector of a document, shape (d_in,), with its id and text as far as they are known."""
    id: str | None
    text: str | None
    if isinstance(document, str):
        id, text = document, None if len(document.split()) < 2 else document
    else:
        id = getattr(document, "id", None)
        text = getattr(document, "text", getattr(document, "page_content", None))
        if not isinstance(id, str | None) or not isinstance(text, str):
            raise ConfigError(f"{shown(document)} is no document: give a hit of a search, an id, or a text")
    vector = index.vectors([id])[0] if index is not None and id else None
    if vector is not None:
        return vector, id, text
    if not text or not text.strip():
        where = "cannot be looked up without index=" if index is None else "is not the id of a document in the index"
        raise DataError(f"{shown(document)} {where}: give an id that it holds, or a text of several words")
    return bundle.embed_documents([text])[0], None if isinstance(document, str) else id, text


def _reasons(shares: ClickShares, weight: float, limit: int = 3) -> str:
    """Return the clicks that speak for a weight on one line."""
    clicks = [str(click) for click, share in shares if share * weight > 0]
    more = [f"and {len(clicks) - limit} more"] if len(clicks) > limit else []
    return "; ".join(clicks[:limit] + more)
