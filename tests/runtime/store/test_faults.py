"""The document store in bad hands: damaged files, a second process, a kill in the middle of writing, a full disk."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import contextmanager

import numpy as np
import pytest

from steersearch.errors import IndexFolderError, IndexLockedError, StorageError
from steersearch.runtime.store.documents import DocumentStore

D_IN, K = 4, 2


@pytest.fixture
def store(tmp_path):
    with DocumentStore.create(tmp_path / "documents.sqlite", d_in=D_IN, meta={"bundle": "b"}) as opened:
        yield opened


def arrays(n, seed=0, k=K):
    rng = np.random.default_rng(seed)
    vectors, values = rng.standard_normal((n, D_IN)), rng.random((n, k))
    return vectors.astype(np.float32), rng.integers(0, 99, (n, k)), values.astype(np.float32)


def put(store, *ids, seed=0, **metadata):
    return store.put(ids, [f"text of {id}" for id in ids], [dict(metadata)] * len(ids), *arrays(len(ids), seed))


def sql(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_foreign_newer_and_damaged_files(tmp_path):
    foreign = tmp_path / "foreign.sqlite"
    sql(foreign, "CREATE TABLE meta (key, value)", "CREATE TABLE documents (id)")
    (tmp_path / "empty.sqlite").write_bytes(b"")
    for name in ("foreign.sqlite", "empty.sqlite"):
        with pytest.raises(IndexFolderError, match="not a database of steersearch"):
            DocumentStore.open(tmp_path / name)
    (tmp_path / "text.sqlite").write_text("this is no database at all, but it is long enough to be one" * 50)
    with pytest.raises(IndexFolderError, match="damaged"):
        DocumentStore.open(tmp_path / "text.sqlite")

    path = tmp_path / "documents.sqlite"
    DocumentStore.create(path, d_in=4, meta={}).close()
    sql(path, "UPDATE meta SET value = '3' WHERE key = 'format_version'")
    with pytest.raises(IndexFolderError, match=r"format_version 3.* up to 2: pip install -U steersearch"):
        DocumentStore.open(path)
    sql(path, "UPDATE meta SET value = '2' WHERE key = 'format_version'", "DELETE FROM meta WHERE key = 'd_in'")
    with pytest.raises(IndexFolderError, match=r"damaged .*'d_in'"):
        DocumentStore.open(path)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON documents BEGIN DELETE FROM documents; END", "trigger 't'"),
        ("CREATE TRIGGER t BEFORE UPDATE ON meta BEGIN SELECT raise(IGNORE); END", "trigger 't'"),
        ("CREATE VIEW more AS SELECT * FROM documents", "view 'more'"),
        ("CREATE TABLE notes (text)", "table 'notes'"),
        ("CREATE INDEX i ON documents (lower(text))", "index 'i'"),
        ("CREATE VIRTUAL TABLE words USING fts5(text)", "table 'words"),
    ],
)
def test_what_no_store_has_is_not_run(tmp_path, statement, what):
    path = tmp_path / "documents.sqlite"
    with DocumentStore.create(path, d_in=4, meta={}) as store:
        put(store, "a")
    sql(path, statement)
    for readonly in (False, True):
        with pytest.raises(IndexFolderError, match=rf"holds the {what}.*, which no index has: SQL in it could run"):
            DocumentStore.open(path, readonly=readonly)


def test_a_view_in_place_of_a_table_is_not_read(tmp_path):
    path = tmp_path / "documents.sqlite"
    with DocumentStore.create(path, d_in=4, meta={}) as store:
        put(store, "a")
    sql(path, "ALTER TABLE meta RENAME TO hidden", "CREATE VIEW meta AS SELECT key, zeroblob(1) AS value FROM hidden")
    with pytest.raises(IndexFolderError, match="which no index has"):
        DocumentStore.open(path)


def test_statistics_of_sqlite_are_no_stranger(tmp_path):
    path = tmp_path / "documents.sqlite"
    with DocumentStore.create(path, d_in=4, meta={}) as store:
        put(store, "a")
    sql(path, "ANALYZE")
    with DocumentStore.open(path) as store:
        assert len(store) == 1
        (trusted,), (sizes,) = store._database.rows("PRAGMA trusted_schema") + store._database.rows(
            "PRAGMA cell_size_check"
        )
        assert (trusted, sizes) == (0, 1)


@pytest.mark.slow
def test_a_disk_that_is_too_small_for_a_store_is_full_and_not_damaged(small_disk):
    disk = small_disk("512k")
    for kilobytes in range(8, 120, 4):
        subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", disk], check=True)
        try:
            with DocumentStore.create(disk / str(kilobytes) / "documents.sqlite", d_in=4, meta={}) as store:
                put(store, "a")
        except StorageError:
            pass
        else:
            break
        shutil.rmtree(disk / str(kilobytes), ignore_errors=True)
    assert 48 <= kilobytes < 116


def test_damage_inside(tmp_path):
    path = tmp_path / "documents.sqlite"
    with DocumentStore.create(path, d_in=4, meta={}) as store:
        put(store, "a", "b", "c")
    sql(path, "UPDATE documents SET vector = x'00' WHERE id = 'a'", "UPDATE documents SET values_ = '' WHERE id = 'b'",
        "UPDATE documents SET metadata = '{' WHERE id = 'c'")  # fmt: skip
    with DocumentStore.open(path) as store:
        for call in (
            lambda: store.vectors_of([1]),
            lambda: list(store.iter_vectors()),
            lambda: store.codes_of([2]),
            lambda: store.get(["c"]),
            lambda: store.rowids_where({"a": 1}),
        ):
            with pytest.raises(IndexFolderError, match="damaged"):
                call()


def test_what_looks_right_but_was_altered(tmp_path):
    """Each of these is a well-formed database that would answer; the checksums and the state say that it may not."""
    path = tmp_path / "documents.sqlite"
    with DocumentStore.create(path, d_in=4, meta={}) as store:
        put(store, "a", "b", "c", year=2024)
    whole = path.read_bytes()
    cases = {
        "UPDATE documents SET vector = zeroblob(16) WHERE id = 'a'": lambda s: s.vectors_of([1]),
        "UPDATE documents SET vector = (SELECT vector FROM documents WHERE id = 'b') WHERE id = 'a'": lambda s: list(
            s.iter_vectors()
        ),
        "UPDATE documents SET values_ = zeroblob(8) WHERE id = 'b'": lambda s: s.codes_of([2]),
        "UPDATE documents SET text = 'another' WHERE id = 'c'": lambda s: s.get(["c"]),
        "UPDATE documents SET text = 5 WHERE id = 'c'": lambda s: s.by_rowid([3]),
        "UPDATE documents SET metadata = '{\"year\": 2025}' WHERE id = 'c'": lambda s: s.rowids_where({"year": 2024}),
        "UPDATE documents SET id = 'd' WHERE id = 'c'": lambda s: s.get(["c"]),
        "UPDATE documents SET rowid = 9 WHERE id = 'c'": lambda s: s.rowids(),
        "DELETE FROM documents WHERE id = 'c'": lambda s: put(s, "c"),
        "INSERT INTO documents SELECT 9, 'd', checks, metadata, text, vector, latents, values_ FROM documents "
        "WHERE id = 'c'": lambda s: s.rowids(),
        "UPDATE meta SET value = 'x' WHERE key = 'state'": lambda s: None,
        "DELETE FROM meta WHERE key = 'state'": lambda s: None,
    }
    for statement, call in cases.items():
        path.write_bytes(whole)
        sql(path, statement)
        with pytest.raises(IndexFolderError, match=r"damaged .*: restore it from a copy"):
            with DocumentStore.open(path) as store:
                call(store)
    path.write_bytes(whole)
    sql(path, "PRAGMA writable_schema = 1", "UPDATE sqlite_master SET sql = replace(sql, 'id TEXT', 'id TEXU')")
    with pytest.raises(IndexFolderError, match="its tables are not those of a store"):
        DocumentStore.open(path)


def test_a_lost_log_is_noticed(tmp_path):
    path = tmp_path / "documents.sqlite"
    with DocumentStore.create(path, d_in=4, meta={}) as store:
        put(store, "a")
        put(store, "b")
        store.update_metadata(["a"], [{"x": 1}], replace=False)
        for name in ("documents.sqlite", "commits"):  # as a kill would leave it, but without documents.sqlite-wal
            (tmp_path / "killed" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "killed" / name).write_bytes((tmp_path / name).read_bytes())
    with pytest.raises(IndexFolderError, match="has 0 of 3 commits: its log was lost"):
        DocumentStore.open(tmp_path / "killed" / "documents.sqlite")
    for damage in ("", "x", "9 1", "999999999999999999 5\n", "\0\0"):  # a damaged note of it is no reason to refuse
        (tmp_path / "commits").write_text(damage)
        with DocumentStore.open(path) as store:
            assert len(store) == 2


def test_truncated_file(tmp_path):
    path = tmp_path / "documents.sqlite"
    with DocumentStore.create(path, d_in=4, meta={}) as store:
        for start in range(0, 400, 100):
            put(store, *(f"id{i}" for i in range(start, start + 100)))
    size = path.stat().st_size
    for length in (size // 2, 5000, 50):
        os.truncate(path, length)
        with pytest.raises(IndexFolderError, match=r"damaged|not a database of steersearch"):
            with DocumentStore.open(path) as store:
                list(store.iter_vectors())


def test_readonly(tmp_path):
    path = tmp_path / "documents.sqlite"
    with DocumentStore.create(path, d_in=4, meta={}) as store:
        put(store, "a")
        with DocumentStore.open(path, readonly=True) as reader:
            assert reader.readonly
            put(store, "b")
            assert len(reader) == 2  # sees what others commit
            for call in (lambda: put(reader, "c"), lambda: reader.delete(["a"]), lambda: reader.set_meta("a", "b")):
                with pytest.raises(StorageError, match="opened read-only"):
                    call()


def test_an_immutable_file_is_opened_again_when_it_was_written_to_and_not_when_it_was_replaced(tmp_path):
    path, other = tmp_path / "documents.sqlite", tmp_path / "other.sqlite"
    for name, id in ((path, "old"), (other, "new")):
        with DocumentStore.create(name, d_in=4, meta={}) as store:
            put(store, id)
    with DocumentStore.open(path, readonly=True) as store:
        store._database._frozen = ("as on a disk that is read-only",)
        before = store._database._connection
        assert store.get(["old"])[0] is not None
        assert store._database._connection is not before
        store._database._frozen = ("as on a disk that is read-only",)
        before = store._database._connection
        os.replace(other, path)
        assert store.get(["old"])[0] is not None
        assert store._database._connection is before


def test_a_second_writer_of_this_process(store):
    with DocumentStore.open(store.path) as other, store.writing():
        put(store, "a")  # re-entrant
        with pytest.raises(IndexLockedError, match="another process is writing to"):
            put(other, "b")
        assert len(other) == 1  # readers are not disturbed


@contextmanager
def child(code, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


HOLD = """
    import sys
    from pathlib import Path
    from steersearch.runtime.store.documents import DocumentStore
    with DocumentStore.open(Path(sys.argv[1])) as store, store.writing():
        print("held", flush=True)
        sys.stdin.readline()
    print("released", flush=True)
    sys.stdin.readline()
