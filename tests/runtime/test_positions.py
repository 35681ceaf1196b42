"""Every call of an index that takes rows takes them by position, also from a column that is indexed by label."""

import numpy as np
import pytest

from steersearch.errors import DataError, FilterError
from steersearch.runtime.index import SteerableIndex

from ..test_sequences import KINDS

IDS, TEXTS = ["x", "y", "z"], ["a whole number", "a class and its base", "an exception is raised"]
YEARS = [{"year": 1}, {"year": 2}, {"year": 3}]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_by_position(opened_bundle, tmp_path, kind):
    vectors = opened_bundle.embed_documents(kind(TEXTS))
    assert vectors.tobytes() == opened_bundle.embed_documents(TEXTS).tobytes()
    assert [row.tolist() for row in opened_bundle.tokenise(kind(TEXTS))] == [
        row.tolist() for row in opened_bundle.tokenise(TEXTS)
    ]
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        rows = (row for row in vectors)
        assert index.add(kind(TEXTS), ids=kind(IDS), metadata=iter(YEARS), embeddings=rows) == IDS
        for id, text, entry, vector in zip(IDS, TEXTS, YEARS, vectors, strict=True):
            assert (index.get([id])[0].text, index.get([id])[0].metadata) == (text, entry)
            assert index.vectors([id])[0].tobytes() == vector.tobytes()
        assert [record.id for record in index.get(kind(IDS))] == IDS
        assert [row.tobytes() for row in index.vectors(kind(IDS))] == [row.tobytes() for row in vectors]
        assert [found.id for found in index.explain_all("a number", kind(IDS))] == IDS
        index.update_metadata(kind(IDS), iter([{"n": 1}, {"n": 2}, {"n": 3}]))
        assert [record.metadata["n"] for record in index.get(IDS)] == [1, 2, 3]
        assert index.delete(kind(IDS)) == 3
        assert index.add_from(kind(TEXTS)).embedded == 3
        assert index.documents()[1] == TEXTS


@pytest.mark.parametrize("wrong", ["x", {"x": 1}, {"x"}, 3, np.array([["x"]])])
def test_what_is_refused_by_name(tiny_index, wrong):
    for call in (
        lambda: tiny_index.add(wrong),
        lambda: tiny_index.add(["a"], ids=wrong),
        lambda: tiny_index.add(["a"], metadata=wrong),
        lambda: tiny_index.add(["a"], embeddings=wrong),
        lambda: tiny_index.get(wrong),
        lambda: tiny_index.delete(wrong),
        lambda: tiny_index.vectors(wrong),
        lambda: tiny_index.update_metadata(wrong, [{}]),
        lambda: tiny_index.update_metadata(["numbers-1"], wrong),
        lambda: tiny_index.explain_all("a", wrong),
        lambda: tiny_index.merge(wrong),
        lambda: tiny_index.bundle.embed(wrong),
        lambda: tiny_index.bundle.embed_queries(wrong),
        lambda: tiny_index.bundle.tokenise(wrong),
    ):
        with pytest.raises(DataError) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert len(tiny_index) == 60


@pytest.mark.parametrize("wrong", ["", 0, False, [], (), 0.0, set(), "year", [{"year": 1}]])
def test_a_filter_that_is_none_by_mistake(tiny_index, wrong):
    for view in ("dense", "reconstruction", "latent", "words", "hybrid"):
        with pytest.raises(FilterError, match=r"a filter is .*: expected a mapping of fields to conditions"):
            tiny_index.search("a number", 3, filter=wrong, view=view)
    everything = tiny_index.search("a number", 3)
    assert tiny_index.search("a number", 3, filter={}) == tiny_index.search("a number", 3, filter=None) == everything


def test_no_score_exceeds_1(opened_bundle, tmp_path):
    texts = [f"the number {n} of the class" for n in range(20)]
    vectors = opened_bundle.embed_documents(texts) * np.float32(1.0009)
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        index.add(texts, embeddings=vectors)
        for vector in vectors:
            for view in ("dense", "latent", "reconstruction"):
                hits = index.search(vector, 20, view=view)
                assert max(hit.score for hit in hits) <= 1
                assert hits[0].score == pytest.approx(1)


def test_a_strength_or_weight_beyond_every_float(tiny_index):
    for call in (
        lambda: tiny_index.search("a", boost={"f1": 10**400}),
        lambda: tiny_index.search("a", clamp={"f1": -(10**400)}),
        lambda: tiny_index.search("a", view="hybrid", fusion={"dense": 10**400}),
        lambda: tiny_index.search("a", keep=10**400),
        lambda: tiny_index.search("a", filter={"year": 10**400}),
    ):
        with pytest.raises(ValueError, match=r"strength|fusion is|keep is|beyond 64 bits") as caught:
            call()
        assert type(caught.value).__module__ == "steersearch.errors"
    assert len(tiny_index.search("a", 10**30)) == 60
    with pytest.raises(DataError, match="masked"):
        tiny_index.search(np.ma.array(tiny_index.vectors(["numbers-1"])[0], mask=[1] + [0] * 31))
