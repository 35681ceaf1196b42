"""Ids that sources made up: no two documents share one, a source finds its own again, nothing is lost silently."""

import gzip
import hashlib
import json
from collections import Counter
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest

from steersearch.corpus import Corpus, Document
from steersearch.corpus.rows import content_id, read_objects
from steersearch.errors import DataError
from steersearch.runtime import Added, SteerableIndex
from steersearch.runtime.ingest.adoption import adopt, facts_of
from steersearch.runtime.ingest.merge import shard_batches
from steersearch.runtime.ingest.shards import embed_shard
from steersearch.runtime.ingest.sources import unique_prefix


@pytest.fixture
def index(opened_bundle, tmp_path):
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        yield index


def ids(index):
    return sorted(index.documents()[0])


def texts_of(index):
    return dict(zip(*index.documents()[:2], strict=True))


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def long(parts):
    return "\n\n".join(f"# Part {n}\n\n{'The number is an integer of the class. ' * 6}" for n in range(parts))


def chunk(text, source="m.pdf", id=None):
    return SimpleNamespace(page_content=text, metadata={"source": source} if source else {}, id=id)


def test_the_first_source_keeps_its_ids_and_others_have_a_prefix(index, tmp_path):
    one, two = write(tmp_path / "one.txt", "an integer\na float\n"), write(tmp_path / "two.txt", "a class\na module\n")
    for _ in range(2):
        index.add_from(one)
        index.add_from(two)
    assert texts_of(index) == {"1": "an integer", "2": "a float", "two.txt:1": "a class", "two.txt:2": "a module"}
    write(two, "a class\nanother module\n")
    assert index.add_from(two) == Added(1, 0, 1, 0, replaced=1)
    assert index.get(["two.txt:2"])[0].text == "another module"
    assert index.add_from(one) == Added(0, 0, 2, 0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("two.csv", "text\na class\n"),
        ("two.jsonl", '{"text": "a class"}\n'),
        ("two.txt.gz", gzip.compress(b"a class\n", mtime=0)),
    ],
)
def test_every_kind_of_rows(index, tmp_path, name, content):
    index.add_from(write(tmp_path / "one.txt", "an integer\na float\n"))
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    index.add_from(tmp_path / name)
    assert len(index) == 3
    (made,) = set(ids(index)) - {"1", "2"}
    assert made.startswith(f"{name}:")