"""


def test_a_second_process_that_writes(store):
    put(store, "a")
    with child(HOLD, store.path) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(IndexLockedError, match=str(store.path.parent)) as caught:
            put(store, "b")
        holder = f"(process {process.pid} on {socket.gethostname()}, since 20"
        assert holder in str(caught.value)
        assert "wait until it is done, or stop it" in str(caught.value)
        assert store.lock.holder().startswith(f"process {process.pid} on ")
        for call in (lambda: store.delete(["a"]), lambda: store.set_meta("a", "b")):
            with pytest.raises(IndexLockedError):
                call()
        assert store.get(["a"])[0].text == "text of a"
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "released\n"
        put(store, "b")
    with child(HOLD, store.path) as process:
        assert process.stdout.readline() == "held\n"
        process.kill()
        process.wait()
        assert store.path.with_name("writer.json").exists()
        assert store.lock.holder() is None
        put(store, "c")  # a killed writer leaves no lock behind
        assert not store.path.with_name("writer.json").exists()
    assert len(store) == 3


def test_a_foreign_program_that_locks_the_database(store):
    store._database.rows("PRAGMA busy_timeout = 100")
    foreign = sqlite3.connect(store.path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    with pytest.raises(IndexLockedError, match="locked by another program"):
        put(store, "a")
    foreign.execute("ROLLBACK")
    foreign.close()
    put(store, "a")
    assert len(store) == 1


PUTS = """
    import sys
    from pathlib import Path
    import numpy as np
    from steersearch.runtime.store.documents import DocumentStore
    store = DocumentStore.open(Path(sys.argv[1]))
    vectors = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    for block in range(100_000):
        ids = [f"{block}-{i}" for i in range(20)] + ["again"]
        latents = np.zeros((21, 2), np.int64)
        store.put(ids, ids, [{"block": block}] * 21, np.vstack([vectors, vectors[:1]]), latents, latents)
        print(block, flush=True)
