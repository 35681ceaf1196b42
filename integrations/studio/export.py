"""`sae studio --export`: what can be looked at without a server, as files that any web server sends.

The page is the same: ``<html data-still>`` tells it that its answers lie in ``still/``, see ``page/core/still.js``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...errors import ConfigError, StorageError
from ...files import absolute
from .answers.features import BEST_FIRST, exported, tree
from .answers.features import features as list_features
from .answers.fields import info
from .answers.maps import POINTS, draw
from .answers.search import search
from .answers.words import words
from .app import PAGE, json_bytes
from .requests import State
from .studio import Studio

MOST_QUERIES = 500
Progress = Callable[[str, int, int], None]


def export(studio: Studio, folder: Path, queries: Sequence[str], progress: Progress | None = None) -> int:
    """Write the page and its data into a new folder, and return the number of files.

    Args:
        studio: What is written down: texts of documents too.
        folder: It is made, or empty.
        queries: That can be asked there, without steering.
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
        text = page.read_text(encoding="utf-8").replace("<html ", "<html data-still ", 1)
        page.write_text(text, encoding="utf-8")
        still = folder / "still"
        (still / "features").mkdir(parents=True)
        total = len(studio.features)
        for latent in range(total):
            _write(still / "features" / f"{latent}.json", exported(studio, latent))
            show("write features", latent + 1, total)
        _write(still / "features.json", list_features(studio, "", BEST_FIRST, total, 0))
        _write(still / "tree.json", tree(studio))
        _write(still / "map-documents.json", draw(studio, "documents", POINTS))
        _write(still / "map-features.json", draw(studio, "features", total))
        _search(studio, still, queries, show)
        _write(still / "info.json", info(studio) | {"write": False, "queries": list(queries)})
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


def _search(studio: Studio, still: Path, queries: Sequence[str], show: Progress) -> None:
    """Write the results of the queries, and which words carry them."""
    found, carried = {}, {}
    for done, query in enumerate(queries, 1):
        state = State().asking(query)
        found[query] = search(studio, state)
        carried[query] = words(studio, studio.ask(state), [hit["id"] for hit in found[query]["plain"]])
        show("search", done, len(queries))
    _write(still / "searches.json", found)
    _write(still / "words.json", carried)


def _write(path: Path, value: Any) -> None:
    path.write_bytes(json_bytes(value))
