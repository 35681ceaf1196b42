"""Sources of an index that was made by a version that recorded no sources."""

import hashlib
import json
import sqlite3

import pytest

from steersearch.errors import DataError
from steersearch.runtime import Added, SteerableIndex
from steersearch.runtime.ingest.sources import SOURCE

LONG = "# Part\n\n" + "The number is an integer of the class. " * 20


@pytest.fixture
def folder(tmp_path, opened_bundle):
    """An index that is not there yet."""
    SteerableIndex.create(tmp_path / "index", opened_bundle).close()
    return tmp_path / "index"


@pytest.fixture
def opened(opened_bundle, folder):
    return lambda: SteerableIndex.open(folder, bundle=opened_bundle)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def make_old(folder):
    """Take away what older versions did not store."""
    database = sqlite3.connect(folder / "documents.sqlite")
    with database:
        database.execute("DELETE FROM meta WHERE key = 'epochs' OR key LIKE 'source %'")
        database.execute("DELETE FROM made_up")
    database.close()


def record(folder, notes):
    """Write the list of files that older versions kept of a folder, and return its path."""
    path = folder / "folders" / f"{hashlib.sha256(str(notes).encode()).hexdigest()[:16]}.json"
    return write(path, json.dumps(sorted(file.name for file in notes.iterdir())))


def ids(index):
    return sorted(index.documents()[0])


@pytest.fixture
def notes(tmp_path, folder, opened):
    """A folder of three files, one of them cut, that an older version indexed beside a document of a person."""
    notes = tmp_path / "notes"
    for name, content in (("a.txt", "moon"), ("gone.txt", "star"), ("long.md", LONG)):
        write(notes / name, content)
    with opened() as index:
        index.add_from(notes, chunk_tokens=32)
        index.add(["mine"], ids=["mine"])
        assert ids(index)[:2] == ["a.txt", "gone.txt"]
        assert len(index) > 5
    make_old(folder)
    record(folder, notes)
    return notes


def test_a_folder_keeps_its_ids_and_is_updated(notes, opened, caplog):
    write(notes / "a.txt", "a new moon")
    write(notes / "long.md", "now short")
    (notes / "gone.txt").unlink()
    with opened() as index:
        before = len(index)
        added = index.add_from(notes, chunk_tokens=32)
        assert added == Added(2, 0, 0, before - 2, replaced=1)
        assert ids(index) == ["a.txt", "long.md", "mine"]
        assert index._store.owners_of(ids(index)) == {"a.txt": "", "long.md": ""}
        assert index.add_from(notes, chunk_tokens=32) == Added(0, 0, 2, 0)
    assert "older version" not in caplog.text


def test_a_damaged_record_drops_nothing(notes, folder, opened, caplog):
    record(folder, notes).write_text("[")
    (notes / "gone.txt").unlink()
    with opened() as index:
        assert index.add_from(notes, chunk_tokens=32).dropped == 0
        assert "files that are gone stay in the index" in caplog.text
        assert {"gone.txt", "a.txt", "notes/a.txt"} <= set(ids(index))


def test_an_interrupted_upgrade_goes_on(notes, opened):
    with opened() as index:
        index._store.set_owners({"a.txt": ""})
        before = len(index)
        assert index.add_from(notes, chunk_tokens=32) == Added(0, 0, before - 1, 0)
        assert SOURCE + str(notes) in index._store.meta


def test_what_a_person_put_in_the_place_of_a_file_is_not_taken_over(notes, opened):
    with opened() as index:
        index.add(["by hand"], ids=["a.txt"])
        with pytest.raises(DataError, match=r"'a\.txt' is the line or file of a source"):
            index.add_from(notes, chunk_tokens=32)
        assert index.get(["a.txt"])[0].text == "by hand"


def test_of_two_folders_the_first_keeps_its_ids_and_the_other_is_told_of(notes, folder, opened, tmp_path, caplog):
    other = write(tmp_path / "other" / "a.txt", "sun").parent
    write(other / "b.txt", "earth")
    with opened() as index:
        index.add_from(notes, chunk_tokens=32)
        index._store.delete(["a.txt"])
        index.add(["sun", "earth"], ids=["a.txt", "b.txt"], metadata=[{"source": "a.txt"}, {"source": "b.txt"}])
    make_old(folder)
    with opened() as index:
        index.add_from(notes, chunk_tokens=32)
        index.add_from(other)
        assert {"a.txt", "b.txt", "other/a.txt", "other/b.txt"} <= set(ids(index))
    (warning,) = [line for line in caplog.messages if "older version" in line]
    assert "such as 'b.txt', which now begin with 'other/'" in warning


# The header is line 1.
def test_earlier_lines_of_a_file_are_told_of(folder, opened, tmp_path, caplog):
    lines = write(tmp_path / "lines.csv", "text\nmoon\nstar\n")
    with opened() as index:
        index.add_from(lines)
        assert ids(index) == ["2", "3"]
    make_old(folder)
    with opened() as index:
        index.add_from(lines)
        assert ids(index) == ["2", "3", "lines.csv:2", "lines.csv:3"]
        index.add_from(lines)
    assert len([line for line in caplog.messages if "older version" in line]) == 1


def test_nothing_is_said_of_an_index_of_this_version(opened, tmp_path, caplog):
    with opened() as index:
        index.add(["mine"], ids=["2"])
        index.add_from(write(tmp_path / "lines.csv", "text\nmoon\nstar\n"))
        assert ids(index) == ["2", "lines.csv:2", "lines.csv:3"]
    assert "older version" not in caplog.text