"""


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path):
    path = tmp_path / "documents.sqlite"
    DocumentStore.create(path, d_in=4, meta={}).close()
    acknowledged = -1
    for kill_after in (3, 17, 40):
        with child(PUTS, path) as process:
            for _ in range(kill_after):
                acknowledged = int(process.stdout.readline())
            process.kill()
            rest = process.stdout.read().split("\n")
            acknowledged = max([acknowledged, *(int(line) for line in rest[:-1])])
        with DocumentStore.open(path) as store:
            ids = [f"{block}-{i}" for block in range(acknowledged + 1) for i in range(20)]
            assert all(record is not None for record in store.get(ids))
            last = store.get(["again"])[0].metadata["block"]
            assert last in (acknowledged, acknowledged + 1)  # the block under way is all there or not at all
            assert len(store) % 20 == 1
            assert store.vectors_of(store.rowids()).shape == (len(store), 4)
            assert store._database.rows("PRAGMA integrity_check") == [("ok",)]


@pytest.fixture
def tiny_disk(small_disk):
    """A file system of 1 MB."""
    return small_disk("1m")


@pytest.mark.slow
def test_a_full_disk(tiny_disk):
    path = tiny_disk / "documents.sqlite"
    text = "x" * 20_000
    with DocumentStore.create(path, d_in=4, meta={}) as store:
        stored = 0
        with pytest.raises(StorageError, match="free space on the disk"):  # noqa: PT012
            for stored in range(100):
                store.put([str(stored)], [text], [{}], *arrays(1))
        assert 5 < stored < 60
        assert store.generation == len(store) == stored
        assert all(record.text == text for record in store.get([str(i) for i in range(stored)]))
    with DocumentStore.open(path) as store:
        assert len(store) == stored
        assert store._database.rows("PRAGMA integrity_check") == [("ok",)]
    (tiny_disk / "filler").write_bytes(b"")
    try:
        with (tiny_disk / "filler").open("wb", buffering=0) as filler:
            while filler.write(b"x" * 4096):
                pass
    except OSError:
        pass
    with pytest.raises(StorageError):
        DocumentStore.create(tiny_disk / "second" / "documents.sqlite", d_in=4, meta={})
    assert not [path for path in tiny_disk.rglob("*.tmp")]
    (tiny_disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", tiny_disk], check=True)  # space was freed
    with DocumentStore.open(path) as store:
        store.put(["more"], [text], [{}], *arrays(1))
        assert store.delete([str(i) for i in range(stored)]) == stored
        assert len(store) == 1


@pytest.mark.slow
def test_a_readonly_disk(tiny_disk):
    path = tiny_disk / "documents.sqlite"
    with DocumentStore.create(path, d_in=4, meta={}) as store:
        put(store, "a")
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    with DocumentStore.open(path, readonly=True) as store:
        assert store.get(["a"])[0].text == "text of a"
    with pytest.raises(StorageError):
        with DocumentStore.open(path) as store:
            put(store, "b")
