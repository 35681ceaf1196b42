"""`sae studio --export`: what can be looked at without a server, as files that any web server sends.

The page is the same. A script before it answers its requests from ``data/``: features, the map, and the results of the
queries that were given, plain and for each snapshot. What takes a server says so.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...errors import ConfigError, SteersearchError, StorageError
from ...files import absolute
from . import actions
from .answers.features import exported
from .answers.features import features as list_features
from .answers.fields import info
from .answers.maps import POINTS, draw
from .app import PAGE, json_bytes
from .requests import State
from .studio import Studio

TOGETHER = 64
"""Features of one file."""
MOST_QUERIES, COLOURS = 500, 8
"""Queries, and fields of the metadata that the map can be coloured by."""
PLAIN = ""
"""The name of no steering."""
Progress = Callable[[str, int, int], None]


def export(studio: Studio, folder: Path, queries: Sequence[str], progress: Progress | None = None) -> int:
    """Write the page and its data into a new folder, and return the number of files.

    Args:
        studio: What is written down: texts of documents too.
        folder: It is made, or empty.
        queries: That can be asked there, with each snapshot of the studio and without.
        progress: Called with (what, done, total).

    Raises:
        ConfigError: The folder is not empty, or there are too many queries.
        StorageError: It cannot be written.
    """
    show = progress or (lambda what, done, total: None)
    folder = absolute(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there and not empty: name a new folder")
    if len(queries) > MOST_QUERIES:
        raise ConfigError(f"there are {len(queries):,} queries: give at most {MOST_QUERIES}")
    try:
        shutil.copytree(PAGE, folder, dirs_exist_ok=True)
        page = folder / "index.html"
        # Scripts of this kind run in their order.
        shim = '<script type="module" src="static.js"></script>\n'
        page.write_text(page.read_text(encoding="utf-8").replace("<script ", f"{shim}<script ", 1), encoding="utf-8")
        shutil.copyfile(Path(__file__).with_name("static.js"), folder / "static.js")
        data = folder / "data"
        data.mkdir()
        _write(data / "info.json", info(studio) | {"write": False, "queries": list(queries)})
        _write(data / "features.json", list_features(studio, "", "documents", len(studio.features), 0))
        total = len(studio.features)
        for start in range(0, total, TOGETHER):
            some = {str(latent): exported(studio, latent) for latent in range(start, min(start + TOGETHER, total))}
            _write(data / f"features-{start // TOGETHER}.json", some)
            show("write features", min(start + TOGETHER, total), total)
        _write(data / "map.json", _maps(studio))
        _write(data / "searches.json", _searches(studio, queries, show))
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror or error}; name another folder") from error
    return sum(path.is_file() for path in folder.rglob("*"))


def read_queries_file(path: Path) -> list[str]:
    """Return the lines of a file that are not blank, each once; a ConfigError when it cannot be read."""
    try:
        lines = absolute(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read queries from {path}: {error}") from error
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _maps(studio: Studio) -> dict[str, Any]:
    fields = [field["name"] for field in info(studio)["fields"] if "values" in field or field["kind"] == "number"]
    coloured = {}
    for name in fields[:COLOURS]:
        found = draw(studio, "documents", POINTS, field=name)
        coloured[name] = {"values": found["values"], "legend": found["legend"]}
    documents = draw(studio, "documents", POINTS)
    return {"documents": documents, "features": draw(studio, "features", len(studio.features)), "fields": coloured}


def _searches(studio: Studio, queries: Sequence[str], show: Progress) -> dict[str, Any]:
    """Return the steerings, and for each query and steering the answer and its words."""
    kept = {"": State()}
    for name in studio.saved.names("snapshots"):
        try:
            kept[name] = studio.saved.snapshot(name).state
        except SteersearchError:  # the list of the studio leaves it out too
            continue
    answers = []
    for done, query in enumerate(queries):
        for name, state in kept.items():
            body = state.asking(query).to_json()
            answer = actions.answer_search(studio, body)
            ids = list(dict.fromkeys(hit["id"] for hit in [*answer["steered"], *answer["plain"]]))
            words = actions.answer_words(studio, body, ids)
            answers.append({"query": query, "snapshot": name, "answer": answer, "words": words})
        show("search", done + 1, len(queries))
    snapshots = [{"name": name, "state": state.to_json()} for name, state in kept.items() if name]
    rows = [{"snapshot": name} | actions.answer_comparison(studio, name, queries) for name in kept if name]
    return {"queries": list(queries), "snapshots": snapshots, "answers": answers, "rows": rows}


def _write(path: Path, value: Any) -> None:
    path.write_bytes(json_bytes(value))
    # What a browser cannot read is found here and not there.
    json.loads(path.read_bytes())
