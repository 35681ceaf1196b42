"""Rows of the table: indexes of strangers, files that change under an open index, and filters."""

from __future__ import annotations

import contextlib
import copy
import math
import os
import pickle
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .hostile import BUNDLE, SLOW, anything, error, gives, gives_or_error, holds, row
from .hostile_inputs import (
    execute,
    filled,
    new_index,
    open_index,
    reseal_cache,
    same_as_before,
    searches,
    spoilt_index,
    with_index,
)

MB = 10**6

# Indexes of strangers, and files that change under an open one.


def no_database(name: str, content: bytes) -> None:
    row(f"index: {name}", spoilt_index(lambda path: replace_database(path, content)), error("IndexFolderError"))


def replace_database(path: Path, content: bytes) -> None:
    for file in path.glob("documents.sqlite*"):
        file.unlink()
    (path / "documents.sqlite").write_bytes(content)


no_database("an empty database", b"")
no_database("a database of nonsense", random.Random(1).randbytes(8192))
no_database("a database that is a text", b"SQLite format 3\0" + b"moon" * 2000)


def sql(name: str, *statements: str, then: Any = None, marks: tuple[str, ...] = ()) -> None:
    row(
        f"index: {name}",
        spoilt_index(lambda path: execute(path, *statements)),
        then or error("IndexFolderError"),
        *marks,
    )


sql(
    "a database with a trigger",
    "CREATE TRIGGER t AFTER DELETE ON documents BEGIN DELETE FROM documents; END",
    marks=(),
)
sql("a database with a view", "CREATE VIEW v AS SELECT * FROM documents", marks=())
sql("a database with an index of its own", "CREATE INDEX i ON documents (text)", then=gives_or_error(anything))
sql("a database whose table is a view", "ALTER TABLE documents RENAME TO d", "CREATE VIEW documents AS SELECT * FROM d")
sql("a width that is no number", "UPDATE meta SET value = 'x' WHERE key = 'd_in'")
sql("a width of a billion", "UPDATE meta SET value = '1000000000' WHERE key = 'd_in'")
sql("a negative width", "UPDATE meta SET value = '-1' WHERE key = 'd_in'")
sql("a state that is none", "UPDATE meta SET value = 'x' WHERE key = 'state'")
sql("a format of tomorrow", "UPDATE meta SET value = '99' WHERE key = 'format_version'")
sql(
    "a bundle of a zero byte",
    "UPDATE meta SET value = 'a' || char(0) WHERE key = 'bundle'",
    then=gives_or_error(anything),
)
sql("a digest of another model", "UPDATE meta SET value = 'x' WHERE key = 'model_digest'")
sql("a backend that is none", "UPDATE meta SET value = 'x' WHERE key = 'backend'", then=gives_or_error(anything))
sql("a vector that is cut", "UPDATE documents SET vector = x'00' WHERE id = 'd3'")
sql("a text that is a blob", "UPDATE documents SET text = x'ff00' WHERE id = 'd3'")
sql("metadata that are no JSON", "UPDATE documents SET metadata = '{' WHERE id = 'd3'", then=gives_or_error(anything))
sql("codes beyond the latents", "UPDATE documents SET latents = zeroblob(length(latents)) WHERE id = 'd3'")


def spoilt(name: str, spoil: Callable[[Path], object], *marks: str, count: int = 12, **options: Any) -> None:
    """Expect the answers of a whole index."""
    expected = holds(same_as_before(count, **options))
    row(f"index: {name}", spoilt_index(spoil, count, **options), expected, *marks, seconds=4)


spoilt("caches that are gone", lambda path: shutil.rmtree(path / "cache"))
spoilt("caches that are folders", lambda path: [(file.unlink(), file.mkdir()) for file in (path / "cache").iterdir()])
spoilt(
    "caches that are links to /dev/zero",
    lambda path: [(file.unlink(), file.symlink_to("/dev/zero")) for file in (path / "cache").iterdir()],
)
spoilt(
    "sidecars nested 100,000 deep",
    lambda path: [file.write_text("[" * 100_000) for file in (path / "cache").glob("*.json")],
)
spoilt(
    "sidecars of 400 digits",
    lambda path: [file.write_text("9" * 400) for file in (path / "cache").glob("*.json")],
    SLOW,
)
spoilt("a generation of 400 digits", lambda path: reseal_cache(path / "cache", "cache.json", generation=10**400))
spoilt("a count of -1", lambda path: reseal_cache(path / "cache", "cache.json", count=-1), SLOW)
spoilt("a longest vector of NaN", lambda path: reseal_cache(path / "cache", "cache.json", longest=math.nan))
spoilt("a longest vector of 0", lambda path: reseal_cache(path / "cache", "cache.json", longest=0.0), SLOW)
spoilt("words without tables", lambda path: other_words(path / "cache"), SLOW)
for seed in range(3):
    spoilt(
        f"a graph of random bytes {seed}, sealed",
        lambda path, seed=seed: random_graph(path / "cache", seed),
        *([SLOW] if seed else []),
        count=200,
        backend="hnsw",
    )
