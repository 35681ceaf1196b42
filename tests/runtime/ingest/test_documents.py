"""Documents of every source in an index: chunks, what is replaced, and what goes."""

import re
import tracemalloc
from itertools import repeat
from types import SimpleNamespace

import numpy as np
import pytest

from steersearch.corpus import Corpus, Document
from steersearch.errors import ConfigError, DataError
from steersearch.runtime import Added, SteerableIndex


@pytest.fixture
def index(opened_bundle, tmp_path):
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        yield index


@pytest.fixture
def notes(tmp_path):
    """A folder with a short file, and one that has three chunks of at most 64 tokens."""
    folder = tmp_path / "notes"
    (folder / "sub").mkdir(parents=True)
    (folder / "short.txt").write_text("A module is imported once.")
    (folder / "sub" / "long.md").write_text(long(3))
    return folder


def long(chunks):
    return "\n\n".join(
        f"# Part {n}\n\n{' '.join(repeat('The number is an integer of the class.', 6))}" for n in range(chunks)
    )


def ids(index):
    return sorted(index.documents()[0])


def test_a_folder_is_cut_and_its_hits_know_their_place(index, notes):
    assert index.add_from(notes) == Added(4, 0, 0, 0)
    assert ids(index) == ["short.txt", "sub/long.md#1", "sub/long.md#2", "sub/long.md#3"]
    second = index.get(["sub/long.md#2"])[0]
    start, end = second.metadata["start"], second.metadata["end"]
    assert second.text == long(3)[start:end]
    assert second.metadata == {
        "source": "sub/long.md",
        "chunk": 2,
        "start": start,
        "end": end,
        "heading": "Part 1",
    }
    assert index.get(["short.txt"])[0].metadata == {"source": "short.txt"}
    assert index.add_from(str(notes)) == Added(0, 0, 4, 0)


@pytest.mark.parametrize(("now", "left"), [(2, ["#1", "#2"]), (1, [""]), (5, ["#1", "#2", "#3", "#4", "#5"])])
def test_a_changed_file_replaces_its_chunks(index, notes, now, left):
    index.add_from(notes)
    (notes / "sub" / "long.md").write_text(long(now))
    assert index.add_from(notes).dropped == (3 if now == 1 else max(0, 3 - now))
    assert ids(index) == ["short.txt", *(f"sub/long.md{end}" for end in left)]
    (notes / "sub" / "long.md").write_text(long(3))
    assert index.add_from(notes).dropped == (1 if now == 1 else max(0, now - 3))
    assert ids(index) == ["short.txt", "sub/long.md#1", "sub/long.md#2", "sub/long.md#3"]


@pytest.mark.parametrize("now", [0, 1, 2])
def test_chunks_beyond_a_missing_one_go_too(index, notes, now):
    index.add_from(notes)
    # Neither "#2x" nor "#2#9" is a chunk of the file, and "#9" says no place in a text.
    mine = ["sub/long.md#2x", "sub/long.md#2#9", "sub/long.md#9", "sub/long.md$"]
    index.add(["mine"] * 4, ids=mine)
    index.delete(["sub/long.md#1"])
    file = notes / "sub" / "long.md"
    file.write_text(long(now)) if now else file.unlink()
    assert index.add_from(notes).dropped == (1 if now == 2 else 2)
    left = {0: [], 1: ["sub/long.md"], 2: ["sub/long.md#1", "sub/long.md#2"]}[now]
    assert ids(index) == sorted(["short.txt", *mine, *left])


def test_without_chunks_and_with_others(index, notes):
    index.add_from(notes)
    assert index.add_from(notes, chunk_tokens=0) == Added(1, 0, 1, 3)
    assert ids(index) == ["short.txt", "sub/long.md"]
    assert index.add_from(notes, chunk_tokens=32, overlap=0).dropped == 1
    assert len(index) > 5
    with pytest.raises(ConfigError, match="reads 16 to 64"):
        index.add_from(notes, chunk_tokens=65)


def test_files_that_are_gone_go_from_the_index(index, notes, tmp_path):
    index.add(["written by hand"], ids=["mine"])
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("another folder")
    (other / "b.txt").write_text("another file")
    index.add_from(notes)
    index.add_from(other)
    (notes / "sub" / "long.md").unlink()
    assert index.add_from(notes) == Added(0, 0, 1, 3)
    assert ids(index) == ["mine", "notes/short.txt", "other/a.txt", "other/b.txt"]
    (other / "b.txt").unlink()
    assert index.add_from(other) == Added(0, 0, 1, 1)
    assert ids(index) == ["mine", "notes/short.txt", "other/a.txt"]


def test_a_file_that_cannot_be_read_keeps_what_it_had(index, notes):
    index.add_from(notes)
    (notes / "short.txt").write_bytes(b"\xff\xff")
    corpus = Corpus.open(notes)
    assert index.add_from(corpus) == Added(0, 0, 3, 0)
    assert "byte 0xff is not UTF-8" in corpus.problems["short.txt"]
    assert len(index) == 4


