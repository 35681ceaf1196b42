"""An index in a new folder, of another bundle, without embedding."""

import shutil

import numpy as np
import pytest

from steersearch.errors import ConfigError, IndexFolderError
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.ingest.moving import move


@pytest.fixture
def old(opened_bundle, tmp_path):
    (tmp_path / "lines.txt").write_text("an integer\na float\n")
    with SteerableIndex.create(tmp_path / "old", opened_bundle) as index:
        index.add_from(tmp_path / "lines.txt")
        index.add_from([("long", "The number is an integer of the class. " * 60, {"year": 1})], chunk_tokens=32)
        index.delete(["2"])
    return tmp_path / "old"


def no_embedding(*_, **__):
    raise AssertionError("nothing is embedded")


def test_the_documents_are_the_same_and_nothing_is_embedded(old, opened_bundle, tmp_path, monkeypatch):
    before = (old / "documents.sqlite").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(Bundle, "embed_documents", no_embedding)
        moved = move(old, tmp_path / "new", opened_bundle)
    assert (old / "documents.sqlite").read_bytes() == before
    with SteerableIndex.open(old) as one, SteerableIndex.open(tmp_path / "new") as other:
        assert moved == len(one) == len(other)
        assert other.documents()[:2] == one.documents()[:2]
        np.testing.assert_array_equal(other.documents()[2], one.documents()[2])
        assert other.get(["long"])[0].metadata == one.get(["long"])[0].metadata
        assert [h.id for h in other.search("integer", boost={"float": 1})] == [
            h.id for h in one.search("integer", boost={"float": 1})
        ]
        # It knows its sources: the same file again updates its own documents.
        assert other.add_from(tmp_path / "lines.txt").unchanged == 1
        assert other.verify().ok


def test_where_the_old_bundle_is_gone_a_few_texts_are_compared(old, opened_bundle, tmp_path):
    elsewhere = shutil.copytree(old, tmp_path / "deep" / "er" / "old")
    assert move(elsewhere, tmp_path / "new", opened_bundle) > 2


def test_another_embedder_is_refused_with_the_reason(tmp_path, opened_bundle):
    vectors = np.eye(opened_bundle.d_in, dtype=np.float32)[:3]
    with SteerableIndex.create(tmp_path / "old", None, d_in=opened_bundle.d_in) as index:
        index.add(["an integer", "a float", "a class"], embeddings=vectors)
    with pytest.raises(ConfigError, match=r"another embedder than .* median cosine of"):
        move(tmp_path / "old", tmp_path / "new", opened_bundle)
    with SteerableIndex.create(tmp_path / "narrow", None, d_in=3) as index:
        index.add(["a"], embeddings=np.eye(3, dtype=np.float32)[:1])
    with pytest.raises(ConfigError, match="vectors of 3 numbers"):
        move(tmp_path / "narrow", tmp_path / "new", opened_bundle)
    assert not (tmp_path / "new").exists()


def test_it_appears_whole_or_not_at_all(old, opened_bundle, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(old, tmp_path / "new", opened_bundle, progress=stop)
    assert {path.name for path in tmp_path.iterdir()} == {"old", "lines.txt"}
    with pytest.raises(IndexFolderError, match="exists and is not empty"):
        move(old, old, opened_bundle)
    with pytest.raises(IndexFolderError, match="is not an index"):
        move(tmp_path, tmp_path / "new", opened_bundle)
