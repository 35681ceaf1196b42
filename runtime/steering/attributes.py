"""Attributes: what a retriever should not reward, learned from pairs of documents that differ in nothing else.

Taking a direction out of every query and document does not stop a retriever from preferring one kind of text: of two
versions of an article the plainer one is often nearer to what both are about, whatever the query has of plainness.
What stops it is a price. With ``u`` the direction from one kind to the other, the score becomes
``(q - (q u) u) . (d - (d u) u) - reward * (u . d)``: neither side has the attribute, and what the retriever gives for
it nevertheless, measured by queries that lean to neither kind, is subtracted. All of it is linear in the document, so
it is a change of the query alone, and every backend and engine can search with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import FloatArray, WideArray, unit_rows
from ...errors import ConfigError, DataError, StorageError
from ...files import absolute, replace_file
from ...text import described, one_line, shown

FORMAT = 1
MAX_BYTES = 4_000_000
"""Of a file: one of 100,000 numbers takes 2 MB."""
MOST = 2.0
"""Largest reward, of scores from -1 to 1."""


@dataclass(frozen=True, repr=False)
class Attribute:
    """A direction between two kinds of documents, with what a retriever gives for it.

    Made by `learn` or ``sae audit --out``, and used by ``search(remove=[attribute])``.
    """

    name: str
    """In words, such as `reading level: low`."""
    direction: tuple[float, ...] = field(repr=False)
    """From one kind to the other, unit length, d_in numbers."""
    reward: float = 0.0
    """What the score gains with each unit along the direction that the topic does not explain; may be negative."""
    pairs: int = 0
    """Pairs of documents that it was learned from."""

    def __post_init__(self) -> None:
        vector = np.asarray(self.direction, np.float64)
        if not isinstance(self.name, str) or not self.name.strip():
            raise ConfigError(f"an attribute needs a name, got {shown(self.name)}")
        if vector.ndim != 1 or not np.isfinite(vector).all() or abs(float(np.linalg.norm(vector)) - 1) > 1e-3:
            raise ConfigError(f"the direction of the attribute {shown(self.name)} is no unit vector")
        if not abs(self.reward) <= MOST:  # also for NaN
            raise ConfigError(f"the reward of the attribute {shown(self.name)} is {self.reward}: expected -2 to 2")

    def __repr__(self) -> str:
        return described("Attribute", shown(self.name, 60), f"reward {self.reward:+.3f}", f"{self.pairs} pairs")

    @classmethod
    def learn(cls, name: str, high: FloatArray, low: FloatArray, queries: FloatArray) -> Attribute:
        """Learn an attribute from pairs of documents about the same, of which one has it and one has not.

        Args:
            name: In words.
            high: Vectors of those that have it, unit rows, shape (n, d_in).
            low: Of those that have it not, row by row the other of each pair.
            queries: Unit rows, shape (n, d_in): what both of a pair are about, leaning to neither.

        Raises:
            DataError: The shapes differ, there are fewer than two pairs, or both kinds have the same mean.
        """
        if not high.shape == low.shape == queries.shape or high.ndim != 2 or len(high) < 2:
            raise DataError(
                f"pairs have shapes {high.shape}, {low.shape}, {queries.shape}: expected three of (n, d_in), n >= 2"
            )
        difference = high.astype(np.float64) - low  # (n, d_in)
        mean = difference.mean(0)
        length = float(np.linalg.norm(mean))
        if length < 1e-6:
            raise DataError(f"the documents with and without {shown(name)} have the same mean: nothing to learn")
        unit = mean / length
        # Each pair is measured along the direction of the others: along one that it made itself, it lies too far.
        units = unit_rows(difference.sum(0) - difference)  # (n, d_in)
        along = np.einsum("ij,ij->i", difference, units)  # (n,)
        asked = queries.astype(np.float64)
        gained = np.einsum("ij,ij->i", asked, difference) - np.einsum("ij,ij->i", asked, units) * along
        # At the median of the ratios, as many pairs are won by one kind as by the other, and no odd pair decides.
        usual = along > 1e-6
        reward = float(np.median(gained[usual] / along[usual])) if usual.any() else 0.0
        return cls(name, tuple(unit.tolist()), float(np.clip(reward, -MOST, MOST)), len(high))

    def vector(self, d_in: int) -> WideArray:
        """Return the direction, shape (d_in,); ConfigError if the attribute was learned with another embedder."""
        if len(self.direction) != d_in:
            raise ConfigError(
                f"the attribute {shown(self.name)} has {len(self.direction)} numbers and the bundle's vectors {d_in}: "
                "learn it with this bundle, by `sae audit --out`"
            )
        return np.asarray(self.direction, np.float64)

    def to_json(self) -> str:
        """Return the JSON that `from_json` reads."""
        body = {"format": FORMAT, "attribute": self.name, "reward": self.reward, "pairs": self.pairs}
        return json.dumps(body | {"direction": [round(number, 7) for number in self.direction]}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Attribute:
        """Read the output of `to_json`; a ConfigError if it is something else."""
        try:
            raw: dict[str, Any] = json.loads(text)
            if raw["format"] != FORMAT:
                raise ValueError(f"format is {shown(raw['format'])}, and this version reads {FORMAT}")
            numbers = [float(number) for number in raw["direction"]]
            return cls(str(raw["attribute"]), tuple(numbers), float(raw["reward"]), int(raw["pairs"]))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ConfigError(
                f"this is not a saved attribute ({type(error).__name__}: {one_line(str(error), 200)}): write one with "
                "`sae audit --out`"
            ) from error

    def save(self, path: str | Path) -> None:
        """Write the attribute as JSON, by rename; a StorageError if the file cannot be written."""
        path = absolute(path)
        try:
            replace_file(path, self.to_json().encode(errors="backslashreplace"))
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error}") from error

    @staticmethod
    def is_file(path: Path) -> bool:
        """Return whether a file begins as a saved attribute does."""
        try:
            with path.open(encoding="utf-8") as file:
                return '"attribute"' in file.read(100)
        except (OSError, ValueError):
            return False

    @classmethod
    def load(cls, path: str | Path) -> Attribute:
        """Read an attribute from a file; a ConfigError if it is missing or something else."""
        path = absolute(path)
        try:
            if not path.is_file() or path.stat().st_size > MAX_BYTES:
                raise OSError(f"no file of at most {MAX_BYTES:,} bytes")
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read an attribute from {path}: {error}") from error
        return cls.from_json(text)


@dataclass(frozen=True)
class Removed:
    """What was taken from a query for one key of `remove`."""

    name: str
    """Of the attribute or concept."""
    step: WideArray = field(repr=False, compare=False)
    """Subtracted from the query before it is brought to unit length, shape (d_in,)."""


def removed_from(query: WideArray, directions: Sequence[tuple[str, WideArray, float]]) -> tuple[Removed, ...]:
    """Return what `remove` takes from a query.

    Args:
        query: Shape (d_in,), as boosts and clamps have moved it.
        directions: Name, direction of any length, shape (d_in,), and reward along the unit direction.

    Returns:
        For each the part of the query along what the directions before it leave of it, and its price. The sum is the
        projection on the span of all, which does not depend on their order.
    """
    basis = np.zeros((0, len(query)))
    found = []
    for name, direction, reward in directions:
        unit = direction / max(float(np.linalg.norm(direction)), 1e-12)
        rest = unit - basis.T @ (basis @ unit)
        length = float(np.linalg.norm(rest))
        step = reward * unit
        # One that the others express is taken out already.
        if length > 1e-3:
            axis = rest / length
            step = step + (query @ axis) * axis
            basis = np.vstack([basis, axis])
        found.append(Removed(name, step))
    return tuple(found)
