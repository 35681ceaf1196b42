"""Documents whose vectors are there already go into an index; nothing is embedded but a few, to compare."""

import json

import numpy as np
import pytest

from steersearch.errors import ConfigError
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.vectors import open_vectors

from ...bare_bundle import WHOLE, make_bare_bundle


@pytest.fixture
def held(opened_bundle, topic_texts, tmp_path):
    rows = 3 * opened_bundle.embed_documents(topic_texts.texts)
    lines = [json.dumps({"id": id, "text": text, "n": len(text)}) for id, text in zip(*topic_texts[:2], strict=True)]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines))
    np.save(tmp_path / "v.npy", rows)
    return lambda: open_vectors(tmp_path / "v.npy", tmp_path / "docs.jsonl", folder=tmp_path)


def counting(bundle, monkeypatch):
    asked, embed = [], Bundle.embed_documents
    monkeypatch.setattr(Bundle, "embed_documents", lambda self, texts, **how: asked.extend(texts) or embed(self, texts))
    return asked


def test_given_vectors_make_the_index_of_the_texts(opened_bundle, topic_texts, held, tmp_path, monkeypatch):
    asked = counting(opened_bundle, monkeypatch)
    with SteerableIndex.create(tmp_path / "given", opened_bundle) as index:
        added = index.add_from(held())
        assert (added.embedded, added.unchanged, len(asked)) == (60, 0, 8)
        found = [hit.id for hit in index.search(topic_texts.texts[0], 5, boost={"f4": 1})]
        again = index.add_from(held())
        assert (again.embedded, again.unchanged) == (0, 60)
        assert index.get([topic_texts.ids[0]])[0].metadata == {"n": len(topic_texts.texts[0])}
    with SteerableIndex.create(tmp_path / "embedded", opened_bundle) as other:
        other.add_from(tmp_path / "docs.jsonl", chunk_tokens=0)
        assert found == [hit.id for hit in other.search(topic_texts.texts[0], 5, boost={"f4": 1})]


def test_a_vector_that_changed_is_stored_again(opened_bundle, topic_texts, held, tmp_path):
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        index.add_from(held())
        rows = np.load(tmp_path / "v.npy")
        rows[7] = rows[8] + 0.1 * rows[7]
        np.save(tmp_path / "v.npy", rows)
        added = index.add_from(held())
        assert (added.embedded, added.unchanged, added.replaced) == (1, 59, 0)
        np.testing.assert_allclose(index.vectors([topic_texts.ids[7]])[0], rows[7] / np.linalg.norm(rows[7]), atol=1e-6)


def test_what_does_not_fit(opened_bundle, held, tmp_path):
    wide = np.ones((60, 3), np.float32)
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        for given, how, message in (
            (open_vectors(wide, tmp_path / "docs.jsonl", folder=tmp_path), {}, "vectors of 3 numbers and the bundle"),
            (open_vectors(np.eye(60, 16, dtype=np.float32) + 0.01, folder=tmp_path), {}, "vectors alone"),
            (held(), {"chunk_tokens": 50}, "so none can be cut"),
        ):
            with pytest.raises(ConfigError, match=message):
                index.add_from(given, **how)
        rows = np.random.default_rng(0).standard_normal((60, opened_bundle.d_in)).astype(np.float32)
        with pytest.raises(ConfigError, match=r"median cosine of -?0\.\d\d on 8 documents"):
            index.add_from(open_vectors(rows, tmp_path / "docs.jsonl", folder=tmp_path))
        assert len(index) == 0


def test_a_bundle_without_an_embedder_knows_its_texts(topic_texts, tmp_path):
    rows = Bundle.load(WHOLE, threads=1).embed_documents(topic_texts.texts)
    bare = Bundle.load(make_bare_bundle(tmp_path / "bare", topic_texts.texts[:6]))
    with SteerableIndex.create(tmp_path / "index", bare) as index:
        assert index.add_from(open_vectors(rows, topic_texts.texts, folder=tmp_path)).embedded == 60
        with pytest.raises(ConfigError, match=r"on 6 texts that both have, expected at least 0\.98"):
            index.add_from(open_vectors(rows[::-1], topic_texts.texts, folder=tmp_path))