row(
    "index: caches of the same documents with one edited",
    lambda folder: caches_of_another(folder),
    gives("new"),
)
row(
    "index: a mapped file is cut under an open index",
    lambda folder: cut_under_open(folder),
    gives_or_error(anything),
)
row(
    "index: the folder of an open writer is replaced",
    lambda folder: replaced_under_writer(folder),
    error("IndexFolderError"),
)
row(
    "index: the folder of an open index is replaced before it closes",
    lambda folder: replaced_before_close(folder),
    gives(True),
)
for backend in ("exact", "hnsw"):
    row(
        f"index: a copy that went its own way has the caches of the original, {backend}",
        lambda folder, backend=backend: diverged(folder, backend),
        holds(lambda found: found[0] == found[1]),
    )
row("index: a relative path, and then chdir", lambda folder: chdir_after_open(folder), gives(["a", "b"]))
row("index: a second writer after chdir", lambda folder: writer_after_chdir(folder), error("IndexLockedError"))
row("index: ~ in a path", lambda folder: home_path(folder), gives(True))
row("index: create keeps to the umask", lambda folder: mode_of_new(folder), gives(0o700))
row("index: a link in the place of a temporary file", lambda folder: followed_link(folder), gives("untouched"))
for value in ("", 0, False, []):
    row(
        f"filter: {value!r}",
        with_index(lambda index, value=value: index.search("moon", 3, filter=value)),
        error("FilterError"),
    )
row(
    "filter: nested 10,000 deep",
    with_index(lambda index: index.search("moon", 3, filter=deep_filter(10_000))),
    error("FilterError"),
)
row(
    "filter: 100,000 values",
    with_index(lambda index: len(index.search("moon", 3, filter={"n": {"$in": list(range(100_000))}}))),
    gives(3),
    SLOW,
)
row(
    "filter: a list that holds itself",
    with_index(lambda index: index.search("moon", 3, filter=looped_filter())),
    error("FilterError"),
)
row("filter: a key of 1 MB", with_index(lambda index: index.search("moon", 3, filter={"k" * MB: 1})), gives([]))
row(
    "filter: a key of half an emoji",
    with_index(lambda index: index.search("moon", 3, filter={"\ud83d": 1})),
    error("FilterError"),
)
row("filter: bytes", with_index(lambda index: index.search("moon", 3, filter={"n": b"1"})), error("FilterError"))
row(
    "filter: a number of NumPy",
    with_index(lambda index: len(index.search("moon", 3, filter={"n": np.int64(1)}))),
    gives_or_error(lambda count: count == 1),
)


row("index: codes of another encoder", with_index(lambda index: other_codes(index)), gives(False))
row("index: pickled", with_index(lambda index: pickle.dumps(index)), gives_or_error(anything))
row("index: copied", with_index(lambda index: copy.deepcopy(index)), gives_or_error(anything))
row(
    "index: written by a child that was forked",
    with_index(lambda index: in_child(lambda: index.add(["x"], ["x"]))),
    holds(lambda name: name in ("", "IndexFolderError", "IndexLockedError", "ConfigError")),
)
row(
    "words: Chinese",
    with_index(lambda index: found_by_words(index, "\u6211\u770b\u89c1\u6708\u4eae\u4e86", "\u6708\u4eae")),
    gives(["x"]),
)
row(
    "words: a soft hyphen",
    with_index(lambda index: found_by_words(index, "moon\u00adlight", "moonlight")),
    gives(["x"]),
)


def other_codes(index: Any) -> bool:
    """Store codes that the bundle's encoder does not give, and verify."""
    record = index.get(["d3"])[0]
    codes = np.array([[40, 41, 42, 43, 44, 45]]), np.ones((1, 6), np.float32)
    index._store.put(["d3"], [record.text], [record.metadata], np.array(index.vectors(["d3"])), *codes)
    return bool(index.verify().ok)


def in_child(act: Callable[[], object]) -> str:
    """Do something in a forked process; give the name of the class that it raised."""
    child = os.fork()
    if child == 0:
        name = ""
        try:
            act()
        except BaseException as raised:
            name = type(raised).__name__
        Path("child.txt").write_text(name)
        os._exit(0)
    os.waitpid(child, 0)
    return Path("child.txt").read_text()


def found_by_words(index: Any, text: str, query: str) -> list[str]:
    index.add([text], ["x"])
    return [hit.id for hit in index.search(query, 3, view="words")]


def other_words(cache: Path) -> None:
    (cache / "words.sqlite").unlink()
    sqlite3.connect(cache / "words.sqlite").execute("CREATE TABLE x (y)").connection.close()
    reseal_cache(cache, "words.json")


