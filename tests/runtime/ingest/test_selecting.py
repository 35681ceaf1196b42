"""Documents that are meant by id, source or filter."""

import pytest

from steersearch.errors import ConfigError, DataError, FilterError
from steersearch.runtime import SteerableIndex
from steersearch.runtime.ingest.selecting import nearest_ids, select

LONG = "\n\n".join(f"# Part {n}\n\n{'The number is an integer of the class. ' * 6}" for n in range(3))


@pytest.fixture
def index(opened_bundle, tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "short.txt").write_text("A module is imported once.")
    (folder / "long.md").write_text(LONG)
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        index.add_from([("mine", LONG, {"year": 2020, "source": "a book"}), ("b", "short", {"year": 2021})])
        index.add_from(folder)
        yield index


def test_by_source(index, tmp_path):
    assert set(select(index.store, source=str(tmp_path / "notes"))) == {"notes/short.txt", "notes/long.md"}
    assert index.delete(source="a book") == 1
    assert index.delete(source="notes/long.md") == 1
    assert index.delete(source=str(tmp_path / "notes")) == 1
    assert index.documents()[0] == ["b"]
    assert index.delete(source="nothing") == 0


def test_by_filter(index):
    chunks = select(index.store, filter={"source": "notes/long.md"})
    assert chunks == {"notes/long.md": [f"notes/long.md#{n}" for n in (1, 2, 3)]}
    assert select(index.store, filter={"chunk": 2}) == {"notes/long.md": ["notes/long.md#2"]}
    assert index.delete(filter={"year": {"$lt": 2021}}) == 1
    assert index.count() == 3


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({}, ConfigError),
        ({"ids": ["b"], "source": "x"}, ConfigError),
        ({"filter": {}}, ConfigError),
        ({"filter": {"$x": 1}}, FilterError),
        ({"source": ""}, DataError),
        ({"source": 3}, DataError),
        ({"ids": "b"}, DataError),
    ],
)
def test_wrong_use_removes_nothing(index, how, error):
    before = len(index)
    with pytest.raises(error):
        index.delete(**how)
    assert len(index) == before


def test_nearest_ids(index):
    assert nearest_ids(index.store, "long.md") == ["notes/long.md"]
    assert nearest_ids(index.store, "notes/shrt.txt") == ["notes/short.txt"]
    assert nearest_ids(index.store, "zzzzzz") == []
    assert nearest_ids(index.store, "\ud800") == []