def test_an_interrupted_run_goes_on_and_drops_nothing(index, notes, monkeypatch):
    index.add_from(notes)
    (notes / "short.txt").unlink()
    for number in range(40):
        (notes / f"new{number}.txt").write_text(f"The number {number} of the class.")

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.add_from(notes, progress=stop)
    assert len(index) == 4 + 32
    assert index.add_from(notes) == Added(8, 0, 32 + 3, 1)


def test_memory_is_that_of_a_block_and_not_of_the_folder(index, tmp_path, monkeypatch):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number}.txt").write_text("The number is an integer of the class. " * 800)  # 2 MB in all
    row = index.bundle.embed(["a text"])
    monkeypatch.setattr(index.bundle, "embed", lambda texts: np.repeat(row, len(texts), axis=0))
    seen = []
    tracemalloc.start()
    added = index.add_from(folder, progress=lambda done, total: seen.append(tracemalloc.get_traced_memory()[0]))
    tracemalloc.stop()
    assert added.embedded > 6000
    assert max(seen[3:]) - seen[2] < 200_000


def test_ids_that_people_chose_are_theirs(index):
    """A document called a#4 is no chunk of a, whatever becomes of a; a chunk and a document never share an id."""
    index.add(["my own"], ids=["a#4"], metadata=[{"chunk": "mine"}])
    index.add_from(Corpus.from_documents("c", [Document("a", long(3))]))
    index.add_from(Corpus.from_documents("c", [Document("a", "short now")]))
    assert ids(index) == ["a", "a#4"]
    both = [Document("a", long(3)), Document("a#2", "other")]
    for clash in (both, both[::-1]):
        with pytest.raises(DataError, match="a chunk and another document have the id 'a#2'"):
            index.add_from(Corpus.from_documents("c", clash))
    fine = [Document("a#x", "one"), Document("a#4", "two"), Document("a", long(3)), Document("a#0", long(2))]
    index.add_from(Corpus.from_documents("c", fine))
    assert ids(index) == ["a#0#1", "a#0#2", "a#1", "a#2", "a#3", "a#4", "a#x"]


def test_documents_in_memory_are_stored_as_they_are_unless_asked(index):
    assert index.add_from([("a", long(3), {}), ("b", "short", {})]) == Added(2, 0, 0, 0)
    assert index.add_from([("a", long(3), {"year": 1})], chunk_tokens=64) == Added(3, 0, 0, 1)
    assert ids(index) == ["a#1", "a#2", "a#3", "b"]
    assert index.get(["a#3"])[0].metadata["year"] == 1


def test_langchain_documents(index):
    """As loaders and text splitters give them: one after the other, most without an id."""
    made = [
        SimpleNamespace(page_content=f"The module {n} is imported.", metadata={"source": "m.pdf", "page": n}, id=None)
        for n in range(3)
    ]
    assert index.add_from(iter(made)) == Added(3, 0, 0, 0)
    assert index.add_from(made) == Added(0, 0, 3, 0)
    names = index.add(made)
    assert [name.rpartition("#")[0] for name in names] == ["m.pdf"] * 3
    assert index.get(names[1:2])[0].metadata == {"source": "m.pdf", "page": 1}
    assert index.add(made[:1], ids=["own"], metadata=[{"x": 1}]) == ["own"]
    assert index.get(["own"])[0].metadata == {"x": 1}
    assert len(index) == 4


def test_real_langchain_splitters(index, notes):
    core = pytest.importorskip("langchain_core.documents")
    whole = core.Document(page_content=long(2), metadata={"source": "long.md"})
    pieces = [core.Document(page_content=part, metadata=whole.metadata) for part in whole.page_content.split("\n\n")]
    assert index.add_from(pieces).embedded == 4
    assert all(re.fullmatch(r"long\.md#[0-9a-f]{16}(-2)?", id) for id in ids(index))
    assert index.add_from(pieces) == Added(0, 0, 4, 0)


@pytest.mark.parametrize("bad", [3, ("a", "b"), None, {"id": "a"}])
def test_what_is_no_document(index, bad):
    with pytest.raises(DataError, match="expected a string or a document of LangChain"):
        index.add_from([bad])


@pytest.mark.parametrize(
    ("bad", "message"),
    [('{"id": "d900", "text": "x', "line 901 is not JSON"), ('{"id": "d900"}', "line 901 has no text: it has id")],
)
def test_a_bad_row_costs_nothing_that_was_committed(index, tmp_path, bad, message):
    """Blocks before it stay, the error names file and line, and a run after mending goes on where it ended."""
    path = tmp_path / "rows.jsonl"
    lines = [f'{{"id": "d{number}", "text": "word {number}"}}' for number in range(1000)]
    path.write_text("\n".join([*lines[:900], bad, *lines[901:]]))
    with pytest.raises(DataError, match=rf"rows\.jsonl, {message}"):
        index.add_from(path)
    assert len(index) == 512
    assert index.get(["d0", "d511"])[1].text == "word 511"
    path.write_text("\n".join(lines))
    assert index.add_from(path) == Added(488, 0, 512, 0)
    assert len(index) == 1000
