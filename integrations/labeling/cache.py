"""`LabelCache`: answers of a chat model in a file, so that none is paid for twice."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from pathlib import Path

from ...errors import StorageError
from .prompt import SYSTEM, clean_label

logger = logging.getLogger(__name__)


class LabelCache:
    """Proposed labels in a JSON-lines file: `{"key", "model", "latent", "labels"}`. Threads may share one.

    The file is made when missing; one that cannot be read or written is a `StorageError`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, ...]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Opened for writing, so that a file that cannot be written is found out before any call is paid for.
            with path.open("ab+") as file:
                file.seek(0)
                lines = file.read().splitlines(keepends=True)
                if lines and not lines[-1].endswith(b"\n"):  # its writer was killed
                    file.truncate(sum(map(len, lines[:-1])))
                    lines.pop()
        except OSError as error:
            raise self._unusable(error) from error
        for line in lines:
            try:
                record = json.loads(line)
                labels = [label for raw in record["labels"] if (label := clean_label(raw))]
                self._known[record["key"]] = tuple(labels)
            except (ValueError, KeyError, TypeError, AttributeError):
                logger.warning("a damaged line of %s is passed over", path)

    def get(self, key: str) -> tuple[str, ...] | None:
        """Return the labels under a key; None where there are none."""
        return self._known.get(key) or None

    def add(self, key: str, model: str, latent: int, labels: tuple[str, ...]) -> None:
        """Append labels; they are in the file when this returns."""
        record = {"key": key, "model": model, "latent": latent, "labels": labels}
        try:
            with self._lock, self._path.open("ab") as file:
                file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        except OSError as error:
            raise self._unusable(error) from error
        self._known[key] = labels

    def _unusable(self, error: OSError) -> StorageError:
        return StorageError(
            f"cannot use the label cache {self._path}: {error.strerror or error}; free space, mend its permissions or "
            "give another file"
        )


def cache_key(model: str, prompt: str) -> str:
    """Return the key of an answer: sha256 of everything that it depends on."""
    return hashlib.sha256("\0".join((model, SYSTEM, prompt)).encode()).hexdigest()
