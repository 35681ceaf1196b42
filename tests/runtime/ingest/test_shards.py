"""Many processes embed, one joins: the index is the one that a single process makes."""

import json
import shutil

import numpy as np
import pytest

from steersearch.corpus import Corpus
from steersearch.errors import ConfigError, DataError, IndexLockedError, StorageError
from steersearch.runtime.index import SteerableIndex
from steersearch.runtime.ingest import shards as module
from steersearch.runtime.ingest.merge import shard_batches
from steersearch.runtime.ingest.shards import HEADER, embed_shard, read_shard
from steersearch.runtime.store.write_lock import WriterLock

ROWS = 2300
"""Five blocks of 512."""


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    path = tmp_path_factory.mktemp("shards") / "docs.jsonl"
    rows = []
    for i in range(ROWS):
        text = f"The number {i} is an integer; the name of module {i * 7} is class {i % 13}. " * (
            9 if i % 50 == 7 else 1
        )
        rows.append({"id": f"d{i}", "text": text if i % 97 else " ", "year": i % 30})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def alone(documents, opened_bundle, tmp_path_factory):
    """What one process makes."""
    path = tmp_path_factory.mktemp("alone") / "index"
    with SteerableIndex.create(path, opened_bundle) as index:
        index.add_from(documents)
    return path


@pytest.fixture(scope="module")
def made(documents, opened_bundle, tmp_path_factory):
    """Three shards; shared, so a test that alters them works on a copy."""
    out = tmp_path_factory.mktemp("made") / "shards"
    for number in (2, 3, 1):
        embed_shard(documents, opened_bundle, out, (number, 3))
    return out


@pytest.fixture
def shards(made, tmp_path):
    return shutil.copytree(made, tmp_path / "shards")


def content(path, bundle):
    with SteerableIndex.open(path, bundle=bundle) as index:
        store = index._store
        rows = store.rowids()
        records = [(r.id, r.text, r.metadata) for r in store.by_rowid(rows)]
        hits = [
            [(hit.id, hit.score) for hit in index.search(query, 20, boost=boost, filter=where, view=view)]
            for query, boost, where, view in (
                ("a number", None, None, "dense"),
                ("a module", {"class": 1.0}, {"year": {"$gte": 10}}, "dense"),
                ("a class", {"an exception is raised": -1.0}, None, "latent"),
            )
        ]
        return records, store.vectors_of(rows), *store.codes_of(rows), hits


def assert_same(path, other, bundle):
    (records, vectors, latents, values, hits), expected = content(path, bundle), content(other, bundle)
    assert records == expected[0]
    assert np.array_equal(vectors, expected[1])
    assert np.array_equal(latents, expected[2])
    assert np.array_equal(values, expected[3])
    assert hits == expected[4]


def test_the_merged_index_is_that_of_one_process(shards, alone, opened_bundle, tmp_path):
    sizes = [read_shard(folder).documents for folder in sorted(shards.iterdir())]
    assert sizes[0] > sizes[1] > sizes[2] > 200  # two blocks, two blocks of which one is short, one block
    seen = []
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        total, problems, replaced, dropped = index.merge([shards], progress=lambda *done: seen.append(done))
        assert (total, problems, replaced, dropped, len(index)) == (sum(sizes), {}, 0, 0, sum(sizes))
        assert seen[-1] == (total, total)
        assert index.merge([shards])[0] == total  # nothing is put there twice
        assert index._store.generation == len(seen)
    assert_same(tmp_path / "index", alone, opened_bundle)


def test_many_more_shards_than_blocks(documents, alone, opened_bundle, tmp_path):
    for number in range(1, 8):
        _, shard = embed_shard(documents, opened_bundle, tmp_path / "s", (number, 7))
        assert (shard.documents > 0) == (number <= 5)
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        index.merge(sorted((tmp_path / "s").iterdir(), reverse=True))
    assert_same(tmp_path / "index", alone, opened_bundle)


