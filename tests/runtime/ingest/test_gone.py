"""What a source no longer has is dropped after a whole pass over it, and nothing else ever is."""

import json
import os

import pytest

from steersearch.corpus import Corpus
from steersearch.corpus.lines import MAX_LINE
from steersearch.errors import DataError
from steersearch.runtime import Added, SteerableIndex
from steersearch.runtime.ingest.replacing import gone_documents
from steersearch.runtime.ingest.shards import embed_shard
from steersearch.runtime.ingest.sources import Names


@pytest.fixture
def index(opened_bundle, tmp_path):
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        yield index


@pytest.fixture
def folder(tmp_path):
    for name, text in (("a.txt", "the moon"), ("b.txt", "the sun"), ("long.md", long(3))):
        write(tmp_path / "docs" / name, text)
    return tmp_path / "docs"


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def long(parts):
    return "\n\n".join(f"# Part {n}\n\n{'The number is an integer of the class. ' * 6}" for n in range(parts))


def ids(index):
    return sorted(index.documents()[0])


def stop(done, total):
    raise KeyboardInterrupt


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("name", "before", "after", "gone"),
    [
        ("x.txt", "the moon\nthe sun\nthe star\n", "the moon\n", ["2", "3"]),
        ("x.csv", "text\nthe moon\nthe sun\n", "text\nthe moon\n", ["3"]),
        ("x.jsonl", '{"text": "the moon"}\n{"text": "the sun"}\n', '{"text": "the moon"}\n', ["2"]),
        ("x.txt", "the moon\nthe sun\nthe star\n", "the moon\n\nthe star\n", ["2"]),
        (
            "x.jsonl",
            f'{{"text": "moon"}}\n{{"text": {json.dumps(long(3))}}}\n',
            '{"text": "moon"}\n',
            ["2#1", "2#2", "2#3"],
        ),
        ("x.jsonl", '{"text": "the moon"}\n', '{"id": "own", "text": "the moon"}\n', ["1"]),
    ],
)
def test_lines_that_are_gone(index, tmp_path, first, name, before, after, gone):
    if not first:
        index.add_from(write(tmp_path / "other.txt", "one\ntwo\nthree\n"))
    others, prefix = set(ids(index)), "" if first else f"{name}:"
    source = write(tmp_path / name, before)
    index.add_from(source)
    all_ids = set(ids(index)) - others
    assert {prefix + id for id in gone} <= all_ids
    write(source, after)
    assert index.add_from(source).dropped == len(gone)
    left = all_ids - {prefix + id for id in gone} | ({"own"} if "own" in after else set())
    assert set(ids(index)) - others == left
    assert others <= set(ids(index))
    assert index.add_from(source).dropped == 0


def test_ids_of_its_own_are_never_dropped(index, tmp_path):
    source = write(tmp_path / "x.jsonl", '{"id": "a", "text": "moon"}\n{"id": "b", "text": "sun"}\n')
    index.add_from(source)
    write(source, '{"id": "a", "text": "moon"}\n')
    assert index.add_from(source) == Added(0, 0, 1, 0)
    assert ids(index) == ["a", "b"]


def test_what_an_interrupted_first_run_stored_is_forgotten_too(index, tmp_path):
    folder = tmp_path / "docs"
    for number in range(40):
        write(folder / f"{number:02}.txt", f"The number {number} of the class.")
    with pytest.raises(KeyboardInterrupt):
        index.add_from(folder, progress=stop)
    (folder / "00.txt").unlink()
    assert index.add_from(folder).dropped == 1
    assert len(index) == 39


def test_an_interrupted_or_failed_run_drops_nothing(index, tmp_path):
    lines = write(tmp_path / "x.jsonl", '{"text": "the moon"}\n{"text": "the sun"}\n')
    index.add_from(lines)
    write(lines, '{"text": "the moon"}\n')
    with pytest.raises(KeyboardInterrupt):
        index.add_from(lines, progress=stop)
    write(lines, '{"text": "the moon"}\n{"tex')
    with pytest.raises(DataError, match="is not JSON"):
        index.add_from(lines)
    write(lines, "\n")
    with pytest.raises(DataError, match="is empty"):
        index.add_from(lines)
    assert ids(index) == ["1", "2"]


