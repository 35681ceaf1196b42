"""After a removal an index does over again only what the removed documents had a part in."""

import numpy as np
import pytest

from steersearch.runtime import SteerableIndex
from steersearch.runtime.search.exact import ExactIndex
from steersearch.runtime.search.nearest import Nearest
from steersearch.runtime.store.documents import DocumentStore

D_IN, N = 32, 1100


class Counted(ExactIndex):
    searches = 0

    def search(self, query, k, allowed=None):
        self.searches += 1
        return super().search(query, k, allowed)


def unit(n, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, D_IN)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_only_rows_whose_nearest_document_went_are_searched_for_again(tmp_path):
    axes = np.eye(3, dtype=np.float32)
    with DocumentStore.create(tmp_path / "documents.sqlite", d_in=3, meta={}) as store:

        def put(id, vector):
            none = np.empty((1, 0), np.int64)
            return store.put([id], [id], [{}], vector[None], none, none)

        index = Counted(3)
        for id, vector in zip("abc", axes, strict=True):
            index.add(put(id, vector), vector[None])
        nearest, query = Nearest(store), np.array([[0.6, 0.8, 0], [0, 0, 1]], np.float32)
        assert nearest.of(index, query).tolist() == pytest.approx([0.8, 1.0])
        assert nearest.of(index, query).tolist() == pytest.approx([0.8, 1.0])
        assert index.searches == 2
        store.delete(["b"])
        index.remove([2])
        assert nearest.of(index, query).tolist() == pytest.approx([0.6, 1.0])
        assert index.searches == 3
        index.add(put("d", query[0]), query[:1])  # an addition may be nearer to any
        assert nearest.of(index, query).tolist() == pytest.approx([1.0, 1.0])
        assert index.searches == 5
        with DocumentStore.open(store.path) as other:
            other.delete(["d"])
        index.remove([4])
        assert nearest.of(index, query).tolist() == pytest.approx([0.6, 1.0])
        assert nearest.of(Counted(3), np.zeros((0, 3), np.float32)).tolist() == []


@pytest.mark.parametrize("backend", ["exact", "hnsw", "usearch"])
def test_a_removal_by_this_process_lists_no_documents(opened_bundle, tmp_path, backend, monkeypatch):
    pytest.importorskip({"hnsw": "hnswlib", "usearch": "usearch"}.get(backend, "numpy"))
    texts, queries = [f"text {i} about f{i % 9}" for i in range(N)], unit(3, 5)
    ways = [{}, {"boost": {"f4": 1.0}}, {"boost": {"open a file": 1.0}}, {"view": "words"}, {"view": "latent"}]

    def answers(index):
        return [
            [(hit.id, hit.score) for hit in index.search(query, 5, text="about f3", **how)]
            for query in queries
            for how in ways
        ]

    with SteerableIndex.create(tmp_path / "index", opened_bundle, backend=backend) as index:
        index.add(texts, [f"d{i}" for i in range(N)], embeddings=unit(N))
        before = answers(index)
        gone = [found[0][0] for found in before]
        with monkeypatch.context() as patch:
            patch.setattr(index._store, "rowids", lambda: 1 / 0)
            index.delete(gone[:3])
            index.delete(gone[3:])
            after = answers(index)
        assert not {id for found in after for id, _ in found} & set(gone)
        with SteerableIndex.open(tmp_path / "index", bundle=opened_bundle, readonly=True, backend=backend) as again:
            assert answers(again) == after