def test_a_folder_of_files(opened_bundle, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    for number in range(100):
        (notes / f"{number:03}.txt").write_text(f"The class {number} is imported from a module. " * (number % 17))
    (notes / "bad.txt").write_bytes(b"\0")
    for number in (1, 2):
        embed_shard(notes, opened_bundle, tmp_path / "s", (number, 2))
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        assert index.merge([tmp_path / "s"]).problems.keys() == {"bad.txt"}
    with SteerableIndex.create(tmp_path / "alone", opened_bundle) as index:
        index.add_from(notes)
    assert_same(tmp_path / "index", tmp_path / "alone", opened_bundle)


class Stop(Exception):
    """Where a kill would be."""


def stop_after(calls, function):
    left = iter([True] * calls)

    def stopped(*arguments, **named):
        if not next(left, False):
            raise Stop
        return function(*arguments, **named)

    return stopped


@pytest.mark.parametrize("writes", range(1, 9))
def test_a_shard_goes_on_after_any_write(documents, made, opened_bundle, tmp_path, monkeypatch, writes):
    """The first is the header; a block is a part or two and the header again."""
    arguments = (documents, opened_bundle, tmp_path, (1, 3))
    with monkeypatch.context() as patched:
        patched.setattr(module, "replace_file", stop_after(writes, module.replace_file))
        if writes < 7:
            with pytest.raises(Stop):
                embed_shard(*arguments)
        else:
            embed_shard(*arguments)
    embedded = []
    folder, shard = embed_shard(*arguments, resume=True, progress=embedded.append)
    assert shard == read_shard(made / folder.name)
    assert len(list(folder.glob("*.npz"))) == len(shard.parts) == 4
    assert len(embedded) == (4 if writes <= 3 else 2 if writes <= 6 else 0)


@pytest.mark.parametrize("parts", [0, 1, 4, 6])
@pytest.mark.parametrize("when", ["put", "set_meta"])
def test_a_merge_goes_on_after_any_part(shards, alone, opened_bundle, tmp_path, monkeypatch, parts, when):
    path = tmp_path / "index"
    with SteerableIndex.create(path, opened_bundle) as index:
        monkeypatch.setattr(index._store, when, stop_after(parts, getattr(index._store, when)))
        with pytest.raises(Stop):
            index.merge([shards])
        assert (len(index) > 0) == (parts > 0 or when == "set_meta")
    with SteerableIndex.open(path, bundle=opened_bundle) as index:
        index.merge([shards])
    assert_same(path, alone, opened_bundle)


def test_merging_into_an_index_replaces(shards, alone, opened_bundle, tmp_path):
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        index.add(["mine", "older", "older"], ids=["mine", "d7", "d1"])
        assert index.merge([shards]).replaced == 1
        assert len(index) == len(content(alone, opened_bundle)[0]) + 1
        assert index.get(["d7"])[0].pieces == ("d7#1", "d7#2", "d7#3")
        assert index.get(["d1"])[0].text.startswith("The number 1 ")


def test_merging_again_puts_back_what_is_gone(opened_bundle, tmp_path):
    for name in "abc":
        (tmp_path / "docs").mkdir(exist_ok=True)
        (tmp_path / "docs" / f"{name}.txt").write_text(f"the text of {name}", encoding="utf-8")
    embed_shard(tmp_path / "docs", opened_bundle, tmp_path / "shards")
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        index.merge([tmp_path / "shards"])
        index.delete(["b.txt"])
        assert index.merge([tmp_path / "shards"]).replaced == 0
        assert [r and r.text for r in index.get(["b.txt"])] == ["the text of b"]
        rows = index._store.rowids().tolist()
        # What is as it was is not stored again.
        index.merge([tmp_path / "shards"])
        assert index._store.rowids().tolist() == rows


def test_a_shard_of_a_billion_is_refused_at_once(opened_bundle, tmp_path):
    (tmp_path / "a.txt").write_text("a text", encoding="utf-8")
    folder, _ = embed_shard(tmp_path / "a.txt", opened_bundle, tmp_path / "shards")
    header = json.loads((folder / HEADER).read_text(encoding="utf-8"))
    (folder / HEADER).write_text(json.dumps(header | {"of": 10**12}), encoding="utf-8")
    with (
        SteerableIndex.create(tmp_path / "index", opened_bundle) as index,
        pytest.raises(DataError, match="2, 3, 4, 5, 6, 7, 8, 9, 10, 11 are missing"),
    ):
        index.merge([tmp_path / "shards"])


def test_shards_can_fill_another_engine(made, alone, opened_bundle):
    batches = list(shard_batches([made], opened_bundle))
    records, vectors, latents, values, _ = content(alone, opened_bundle)
    assert [(d.id, d.text, d.metadata) for batch, _, _ in batches for d in batch.documents] == records
    assert np.array_equal(np.concatenate([rows for _, rows, _ in batches]), vectors)
    assert np.array_equal(np.concatenate([codes[0] for _, _, codes in batches]), latents)
    assert np.array_equal(np.concatenate([codes[1] for _, _, codes in batches]), values)
    with pytest.raises(DataError, match="2, 3 are missing"):
        next(shard_batches([made / "00001-of-00003"], opened_bundle))


def test_what_is_not_whole_is_not_merged(shards, opened_bundle, tmp_path):
    index = SteerableIndex.create(tmp_path / "index", opened_bundle)

    def message(*folders):
        with pytest.raises(DataError) as caught:
            index.merge(folders)
        assert len(index) == 0
        return str(caught.value)

    first, second, third = sorted(shards.iterdir())
    assert "of the 3 shards of docs" in message(first, second)
    assert "3 is missing" in message(first, second)
    assert "2, 3 are missing" in message(first)
    assert "shard 1/3 is there twice" in message(first, second, third, first)
    assert "holds no shard" in message(tmp_path / "nowhere")
    header = json.loads((second / HEADER).read_text())
    for change, said in (
        ({"positions": None}, "is not finished: run `sae embed --shard 2/3 --resume`"),
        ({"positions": 5}, "that saw the same source with the same options"),
        ({"model_digest": "x"}, "embedded with another bundle"),
        ({"format_version": 3}, "format_version 3"),
        ({"number": "x", "parts": 3}, "is damaged"),
    ):
        (second / HEADER).write_text(json.dumps(header | change))
        assert said in message(shards), change
    (second / HEADER).write_text("{")
    assert "is damaged" in message(shards)
    index.close()


def test_every_flipped_bit_of_a_part_is_noticed(shards, opened_bundle, tmp_path):
    part = next(sorted(shards.iterdir())[0].glob("*.npz"))
    whole = part.read_bytes()
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        for place in (0, len(whole) // 2, len(whole) - 1):
            altered = bytearray(whole)
            altered[place] ^= 1
            part.write_bytes(altered)
            with pytest.raises(DataError, match="is not what was written"):
                index.merge([shards])
        part.unlink()
        with pytest.raises(DataError, match="cannot be read"):
            index.merge([shards])
        part.write_bytes(whole)
        index.merge([shards])


def test_an_id_in_two_shards(opened_bundle, tmp_path):
    path = tmp_path / "docs.jsonl"
    path.write_text("".join(json.dumps({"id": i % 600, "text": f"number {i}"}) + "\n" for i in range(700)))
    for number in (1, 2):
        embed_shard(path, opened_bundle, tmp_path / "s", (number, 2))
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        with pytest.raises(DataError, match=r"two documents have the id '0', one in .*00002-of-00002"):
            index.merge([tmp_path / "s"])


def test_wrong_use(documents, made, shards, opened_bundle, tmp_path):
    for shard in ((0, 3), (4, 3), (1, 0)):
        with pytest.raises(ConfigError, match="does not exist"):
            embed_shard(documents, opened_bundle, tmp_path, shard)
    with pytest.raises(ConfigError, match="was made already: add --resume"):
        embed_shard(documents, opened_bundle, shards, (1, 3))
    with pytest.raises(ConfigError, match="begun with another chunk_tokens"):
        embed_shard(documents, opened_bundle, shards, (1, 3), resume=True, chunk_tokens=32)
    other = tmp_path / "docs.jsonl"
    other.write_text('{"text": "one"}\n')
    with pytest.raises(ConfigError, match="begun with another stamp"):
        embed_shard(other, opened_bundle, shards, (1, 3), resume=True)
    with WriterLock(shards / "00001-of-00003").held():
        with pytest.raises(IndexLockedError, match="another process is writing"):
            embed_shard(documents, opened_bundle, shards, (1, 3), resume=True)


def test_a_full_disk(documents, opened_bundle, small_disk):
    disk = small_disk("300k")
    with pytest.raises(StorageError, match=r"free space, then --resume"):
        embed_shard(documents, opened_bundle, disk, (1, 3))
    assert not read_shard(disk / "00001-of-00003").complete


def test_sources_that_differ_in_their_content_only(opened_bundle, tmp_path):
    """Equal names and sizes, as the parts of a data set have them."""
    for name in ("a", "b"):
        (tmp_path / name / "docs").mkdir(parents=True)
        (tmp_path / name / "docs" / "x.txt").write_text(f"the module {name}")
        embed_shard(tmp_path / name / "docs", opened_bundle, tmp_path / "s" / name)
    with pytest.raises(ConfigError, match="begun with another stamp"):
        embed_shard(tmp_path / "b" / "docs", opened_bundle, tmp_path / "s" / "a", resume=True)
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        index.merge([tmp_path / "s" / "a", tmp_path / "s" / "b"])
        assert sorted(index.documents()[1]) == ["the module a", "the module b"]


def test_only_the_beginning_of_a_file_is_in_the_stamp(opened_bundle, tmp_path):
    """Its cost is bounded: a source may be of terabytes."""
    source = tmp_path / "x.jsonl"
    first = '{"text": "' + "a" * module.BEGINNING + '"}\n'
    stamps = []
    for last in ('{"text": "moon"}\n', '{"text": "star"}\n'):
        source.write_text(first + last)
        stamps.append(module._stamp(source, Corpus.open(source)))
    source.write_text(first.replace("a", "b") + last)
    assert stamps[0] == stamps[1] != module._stamp(source, Corpus.open(source))


def test_a_shard_that_an_earlier_version_began_goes_on(opened_bundle, tmp_path):
    source = tmp_path / "x.txt"
    source.write_text("the moon\n")
    folder, _ = embed_shard(source, opened_bundle, tmp_path / "s")
    header = json.loads((folder / HEADER).read_text())
    earlier = module._stamp(source, Corpus.open(source), beginnings=False)
    assert earlier != header["stamp"]
    (folder / HEADER).write_text(json.dumps(header | {"stamp": earlier}))
    assert embed_shard(source, opened_bundle, tmp_path / "s", resume=True)[1].stamp == earlier
