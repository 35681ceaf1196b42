"""Names of commits: what was removed between two of them, and when nobody knows."""

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from steersearch.runtime.store.checksums import checks_with_metadata
from steersearch.runtime.store.documents import DocumentStore
from steersearch.runtime.store.revisions import KEPT


@pytest.fixture
def store(tmp_path):
    with DocumentStore.create(tmp_path / "documents.sqlite", d_in=2, meta={}) as made:
        put(made, *"abcdef")
        yield made


def put(store, *ids):
    none = np.empty((len(ids), 0), np.int64)
    return store.put(ids, list(ids), [{}] * len(ids), np.ones((len(ids), 2)), none, none)


def test_what_was_removed_since_a_revision(store):
    first = store.revision
    assert store.removed_since(first).tolist() == []
    store.delete(["b", "?"])
    second = store.revision
    put(store, "d", "g")  # replaces d, of row 4
    store.update_metadata(["a"], [{"n": 1}], replace=False)
    store.delete(["g"])
    assert sorted(store.removed_since(first).tolist()) == [2, 4, 8]
    assert sorted(store.removed_since(second).tolist()) == [4, 8]
    assert store.removed_since(store.revision).tolist() == []
    assert store.removed_since(None) is None
    assert store.removed_since("1 0123456789abcdef") is None


def test_nobody_knows_what_another_writer_removed(store):
    first = store.revision
    with DocumentStore.open(store.path) as other:
        other.delete(["a"])
        assert other.removed_since(first).tolist() == [1]
    assert store.removed_since(first) is None
    between = store.revision
    store.delete(["b"])
    assert store.removed_since(first) is None
    assert store.removed_since(between).tolist() == [2]


def test_a_commit_that_fails_is_not_remembered(store, monkeypatch):
    first = store.revision
    calls = iter([1, 1, 0])
    with monkeypatch.context() as patch:  # the third check is the last step before the commit
        patch.setattr(store._database, "check_in_place", lambda: 1 / next(calls))
        with pytest.raises(ZeroDivisionError):
            store.delete(["a"])
    assert (store.revision, store.removed_since(first).tolist()) == (first, [])
    store.delete(["b"])
    assert store.removed_since(first).tolist() == [2]


def test_the_oldest_removals_are_forgotten(store):
    first = store.revision
    for i in range(KEPT + 1):
        store.update_metadata(["a"], [{"n": i}], replace=False)
        assert (store.removed_since(first) is None) == (i == KEPT)


def as_an_older_version(path, id, metadata):
    """Commit as versions without names do: only the number of commits changes."""
    with closing(sqlite3.connect(path)) as database:
        rowid, checks = database.execute("SELECT rowid, checks FROM documents WHERE id = ?", (id,)).fetchone()
        made = metadata, checks_with_metadata(checks, rowid, id, metadata), rowid
        database.execute("UPDATE documents SET metadata = ?, checks = ? WHERE rowid = ?", made)
        (state,) = database.execute("SELECT value FROM meta WHERE key = 'state'").fetchone()
        commits, *rest = state.split()
        database.execute("UPDATE meta SET value = ? WHERE key = 'state'", (" ".join([str(int(commits) + 1), *rest]),))
        database.commit()


def test_metadata_has_another_name_after_a_write_of_an_older_version(store):
    names = [store.metadata_changes]
    put(store, "g")
    assert store.metadata_changes == names[0]
    as_an_older_version(store.path, "a", '{"n": 7}')
    assert store.revision is None
    names.append(store.metadata_changes)
    put(store, "h")
    names.append(store.metadata_changes)
    assert len(set(names)) == 3


def test_metadata_of_two_copies_has_two_names(store, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy") / "store"
    shutil.copytree(store.path.parent, copy)
    store.update_metadata(["a"], [{"n": 1}], replace=False)
    with DocumentStore.open(copy / "documents.sqlite") as other:
        other.update_metadata(["a"], [{"n": 2}], replace=False)
        assert other.metadata_changes != store.metadata_changes
        assert other.generation == store.generation
