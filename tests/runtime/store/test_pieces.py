"""Documents that were cut into chunks, as one: got, counted, changed; also in an index that an older version made."""

import shutil
from pathlib import Path

import pytest

from steersearch.errors import DataError
from steersearch.runtime import SteerableIndex
from steersearch.runtime.store.pieces import document_of, is_chunk, joined
from steersearch.runtime.store.row_encoding import Record

DATA = Path(__file__).parent.parent.parent / "data"
LONG = "\n\n".join(f"# Part {n}\n\n{' '.join(['The number is an integer of the class.'] * 2)}" for n in range(4))


@pytest.fixture
def index(tmp_path):
    """An index of the version before documents were known, of one long document, a short one, and one called a#1."""
    shutil.copytree(DATA / "chunked_index", tmp_path / "index")
    with SteerableIndex.open(tmp_path / "index", bundle=DATA / "tiny_bundle") as index:
        yield index


def test_a_long_document_is_got_whole(index):
    whole, chunk, short, other, gone = index.get(["guide.md", "guide.md#2", "short", "a#1", "guide"])
    assert whole.text == LONG
    assert whole.metadata == {"source": "guide.md", "title": "The guide", "year": 2020}
    assert whole.pieces == tuple(f"guide.md#{n}" for n in range(1, len(whole.pieces) + 1))
    assert len(whole.pieces) > 2
    assert chunk.metadata["chunk"] == 2
    assert LONG[chunk.metadata["start"] : chunk.metadata["end"]] == chunk.text
    assert (short.id, short.pieces, other.text, gone) == ("short", (), "not a chunk", None)
    assert "guide.md" in index
    assert "guide" not in index


def test_documents_are_counted(index):
    assert index.count() == 3
    assert len(index) == 2 + len(index.get(["guide.md"])[0].pieces)
    assert index.count({"year": 2020}) == 1
    assert index.count({"year": {"$gte": 2020}}) == 2
    stats = index.stats()
    assert (stats.documents, stats.pieces) == (3, len(index))
    assert f"3 documents in {len(index)} pieces" in repr(index)


def test_an_old_index_is_read_as_it_is(tmp_path):
    shutil.copytree(DATA / "chunked_index", tmp_path / "index")
    before = (tmp_path / "index" / "documents.sqlite").read_bytes()
    with SteerableIndex.open(tmp_path / "index", bundle=DATA / "tiny_bundle", readonly=True) as index:
        assert index.get(["guide.md"])[0].text == LONG
        assert index.count() == 3
    assert (tmp_path / "index" / "documents.sqlite").read_bytes() == before


def test_deleting_a_document_takes_all_of_it(index):
    assert index.delete(["guide.md", "guide", "short"]) == 2
    assert index.documents()[0] == ["a#1"]
    assert index.get(["guide.md"]) == [None]


def test_deleting_a_chunk_leaves_the_others_in_their_places(index):
    assert index.delete(["guide.md#2"]) == 1
    whole = index.get(["guide.md"])[0]
    assert "guide.md#2" not in whole.pieces
    assert "[…]" in whole.text
    for chunk in index.get(whole.pieces):
        assert whole.text[chunk.metadata["start"] : chunk.metadata["end"]] == chunk.text


def test_a_document_that_is_added_again_replaces_its_chunks_in_one_commit(index):
    generation = index.stats().generation
    index.add(["short now"], ids=["guide.md"])
    assert index.stats().generation == generation + 1
    assert sorted(index.documents()[0]) == ["a#1", "guide.md", "short"]
    index.add_from([("guide.md", LONG, {})], chunk_tokens=32)
    assert index.get(["guide.md"])[0].text == LONG
    assert index.count() == 3


def test_a_write_that_fails_keeps_the_chunks(index, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(index.store._commits, "record", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            index.add(["short now"], ids=["guide.md"])
    assert index.get(["guide.md"])[0].text == LONG


def test_metadata_of_a_document_is_that_of_all_its_chunks(index):
    index.update_metadata(["guide.md", "short"], [{"year": 2024, "start": "here"}, {"year": 1}])
    whole = index.get(["guide.md"])[0]
    assert whole.metadata == {"source": "guide.md", "title": "The guide", "year": 2024, "start": "here"}
    assert whole.text == LONG
    assert {record.metadata["year"] for record in index.get(whole.pieces)} == {2024}
    index.update_metadata(["guide.md"], [{"a": 1}], replace=True)
    assert index.get(["guide.md"])[0].metadata == {"source": "guide.md", "a": 1}
    assert index.get(["guide.md"])[0].text == LONG
    index.update_metadata(["guide.md#1"], [{"a": 2}])
    assert "a" not in index.get(["guide.md"])[0].metadata
    for ids in (["short", "gone"], ["short", "short"]):
        with pytest.raises(DataError):
            index.update_metadata(ids, [{"year": 9}] * 2)
    assert index.get(["short"])[0].metadata["year"] == 1


def test_what_is_a_chunk():
    place = {"chunk": 3, "start": 0, "end": 5}
    assert is_chunk("a#3", place)
    assert document_of("a#b#3", place) == "a#b"
    for id, metadata in [("a#2", place), ("a#3", {"chunk": 3}), ("a#3", {}), ("a#True", place | {"chunk": True})]:
        assert not is_chunk(id, metadata)
        assert document_of(id, metadata) == id


def test_blanks_between_chunks_are_as_many_as_there_were():
    def chunk(number, text, start):
        return Record(number, f"d#{number}", text, {"chunk": number, "start": start, "end": start + len(text)})

    made = joined("d", [chunk(1, "one two", 1), chunk(2, "two three", 5), chunk(3, "four", 15), chunk(4, "five", 21)])
    assert made.text == " one two three four\n\nfive"


def test_a_long_document_is_an_example_and_explained_by_its_chunks(index):
    vector = index._documents.vector_of("guide.md")
    rows = index.vectors(index.get(["guide.md"])[0].pieces)
    assert vector @ sum(rows) == pytest.approx(sum(float(vector @ row) for row in rows))
    assert vector @ vector == pytest.approx(1, abs=1e-5)
    assert index._documents.vector_of("nothing") is None
    with pytest.raises(DataError, match=r"it was cut: name one of 'guide\.md#1' to 'guide\.md#4'"):
        index.explain("number", "guide.md")
