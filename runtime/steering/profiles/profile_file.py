"""The file of a profile: JSON, replaced as a whole, under a lock that processes share."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from ....errors import ConfigError, StorageError
from ....files import check_format, read_small, replace_file
from ....text import one_line, shown
from ...bundle.feature import latent_id
from ...bundle.reading import MALFORMED
from ..change import MAX_STRENGTH
from .clicks import Click, Learned

FORMAT_VERSION = 1
MAX_BYTES = 2**26
"""Of the file."""
WAIT = 10.0
"""Seconds to wait for another process that writes the file."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the right to change a profile's file, in ``.NAME.lock`` beside it; the system releases it at a kill.

    Raises:
        StorageError: The folder cannot be written, or another process holds it for too long.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=WAIT)
    try:
        lock.acquire()
    except Timeout as error:
        raise StorageError(
            f"another process has been writing {path} for {WAIT:g} seconds: wait until it is done, or stop it"
        ) from error
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}; choose another place") from error
    try:
        yield
    finally:
        lock.release()


def write_learned(path: Path, learned: Learned, half_life: float) -> None:
    """Write a profile by rename: after a kill it is the old one or the new one, whole; a StorageError if it cannot."""
    body = {
        "format_version": FORMAT_VERSION,
        "half_life_days": half_life,
        "model": learned.model,
        "edits": {f"f{latent}": weight for latent, weight in learned.edits.items()},
        "clicks": [_as_json(click) for click in learned.clicks],
    }
    try:
        # Half of a character pair, which UTF-8 lacks, is written as JSON's own escape.
        text = json.dumps(body, ensure_ascii=False, indent=1) + "\n"
        replace_file(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}; choose another place") from error


def read_learned(path: Path, d_in: int, n_latents: int) -> tuple[Learned, float | None]:
    """Return the content of a profile's file and its half-life in days; an empty profile and None without a file.

    Raises:
        ConfigError: It cannot be read, is no profile, is of a newer version, or has another width than `d_in`.
    """
    try:
        raw = json.loads(read_small(path, MAX_BYTES).decode())
        check_format(path, int(raw["format_version"]), FORMAT_VERSION, error=ConfigError)
        half_life, model = check_half_life(raw["half_life_days"]), raw["model"]
        if not isinstance(model, str | None):
            raise TypeError(f"model is {shown(model)}")
        clicks = tuple(_click(row, d_in) for row in raw["clicks"])
        edits = dict(_edit(key, weight, n_latents) for key, weight in raw["edits"].items())
    except FileNotFoundError:
        return Learned(), None
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot read a profile from {path}: {error}; name another file") from error
    except MALFORMED as error:
        reason = f"{type(error).__name__}: {one_line(str(error), 200)}"
        raise ConfigError(
            f"{path} is no profile of this model ({reason}): name a file that a profile wrote, or a new one"
        ) from error
    return Learned(model, clicks, edits), half_life


def check_half_life(days: object) -> float:
    """Return the half-life in days; a ConfigError if it is not a number above 0."""
    if isinstance(days, bool) or not isinstance(days, int | float | np.number) or not 0 < days < np.inf:
        raise ConfigError(f"half_life is {shown(days)}: it must be a number of days above 0, for example 90")
    return float(days)


def stamp_of(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is replaced; None without the file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _as_json(click: Click) -> dict[str, Any]:
    row: dict[str, Any] = {"liked": click.liked, "time": click.time, "document": click.document}
    row |= {name: value for name, value in (("id", click.id), ("text", click.text)) if value is not None}
    return row | {"direction": base64.b64encode(click.direction.astype("<f2").tobytes()).decode()}


def _click(row: dict[str, Any], d_in: int) -> Click:
    direction = np.frombuffer(base64.b64decode(row["direction"], validate=True), "<f2").astype(np.float32)
    if direction.shape != (d_in,) or not abs(float(np.linalg.norm(direction)) - 1) < 0.01:  # also for NaN
        raise ValueError(f"a direction has {len(direction)} numbers or is not of length 1, expected {d_in}")
    if type(row["liked"]) is not bool or type(row["time"]) not in (int, float) or not np.isfinite(row["time"]):
        raise TypeError(f"liked is {shown(row['liked'])} and time {shown(row['time'])}")
    datetime.fromtimestamp(row["time"], timezone.utc)  # in the range of dates
    strings = row["document"], row.get("id") or "", row.get("text") or ""
    if not all(isinstance(string, str) for string in strings):
        raise TypeError("document, id and text are strings")
    return Click(row["liked"], float(row["time"]), row["document"], direction, row.get("id"), row.get("text"))


def _edit(key: str, weight: Any, n_latents: int) -> tuple[int, float]:
    latent = latent_id(key)
    if latent is None or not latent < n_latents or type(weight) not in (int, float) or not abs(weight) <= MAX_STRENGTH:
        raise ValueError(f"the edit of {shown(key)} is {shown(weight)}")
    return latent, float(weight)
