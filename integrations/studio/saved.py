"""What a studio keeps beside its index, in ``INDEX.studio``: concepts, snapshots of steerings, and judgments.

Files are written by rename and people may read and edit them. A snapshot is ``{"format": 1, "name": ...,
"state": ...}``, see `requests`, and may have ``"expected": {"ndcg": ..., "overlap": ...}``, which
``sae eval --steering`` compares with. A judgment is a line ``{"query": ..., "id": ..., "grade": 1}``; of two for the
same document the later one counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from ...errors import ConfigError, DataError, FormatVersionError, StorageError, UnknownFeatureError
from ...files import check_format, read_small, replace_file
from ...runtime import Bundle, Concept
from ...text import shown
from .requests import State, as_number, as_object, as_text, read_state

FORMAT = 1
LONGEST_NAME = 80
MOST_FILES = 10_000
MAX_BYTES, MAX_JUDGMENTS = 16_000_000, 64_000_000
GRADES = 10
"""Largest grade."""
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f/\\:*?\"<>|.~\s-][^\x00-\x1f\x7f-\x9f/\\:*?\"<>|]*")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that are no files on Windows."""


class Saved:
    """The folder beside an index. It is made when something is first written."""

    def __init__(self, index: Path) -> None:
        folder = index.resolve()
        self.folder = folder.with_name(f"{folder.name}.studio")
        self.revision = 0
        """Number of writes of this object."""
        self._lock = Lock()

    def names(self, kind: str) -> list[str]:
        """Return the names of what is saved, `concepts` or `snapshots`, in order."""
        try:
            found = [path.stem for path in (self.folder / kind).iterdir() if path.suffix == ".json"]
        except OSError:
            return []
        return sorted((name for name in found if is_name(name)), key=str.casefold)[:MOST_FILES]

    def concept(self, name: str, bundle: Bundle) -> Concept:
        """Return a saved concept; UnknownFeatureError when there is none, errors as `Concept.load` otherwise."""
        path = self._path("concepts", name)
        if not path.is_file():
            raise UnknownFeatureError(f"no saved concept is called {shown(name)}: see those of the studio")
        return Concept.load(path, bundle)

    def save_concept(self, name: str, concept: Concept, bundle: Bundle) -> None:
        """Write a concept, with the features by name; errors as `Concept.save`."""
        with self._writing("concepts", name) as path:
            concept.save(path, bundle)

    def snapshot(self, name: str) -> Snapshot:
        """Return a snapshot; errors as `read_snapshot`."""
        return read_snapshot(self._path("snapshots", name))

    def save_snapshot(self, name: str, state: State) -> None:
        """Write a snapshot; a StorageError when it cannot be written."""
        with self._writing("snapshots", name) as path:
            write_snapshot(path, Snapshot(name, state))

    def remove(self, kind: str, name: str) -> bool:
        """Remove what is saved under a name, and return whether it was there."""
        with self._writing(kind, name) as path:
            there = path.is_file()
            path.unlink(missing_ok=True)
            return there

    @property
    def judgments_path(self) -> Path:
        """The file of judgments, which need not be there."""
        return self.folder / "judgments.jsonl"

    def judgments(self) -> dict[str, dict[str, int]]:
        """Return query -> document id -> grade; errors as `read_judgments`."""
        return read_judgments(self.judgments_path) if self.judgments_path.exists() else {}

    def judge(self, query: str, id: str, grade: int | None) -> int:
        """Set the grade of a document for a query, or take it back with None; return the number of judgments."""
        with self._writing(None, "judgments") as _:
            judged = self.judgments()
            grades = judged.setdefault(query, {})
            grades.pop(id, None)
            if grade is not None:
                grades[id] = grade
            lines = [
                json.dumps({"query": query, "id": id, "grade": grade}, ensure_ascii=False) + "\n"
                for query, grades in judged.items()
                for id, grade in grades.items()
            ]
            replace_file(self.judgments_path, "".join(lines).encode())
            return len(lines)

    def _path(self, kind: str, name: str) -> Path:
        return self.folder / kind / f"{check_name(name)}.json"

    def _writing(self, kind: str | None, name: str) -> _Writing:
        path = self.judgments_path if kind is None else self._path(kind, name)
        return _Writing(self, path)