def test_a_table_of_parquet(index, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    index.add_from(write(tmp_path / "one.txt", "an integer\n"))
    parquet.write_table(pyarrow.table({"text": ["a class"]}), tmp_path / "t.parquet")
    index.add_from(tmp_path / "t.parquet")
    assert len(index) == 2


def test_folders_that_hold_files_of_the_same_name(index, tmp_path):
    """Each goes its own way: changes, chunks and removals of one leave the others alone."""
    folders = [tmp_path / "a" / "docs", tmp_path / "b" / "docs", tmp_path / "c" / "docs"]
    for number, folder in enumerate(folders):
        write(folder / "readme.txt", f"the module {number}")
        index.add_from(folder)
    assert texts_of(index) == {
        "readme.txt": "the module 0",
        "docs/readme.txt": "the module 1",
        "docs-2/readme.txt": "the module 2",
    }
    write(folders[1] / "readme.txt", long(3))
    assert index.add_from(folders[1]) == Added(3, 0, 0, 1)
    second = index.get(["docs/readme.txt#2"])[0].metadata
    assert (second["source"], second["chunk"]) == ("docs/readme.txt", 2)
    write(folders[1] / "readme.txt", "short again")
    assert index.add_from(folders[1]).dropped == 3
    write(folders[2] / "more.txt", "more")
    (folders[2] / "readme.txt").unlink()
    assert index.add_from(folders[2]) == Added(1, 0, 0, 1)
    assert ids(index) == ["docs-2/more.txt", "docs/readme.txt", "readme.txt"]


def test_a_prefix_is_never_that_of_a_document(index, tmp_path):
    write(tmp_path / "all" / "docs" / "one.txt", "an integer")
    index.add_from(tmp_path / "all")
    write(tmp_path / "docs" / "one.txt", "a class")
    index.add_from(tmp_path / "docs")
    assert ids(index) == ["docs-2/one.txt", "docs/one.txt"]
    write(tmp_path / "new" / "x.txt", "a module")
    index.add_from(tmp_path / "new")
    write(tmp_path / "all" / "new" / "x.txt", "an error")
    for _ in range(2):
        index.add_from(tmp_path / "all")
        assert ids(index) == ["./new/x.txt", "docs-2/one.txt", "docs/one.txt", "new/x.txt"]
    assert index.get(["./new/x.txt"])[0].text == "an error"
    (tmp_path / "all" / "new" / "x.txt").unlink()
    assert index.add_from(tmp_path / "all").dropped == 1
    assert ids(index) == ["docs-2/one.txt", "docs/one.txt", "new/x.txt"]


def test_single_files_are_named_by_their_folder(index, tmp_path):
    for name in ("a", "b"):
        index.add_from(write(tmp_path / name / "readme.md", f"the class {name}"))
    assert ids(index) == ["b/readme.md", "readme.md"]


def test_a_source_is_its_path_however_it_is_said(index, tmp_path, monkeypatch):
    write(tmp_path / "docs" / "one.txt", "an integer")
    index.add(["mine"], ids=["mine"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "docs")
    for name in ("docs", "./docs", tmp_path / "docs", "link"):
        index.add_from(name)
    assert ids(index) == ["docs/one.txt", "mine"]
    with SteerableIndex.open(index.path, readonly=True) as other:
        assert other._store.meta[f"source {tmp_path.resolve() / 'docs'}"] == "docs/"


def test_an_interrupted_first_run_keeps_its_prefix(index, tmp_path):
    """The prefix is recorded before the first document."""
    lines = write(tmp_path / "lines.txt", "".join(f"the number {n}\n" for n in range(600)))

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.add_from(lines, progress=stop)
    assert len(index) == 512
    index.add_from(lines)
    assert ids(index) == sorted(str(n) for n in range(1, 601))


def test_what_a_person_added_is_not_replaced_by_a_made_up_id(index, tmp_path):
    lines = write(tmp_path / "lines.txt", "an integer\na float\n")
    index.add_from(lines)
    index.add(["my own words"], ids=["2"], metadata=[{"by": "me"}])
    with pytest.raises(DataError, match="'2' is the line or file of a source without ids"):
        index.add_from(lines)
    assert index.get(["2"])[0].text == "my own words"
    index.delete(["2"])
    assert index.add_from(lines).embedded == 1
    index.update_metadata(["2"], [{"seen": True}])
    assert index.add_from(lines) == Added(0, 1, 1, 0)


def test_files_that_are_gone_do_not_take_a_persons_document(index, tmp_path):
    folder = tmp_path / "docs"
    write(folder / "a.txt", "an integer")
    write(folder / "b.txt", long(3))
    index.add_from(folder)
    index.add(["mine now", "mine too"], ids=["a.txt", "b.txt"])
    (folder / "a.txt").unlink()
    write(folder / "c.txt", "a class")
    with pytest.raises(DataError, match=r"another document 'b\.txt' already"):
        index.add_from(folder)
    assert {"a.txt", "b.txt"} <= set(ids(index))
    assert "b.txt#1" not in ids(index)
    (folder / "b.txt").unlink()
    assert index.add_from(folder).embedded == 1
    assert ids(index) == ["a.txt", "b.txt", "c.txt"]


def test_ids_of_a_file_do_not_replace_made_up_ones(index, tmp_path):
    index.add_from(write(tmp_path / "lines.txt", "an integer\n"))
    table = write(tmp_path / "t.csv", "id,text\n1,a class\n")
    with pytest.raises(DataError, match="'1' is the id of a document here, and a line or file"):
        index.add_from(table)
    assert texts_of(index) == {"1": "an integer"}
    # Whoever names it in a program means it.
    index.add_from([("1", "a class", {})])
    assert texts_of(index) == {"1": "a class"}


def test_replacing_is_counted(index, tmp_path):
    index.add_from([("a", "an integer", {}), ("b", "a float", {})])
    again = [("a", "an integer", {}), ("b", "another float", {}), ("b", "a third", {})]
    assert index.add_from(again) == Added(1, 0, 1, 0, replaced=2)
    first, second = (write(tmp_path / f"{n}.csv", f"id,text\na,the class {n}\n") for n in (1, 2))
    assert index.add_from(first).replaced == 1
    assert index.add_from(second).replaced == 1
    assert (Added(replaced=1) + Added(1, replaced=2)).replaced == 3


def test_texts_in_memory_are_new_ones(index):
    for _ in range(2):
        index.add_from(["an integer"])
        index.add_from(Corpus.open(["an integer"]))
    assert len(index) == 4
    assert index.add_from(Corpus.from_documents("c", [Document("0", "a class", made_up=True)])).embedded == 1
    assert len(index) == 5


def test_ten_chunks_of_one_source_in_three_calls(index):
    made = [chunk(f"The number {n} of the class.") for n in range(10)]
    for _ in range(2):
        for part in (made[:4], made[4:8], made[8:]):
            index.add_from(part)
    assert len(index) == 10
    for part in (made[:4], made[4:8], made[8:]):
        index.add(part)
    assert len(index) == 10


def test_equal_documents_without_ids(index):
    twice = [chunk("an integer", None), chunk("an integer", None), chunk("an integer")]
    first = index.add(twice)
    assert first[1] == f"{first[0]}-2"
    assert first[2].startswith("m.pdf#")
    assert index.add(twice) == first
    assert index.add_from(twice) == Added(0, 0, 3, 0)
    assert [row.made_up for row in read_objects([*twice, "a text"])] == [False, False, False, True]
    with pytest.raises(DataError, match="occurs twice"):
        index.add([chunk("a", id="x"), chunk("b", id="x")])


def test_an_id_of_content_is_the_same_everywhere():
    assert content_id("a", {"source": "s", "page": 1}, Counter()) == "s#c7e9b59a429b314b"
    assert len(content_id("a", {}, Counter())) == 32
    loop = {"a": []}
    loop["a"].append(loop)
    for odd in ({1: "x", "b": 2}, loop):
        assert len(content_id("a", odd, Counter())) == 32


def test_documents_of_a_corpus_by_themselves(index, tmp_path):
    corpora = [Corpus.open(write(tmp_path / f"{n}.txt", f"the number {n}\n")) for n in (1, 2)]
    for _ in range(2):
        for corpus in corpora:
            index.add_from(corpus.documents())
    assert sorted(texts_of(index).values()) == ["the number 1", "the number 2"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ((1, "text", {}), r"the id 1 \(int\): expected a string"),
        ((["a"], "text", {}), "expected a string"),
        (("a", None, {}), r"the text None \(NoneType\)"),
        (("a", "text", None), "the metadata None"),
        (Document("a", 3), "the text 3"),
    ],
)
def test_documents_of_odd_types(index, document, message):
    for tokens in (None, 32):
        with pytest.raises(DataError, match=message):
            index.add_from([document], chunk_tokens=tokens)


def test_a_chunk_replaces_chunks_of_its_document_only(index, tmp_path):
    """Before anything of the document is stored."""
    index.add(["my own"], ids=["a#2"])
    with pytest.raises(DataError, match="'a#2' would replace a document that is no chunk"):
        index.add_from([("a", long(3), {})], chunk_tokens=64)
    assert texts_of(index) == {"a#2": "my own"}
    index.delete(["a#2"])
    for parts in (3, 4):
        index.add_from([("a", long(parts), {})], chunk_tokens=64)
    assert ids(index) == ["a#1", "a#2", "a#3", "a#4"]
    with pytest.raises(DataError, match="a document would replace the chunk 'a#2'"):
        index.add_from([("a#2", "other", {})])
    table = tmp_path / "t.jsonl"
    table.write_text(json.dumps({"id": "a#3", "text": "other"}))
    with pytest.raises(DataError, match="a document would replace the chunk 'a#3'"):
        index.add_from(table)


def test_a_chunk_in_a_later_batch(index):
    """The check comes with the cut, not with the batch of 512 that the chunk falls into."""
    index.add(["my own"], ids=["a#600"])
    with pytest.raises(DataError, match="'a#600' would replace"):
        index.add_from([("a", "The number is an integer of the class. " * 3000, {})], chunk_tokens=16)
    assert ids(index) == ["a#600"]


@pytest.fixture
def two(tmp_path):
    folders = [tmp_path / name / "docs" for name in ("a", "b")]
    for number, folder in enumerate(folders):
        write(folder / "readme.txt", f"the module {number}{'!' * number}")
        write(folder / "guide.md", long(3))
        write(folder / "rows.txt", "not rows here")
    return folders


def test_shards_get_the_ids_that_indexing_gives(two, opened_bundle, tmp_path):
    lines = write(tmp_path / "lines.txt", "an integer\n" + long(3).replace("\n", " ") + "\n")
    for number, source in enumerate((*two, lines)):
        embed_shard(source, opened_bundle, tmp_path / "s" / str(number))
    with (
        SteerableIndex.create(tmp_path / "merged", opened_bundle) as merged,
        SteerableIndex.create(tmp_path / "indexed", opened_bundle) as indexed,
    ):
        for number, source in enumerate((*two, lines)):
            assert merged.merge([tmp_path / "s" / str(number)]).replaced == 0
            indexed.add_from(source)
        records = [
            [(r.id, r.text, r.metadata) for r in one._store.by_rowid(one._store.rowids())] for one in (merged, indexed)
        ]
        assert records[0] == records[1]
        assert {"guide.md#2", "docs/guide.md#2", "lines.txt:1", "lines.txt:2#2"} <= {id for id, *_ in records[0]}
        # A source that was merged is found again by its path, and the other way round.
        write(two[1] / "readme.txt", "changed")
        write(two[1] / "guide.md", "short")
        assert merged.add_from(two[1]) == Added(2, 0, 1, 3, replaced=1)
        embed_shard(two[1], opened_bundle, tmp_path / "again")
        assert indexed.merge([tmp_path / "again"]).replaced == 1
        assert ids(merged) == ids(indexed)


def test_a_merge_replaces_nothing_of_a_person(two, opened_bundle, tmp_path):
    embed_shard(two[0], opened_bundle, tmp_path / "s")
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        index.add_from(two[0])
        index.add(["mine"], ids=["readme.txt"])
        with pytest.raises(DataError, match=r"'readme\.txt' is the line or file"):
            index.merge([tmp_path / "s"])
        assert index.get(["readme.txt"])[0].text == "mine"


def test_shards_of_several_sources_in_another_engine(two, opened_bundle, tmp_path):
    folders = [embed_shard(source, opened_bundle, tmp_path / "s" / str(i))[0] for i, source in enumerate(two)]
    found = [d.id for batch, *_ in shard_batches(folders, opened_bundle) for d in batch.documents]
    assert len(set(found)) == len(found) == 10
    prefix = unique_prefix(str(two[0].resolve()), "docs/")
    assert prefix.startswith("docs-")
    assert f"{prefix}readme.txt" in found
    again = [d.id for batch, *_ in shard_batches(folders[:1], opened_bundle) for d in batch.documents]
    assert again == found[:5]


def test_shards_of_the_older_version(two, opened_bundle, tmp_path):
    """Without the flag and the origin their ids are taken as they are."""
    folder, shard = embed_shard(two[0], opened_bundle, tmp_path / "s")
    (part,) = shard.parts
    with np.load(folder / f"{part.sha256[:32]}.npz") as arrays:
        content = {name: arrays[name] for name in arrays.files}
    documents = json.loads(content["documents"].tobytes())
    documents["documents"] = [row[:3] for row in documents["documents"]]
    stream = BytesIO()
    np.savez(stream, **content | {"documents": np.frombuffer(json.dumps(documents).encode(), np.uint8)})
    sha256 = hashlib.sha256(stream.getvalue()).hexdigest()
    (folder / f"{sha256[:32]}.npz").write_bytes(stream.getvalue())
    header = json.loads((folder / "shard.json").read_text())
    del header["origin"], header["prefix"]
    header |= {"format_version": 1, "parts": [[part.block, part.documents, sha256]]}
    (folder / "shard.json").write_text(json.dumps(header))
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        assert index.merge([folder]).documents == 5
        assert "readme.txt" in ids(index)
    folder, _ = embed_shard(two[0], opened_bundle, tmp_path / "s", resume=True)
    header |= {"positions": None}
    (folder / "shard.json").write_text(json.dumps(header))
    with pytest.raises(Exception, match="begun with another format_version"):
        embed_shard(two[0], opened_bundle, tmp_path / "s", resume=True)


def test_documents_of_a_plain_index_keep_their_source_when_it_gets_a_bundle(opened_bundle, tmp_path):
    lines = write(tmp_path / "lines.txt", "an integer\n")
    path = tmp_path / "index"
    with SteerableIndex.create(path, opened_bundle) as index:
        index.add_from(lines)
        adopt(index._store, opened_bundle, facts_of(opened_bundle, path))
        assert index._store.owners_of(["1"]) == {"1": ""}
        write(lines, "a float\n")
        assert index.add_from(lines).replaced == 1
