"""Epochs: the name of the last row's epoch says which documents there are up to it."""

import pytest

from steersearch.runtime.store.documents import DocumentStore
from steersearch.runtime.store.epochs import KEPT, Epochs, Origin


def put(store, *ids):
    n = len(ids)
    return store.put(ids, ["t"] * n, [{}] * n, [[1.0, 0.0]] * n, [[0]] * n, [[1.0]] * n)


def epochs_of(store):
    return Epochs.parse(dict(store._database.rows("SELECT key, value FROM meta"))["epochs"])


def test_what_is_written_is_read():
    epochs = Epochs(((0, "aa"), (1, "bb"), (513, "cc")))
    assert str(epochs) == "0:aa 1:bb 513:cc"
    assert str(Epochs.parse(str(epochs))) == str(epochs)
    assert Epochs.parse("").newest == ""
    with pytest.raises(ValueError, match="invalid literal"):
        Epochs.parse("a row:aa")


def test_the_origin_names_the_epoch_of_the_last_row():
    epochs = Epochs(((0, "aa"), (1, "bb"), (513, "cc")))
    assert epochs.origin(0) == Origin(0, "aa")
    assert epochs.origin(1) == Origin(1, "bb")
    assert [epochs.origin(row).epoch for row in (1, 512, 513, 9999)] == ["bb", "bb", "cc", "cc"]


@pytest.mark.parametrize(
    ("begun", "facts", "included"),
    [
        ("0:aa 1:bb", {"last_row": 7, "epoch": "bb"}, True),
        # A copy that went on from row 5, and a cache of the original up to row 7.
        ("0:aa 1:bb 6:cc", {"last_row": 7, "epoch": "bb"}, False),
        ("0:aa 1:bb 6:cc", {"last_row": 5, "epoch": "bb"}, True),
        ("0:aa 1:bb", {"last_row": 7, "epoch": "xx"}, False),
        # Caches without a name are of an older version, and so may the database be.
        ("0:aa 1:bb", {"generation": 3}, False),
        ("0:aa 1:bb", {"last_row": 7, "epoch": ""}, False),
        ("", {"generation": 3}, True),
        ("", {"last_row": 7, "epoch": ""}, True),
        ("", {"last_row": 7, "epoch": "bb"}, False),
        # The first epochs of a database of an older version, or of a very old one, are not known.
        ("501:bb", {"last_row": 500, "epoch": ""}, False),
    ],
)
def test_which_caches_are_of_a_database(begun, facts, included):
    assert Epochs.parse(begun).include(facts) is included


def test_an_epoch_without_rows_is_replaced_and_the_oldest_are_dropped():
    epochs = Epochs.parse("0:aa 6:bb")
    again = epochs.begin(6)
    assert str(again).startswith("0:aa 6:")
    assert again.newest not in ("aa", "bb")
    for row in range(7, 7 + 3 * KEPT):
        again = again.begin(row)
    assert len(str(again).split()) == KEPT
    assert again.include(again.origin(10**6).facts)


def test_every_writer_begins_one_with_its_first_document(tmp_path):
    path = tmp_path / "documents.sqlite"
    with DocumentStore.create(path, d_in=2, meta={}) as one, DocumentStore.open(path) as two:
        first = epochs_of(one).origin(0)
        put(one, "a")
        put(one, "b")
        mine = epochs_of(one).newest
        put(two, "c")
        put(one, "d")  # after another writer its epoch is a new one
        one.delete(["a"])
        one.update_metadata(["b"], [{"x": 1}], replace=False)
        starts = [item.partition(":")[0] for item in str(epochs_of(one)).split()]
        assert starts == ["0", "1", "3", "4"]
        assert epochs_of(one).origin(2).epoch == mine
        assert epochs_of(one).origin(0) == first
        assert one.origin == Origin(4, epochs_of(one).newest)
    with DocumentStore.create(tmp_path / "other.sqlite", d_in=2, meta={}) as other:
        put(other, "a", "b", "c", "d")
        assert not other.is_origin_of(Origin(4, mine).facts)


def test_a_write_that_failed_begins_none(tmp_path, monkeypatch):
    with DocumentStore.create(tmp_path / "documents.sqlite", d_in=2, meta={}) as store:
        before = str(epochs_of(store))
        with monkeypatch.context() as patched:
            patched.setattr(store._commits, "record", lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                put(store, "a")
        assert str(epochs_of(store)) == before
        put(store, "a")
        assert [item.partition(":")[0] for item in str(epochs_of(store)).split()] == ["0", "1"]