class _Writing:
    """One write at a time, into a folder that is there; what the disk refuses is a StorageError."""

    def __init__(self, saved: Saved, path: Path) -> None:
        self._saved, self._path = saved, path

    def __enter__(self) -> Path:
        self._saved._lock.acquire()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._saved._lock.release()
            raise StorageError(f"cannot make the folder {self._path.parent}: {error.strerror or error}") from error
        return self._path

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._saved.revision += 1
        self._saved._lock.release()
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            raise StorageError(f"cannot write {self._path}: {error.strerror or error}") from error


class Snapshot:
    """A steering with a name."""

    def __init__(self, name: str, state: State, expected: Mapping[str, float] | None = None) -> None:
        self.name, self.state = name, state
        self.expected: dict[str, float] = dict(expected or {})
        """`ndcg` and `overlap` that were measured when it was good; empty where nobody recorded them."""


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot.

    Raises:
        ConfigError: There is none, or the file is none.
        FormatVersionError: It was written by a newer steersearch.
    """
    try:
        body = json.loads(read_small(path, MAX_BYTES))
        given = as_object(body, "it")
        version = given.get("format")
        if not isinstance(version, int) or isinstance(version, bool):
            raise ConfigError(f"its format is {shown(version)}, expected {FORMAT}")
        check_format(path, version, FORMAT)
        name = as_text(given.get("name", path.stem), "name", LONGEST_NAME)
        expected = as_object(given.get("expected", {}), "expected")
        figures = {key: as_number(value, f"expected.{key}") for key, value in expected.items()}
        return Snapshot(name, read_state(given.get("state")), figures)
    except FormatVersionError:
        raise
    except FileNotFoundError:
        raise ConfigError(f"there is no snapshot {path}: keep one in the studio, or name another file") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)[:200] or type(error).__name__
        raise ConfigError(f"{path} is no snapshot of a steering ({reason}): keep one in the studio") from error


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write a snapshot by rename; an OSError when it cannot be written."""
    body: dict[str, Any] = {"format": FORMAT, "name": snapshot.name, "state": snapshot.state.to_json()}
    if snapshot.expected:
        body["expected"] = snapshot.expected
    replace_file(path, (json.dumps(body, ensure_ascii=False, indent=1) + "\n").encode())


def read_judgments(path: Path) -> dict[str, dict[str, int]]:
    """Read judgments: query -> document id -> grade, 0 for a document that is no answer.

    Raises:
        DataError: The file cannot be read, or a line is no judgment; it is named.
    """
    judged: dict[str, dict[str, int]] = {}
    number = 0
    try:
        for line in read_small(path, MAX_JUDGMENTS).decode().split("\n"):
            number += 1
            if not line.strip():
                continue
            given = as_object(json.loads(line), "it")
            query, id = (as_text(given.get(name), name, 20_000) for name in ("query", "id"))
            judged.setdefault(query, {})[id] = as_grade(given.get("grade"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)[:200] or type(error).__name__
        where = f"line {number} of {path}" if number else str(path)
        raise DataError(
            f'{where} is no judgment ({reason}): write {{"query": "...", "id": "...", "grade": 1}}'
        ) from error
    return judged


def as_grade(value: object) -> int:
    """Return a grade; a ConfigError for what is no whole number from 0 to `GRADES`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= GRADES:
        raise ConfigError(f"grade is {shown(value)}: it must be a whole number from 0 to {GRADES}")
    return value


def is_name(name: object) -> bool:
    """Return whether something can be saved under a name."""
    fits = isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and len(name.encode(errors="replace")) <= 200
    if not fits or not isinstance(name, str) or not _NAME.fullmatch(name) or _DEVICES.fullmatch(name):
        return False
    return name.isprintable() and not name.endswith((" ", "."))


def check_name(name: object) -> str:
    """Return a name that is one file of a folder on every system.

    Raises:
        ConfigError: It is empty, too long, hidden, or has a sign that paths are made of.
    """
    if not is_name(name) or not isinstance(name, str):
        raise ConfigError(
            f"the name is {shown(name)}: give 1 to {LONGEST_NAME} letters, digits and signs, no dot in front, none of "
            '/ \\ : * ? " < > |'
        )
    return name
