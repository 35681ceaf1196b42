"""Filtered searches: the k best of all that match, whether the filter is tried on the best documents or on all."""

import numpy as np
import pytest

from steersearch.errors import FilterError, SteersearchError
from steersearch.runtime import SteerableIndex
from steersearch.runtime.search import views as views_module

N = 900
SHARES = {
    "all": ({"n": {"$gte": 0}}, lambda i: True),
    "half": ({"parity": "odd"}, lambda i: i % 2 == 1),
    "tenth": ({"n": {"$in": list(range(0, N, 10))}}, lambda i: i % 10 == 0),
    "few": ({"n": {"$lt": 7}}, lambda i: i < 7),
    "either": ({"$or": [{"n": 3}, {"parity": "even"}]}, lambda i: i == 3 or i % 2 == 0),
    "none": ({"n": -1}, lambda i: False),
    "not": ({"parity": {"$ne": "odd"}}, lambda i: i % 2 == 0),
}


def unit(n, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, 32)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module", params=["exact", "hnsw", "usearch"])
def path(request, opened_bundle, tmp_path_factory):
    pytest.importorskip({"hnsw": "hnswlib", "usearch": "usearch"}.get(request.param, "numpy"))
    path = tmp_path_factory.mktemp("filtered") / "index"
    with SteerableIndex.create(path, opened_bundle, backend=request.param) as index:
        metadata = [{"n": i, "parity": ("even", "odd")[i % 2]} for i in range(N)]
        index.add([f"text {i} of {i % 9}" for i in range(N)], [f"d{i}" for i in range(N)], metadata, embeddings=unit(N))
    return path


def found(index, query, k, **how):
    return [(hit.id, hit.score) for hit in index.search(query, k, text="text of 3", **how)]


@pytest.mark.parametrize("view", ["dense", "latent", "reconstruction", "words", "hybrid"])
@pytest.mark.parametrize("share", list(SHARES))
def test_the_best_of_all_that_match(path, opened_bundle, view, share):
    filter, fits = SHARES[share]
    with SteerableIndex.open(path, bundle=opened_bundle, readonly=True) as index:
        for query in unit(4, 9):
            for k in (1, 10, 150):
                hits = found(index, query, k, view=view, filter=filter)
                if view != "hybrid":  # whose ranks are among those that match
                    assert hits == [pair for pair in found(index, query, N, view=view) if fits(int(pair[0][1:]))][:k]
                assert len(hits) == min(k, sum(1 for i in range(N) if fits(i))) or view == "words"
                assert all(fits(int(id[1:])) for id, _ in hits)
                assert hits == found(index, query, k, view=view, filter=filter)
            index._store._filtered.clear()


def test_a_wide_filter_reads_the_metadata_of_few(path, opened_bundle, monkeypatch):
    with SteerableIndex.open(path, bundle=opened_bundle, readonly=True) as index:
        with monkeypatch.context() as patch:
            patch.setattr(index._store, "rowids_where", lambda filter: 1 / 0)
            for share in ("all", "half", "either", "not"):
                assert len(found(index, unit(1, 5)[0], 10, filter=SHARES[share][0])) == 10
            with pytest.raises(ZeroDivisionError):
                found(index, unit(1, 5)[0], 10, filter=SHARES["few"][0])
        found(index, unit(1, 5)[0], 10, filter=SHARES["few"][0])
        assert index._store.filter_is_cached(SHARES["few"][0])
        with monkeypatch.context() as patch:  # from then on it is not tried in vain
            patch.setattr(index._store, "matching", lambda rowids, filter: 1 / 0)
            assert len(found(index, unit(1, 6)[0], 10, filter=SHARES["few"][0])) == 7


def test_a_filter_that_is_none_is_refused_in_any_size(path, opened_bundle):
    with SteerableIndex.open(path, bundle=opened_bundle, readonly=True) as index:
        for filter in ({"n": {"$near": 3}}, ["n"], {"$or": []}):
            with pytest.raises(FilterError):
                index.search(unit(1)[0], 3, filter=filter)


def test_damaged_metadata_among_the_best_is_noticed(opened_bundle, tmp_path):
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        index.add(["a", "b"], ["a", "b"], [{"n": 1}, {"n": 2}], embeddings=unit(2))
        index._store._database.rows("UPDATE documents SET metadata = '{\"n\": 3}' WHERE id = 'b'")
        with pytest.raises(SteersearchError, match="damaged"):
            index.search(unit(1)[0], 1, filter={"n": 1})


def test_changes_are_seen_at_once(opened_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(views_module, "POST_FILTER_DEPTH", 2)
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        vectors = unit(40)
        index.add(
            [f"{i}" for i in range(40)], [f"{i}" for i in range(40)], [{"n": i} for i in range(40)], embeddings=vectors
        )

        def ids(filter):
            return {hit.id for hit in index.search(vectors[0], 5, filter=filter)}

        assert ids({"n": {"$gte": 38}}) == {"38", "39"}
        index.update_metadata(["3"], [{"n": 99}])
        assert ids({"n": {"$gte": 38}}) == {"3", "38", "39"}
        index.delete(["39"])
        assert ids({"n": {"$gte": 38}}) == {"3", "38"}