def test_a_file_that_was_emptied(index, folder):
    index.add_from(folder)
    write(folder / "a.txt", " \n")
    write(folder / "long.md", "")
    assert index.add_from(folder).dropped == 4
    assert ids(index) == ["b.txt"]


def test_what_cannot_be_read_keeps_what_it_had(index, folder, tmp_path):
    index.add_from(folder)
    (folder / "long.md").write_bytes(b"\xff")
    (folder / "a.txt").unlink()
    assert index.add_from(folder).dropped == 1
    assert ids(index) == ["b.txt", "long.md#1", "long.md#2", "long.md#3"]
    lines = write(tmp_path / "x.txt", "the moon\nthe sun\nthe star\n")
    index.add_from(lines)
    write(lines, "the moon\n" + "x" * (MAX_LINE + 1) + "\n")
    corpus = Corpus.open(lines)
    assert index.add_from(corpus).dropped == 1
    assert corpus.problems.keys() == {"2"}
    assert {"x.txt:1", "x.txt:2"} == {id for id in ids(index) if id.startswith("x.txt")}


@pytest.mark.parametrize("prefix", ["", "docs/"])
def test_what_is_in_an_unreadable_folder_stays(index, tmp_path, prefix):
    if prefix:
        index.add(["mine"], ids=["mine"])
    for name in ("sub/a.txt", "sub/b/c.txt", "submarine.txt", "z.txt"):
        write(tmp_path / "docs" / name, f"the {name}")
    index.add_from(tmp_path / "docs")
    names = Names(index._store, os.path.realpath(tmp_path / "docs"), "docs/")
    seen = {f"{prefix}z.txt"}
    assert gone_documents(index._store, names, seen, {"sub": "denied"}) == [f"{prefix}submarine.txt"]
    assert gone_documents(index._store, names, seen, {".": "denied"}) == []
    assert len(gone_documents(index._store, names, seen, {})) == 3


def test_a_persons_documents_stay(index, folder):
    index.add_from(folder)
    index.add(["mine now"] * 2, ids=["a.txt", "long.md#2"])
    (folder / "a.txt").unlink()
    (folder / "long.md").unlink()
    assert index.add_from(folder).dropped == 2
    assert ids(index) == ["a.txt", "b.txt", "long.md#2"]


def test_after_a_merge(folder, index, opened_bundle, tmp_path):
    index.add(["mine"], ids=["mine"])
    for number in (1, 2):
        embed_shard(folder, opened_bundle, tmp_path / "s", (number, 2))
    assert index.merge([tmp_path / "s"]).dropped == 0
    (folder / "a.txt").unlink()
    assert index.add_from(folder).dropped == 1
    (folder / "long.md").unlink()
    for number in (1, 2):
        embed_shard(folder, opened_bundle, tmp_path / "t", (number, 2))
    assert index.merge([tmp_path / "t"]).dropped == 3
    assert ids(index) == ["docs/b.txt", "mine"]
    # Both together are all that is there.
    assert index.merge([tmp_path / "s", tmp_path / "t"]).dropped == 0
    assert len(index) == 6


def test_a_merge_that_goes_on_knows_what_it_merged_before(index, opened_bundle, tmp_path):
    lines = write(tmp_path / "x.txt", "".join(f"the number {n}\n" for n in range(1100)))
    index.add(["mine"], ids=["mine"])
    index.add_from(lines)
    write(lines, "".join(f"the integer {n}\n" for n in range(1050)))
    embed_shard(lines, opened_bundle, tmp_path / "s")
    with pytest.raises(KeyboardInterrupt):
        index.merge([tmp_path / "s"], progress=stop)
    assert len(index) == 1101
    assert index.merge([tmp_path / "s"]).dropped == 50
    assert len(index) == 1051


def test_a_merge_keeps_what_could_not_be_read(folder, index, opened_bundle, tmp_path):
    index.add_from(folder)
    (folder / "a.txt").unlink()
    (folder / "b.txt").write_bytes(b"\xff")
    embed_shard(folder, opened_bundle, tmp_path / "s")
    assert index.merge([tmp_path / "s"]).dropped == 1
    assert ids(index) == ["b.txt", "long.md#1", "long.md#2", "long.md#3"]
