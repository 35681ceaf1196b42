"""The figures of a training as a JSON-lines file, and as TensorBoard events when it is installed."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from ..errors import StorageError
from ..extras import installed

logger = logging.getLogger(__name__)


class MetricsLog:
    """Appends one line per step to a file; a resumed run continues after the step of its state.

    Args:
        path: The JSON-lines file, made with its folder when missing. If `tensorboard` is installed, its events go to
            the folder of the same name without the suffix.
        step: Step of the state that is resumed, 0 for a new run. Lines of later steps are dropped.

    Raises:
        StorageError: The file cannot be written.
    """

    def __init__(self, path: Path, *, step: int = 0) -> None:
        self.path = path
        self._board: Any = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = _lines_until(path, step) if step else []
            path.write_text("".join(kept), encoding="utf-8")
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error}; choose another place for the metrics") from error
        if installed("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(path.with_suffix("")), purge_step=step or None)

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Append the figures of a step and pass them to the system; raise a `StorageError` when the disk is full."""
        try:
            self._file.write(json.dumps({"step": step, **{name: round(v, 6) for name, v in figures.items()}}) + "\n")
            self._file.flush()
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error}; free space, then go on with --resume") from error
        if self._board:
            for name, value in figures.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board:
            self._board.close()


def _lines_until(path: Path, step: int) -> list[str]:
    """Return the whole lines up to `step`; a line that a kill cut short is dropped."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            logger.warning("%s: left out a damaged line", path)
    return kept