def random_graph(cache: Path, seed: int) -> None:
    content = bytearray((cache / "hnsw.bin").read_bytes())
    rng = random.Random(seed)
    start = rng.choice([0, 96, len(content) // 2])
    content[start:] = rng.randbytes(len(content) - start)
    (cache / "hnsw.bin").write_bytes(content)
    reseal_cache(cache, "hnsw.json")


def caches_of_another(folder: Path) -> str:
    for name, text in (("old", "old"), ("new", "new")):
        with new_index(folder / name) as index:
            index.add([f"{text} rocket"] + [f"bread {i}" for i in range(99)], [str(i) for i in range(100)])
            index.search("rocket", 3, view="words")
    shutil.rmtree(folder / "new" / "cache")
    shutil.copytree(folder / "old" / "cache", folder / "new" / "cache")
    with open_index(folder / "new") as index:
        found = {word for word in ("old", "new") if index.search(word, 1, view="words")}
    return " ".join(found)


def diverged(folder: Path, backend: str) -> Any:
    """Copy an index while it is open, change both, swap their caches; give searches before and after."""
    with filled(folder / "index", 200, backend=backend) as index:
        searches(index)
        index.save()
        shutil.copytree(folder / "index", folder / "copy")
        index.add(["moon rocket bread"], ["mine"])
        index.delete(["d3"])
        searches(index)
    with open_index(folder / "copy") as copied:
        copied.add(["bread moon soup"], ["other"])
        copied.delete(["d4"])
        before = searches(copied)
    shutil.rmtree(folder / "copy" / "cache")
    shutil.copytree(folder / "index" / "cache", folder / "copy" / "cache")
    with open_index(folder / "copy") as copied:
        return before, searches(copied)


def cut_under_open(folder: Path) -> Any:
    with filled(folder / "index", 3000) as index:
        index.search("moon", 1)
    with open_index(folder / "index", readonly=True) as index:
        index.search("moon", 1)
        os.truncate(folder / "index" / "cache" / "vectors.npy", 500)
        return index.search("star", 5)


def replaced_under_writer(folder: Path) -> Any:
    with filled(folder / "other"):
        pass
    index = filled(folder / "index")
    os.replace(folder / "index", folder / "gone")
    os.replace(folder / "other", folder / "index")
    return index.add(["a"], ["new"])


def replaced_before_close(folder: Path) -> bool:
    for name in ("index", "other"):
        with new_index(folder / name) as index:
            index.add([f"{name} rocket"] + [f"bread {i}" for i in range(99)], [str(i) for i in range(100)])
    index = open_index(folder / "index")
    index.search("rocket", 1, view="words")
    os.replace(folder / "index", folder / "gone")
    os.replace(folder / "other", folder / "index")
    index.close()
    with open_index(folder / "index") as index:
        return bool(index.search("other", 1, view="words"))


def chdir_after_open(folder: Path) -> list[str]:
    from steersearch.runtime import SteerableIndex

    shutil.copytree(BUNDLE, "bundle")
    index = SteerableIndex.create("index", "bundle")
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")
    index.add(["moon", "star"], ["a", "b"])
    found = sorted(hit.id for hit in index.search("moon", 5, boost={3: 1.0}))
    index.close()
    return found


def writer_after_chdir(folder: Path) -> Any:
    from steersearch.runtime import Bundle, SteerableIndex

    bundle = Bundle.load(BUNDLE, threads=1)
    index = SteerableIndex.create("index", bundle)
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")
    with index._store.writing():
        child = os.fork()
        if child == 0:
            try:
                SteerableIndex.open(folder / "index", bundle=bundle).add(["x"], ["x"])
                os._exit(0)
            except Exception as raised:
                os._exit(5 if type(raised).__name__ == "IndexLockedError" else 1)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5:
            from steersearch.errors import IndexLockedError

            raise IndexLockedError("the other process was refused")
    return "a second writer got in"


def home_path(folder: Path) -> bool:
    os.environ["HOME"] = str(folder)
    with new_index(Path("~/index")):
        pass
    return (folder / "index" / "documents.sqlite").is_file()


def mode_of_new(folder: Path) -> int:
    os.umask(0o077)
    with new_index(folder / "index"):
        pass
    return (folder / "index").stat().st_mode & 0o777


def followed_link(folder: Path) -> str:
    """Put links where temporary files of this process used to be, and write."""
    import threading

    (folder / "victim").write_text("untouched")
    with filled(folder / "index") as index:
        cache = folder / "index" / "cache"
        cache.mkdir(exist_ok=True)
        names = ("vectors.npy", "checks.npy", "rowids.npy", "cache.json", "words.sqlite", "words.json")
        for name in names:
            link = cache / f".{name}.{os.getpid()}.{threading.get_ident()}.tmp"
            link.symlink_to(folder / "victim")
        concept = folder / f".concept.json.{os.getpid()}.tmp"
        concept.symlink_to(folder / "victim")
        with contextlib.suppress(OSError):
            index.resolve(3).save(folder / "concept.json")
        index.save()
    return (folder / "victim").read_text()[:20]


def deep_filter(depth: int) -> Any:
    made: Any = {"n": 1}
    for _ in range(depth):
        made = {"$not": made}
    return made


def looped_filter() -> Any:
    made: dict[str, Any] = {}
    made["$and"] = [made]
    return made
