"""The test of recall: what it counts, and which queries it asks."""

import numpy as np
import pytest

from steersearch.runtime.search.exact import ExactIndex
from steersearch.runtime.search.graphs.recall import crowded_share, found_share, queries_of, recall_of


def unit(n, d_in=16, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, d_in)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(("found", "share"), [(10, 1.0), (7, 0.7), (0, 0.0)])
def test_the_share_of_the_ten_nearest(found, share):
    rows, queries = unit(100), unit(5, seed=1)
    blocks = [rows[:8], rows[8:60], rows[60:]]
    assert found_share(lambda q: np.sort(rows @ q)[::-1][:found], blocks, queries) == pytest.approx(share)


def test_equal_scores_count_whichever_is_found():
    rows = np.repeat(unit(1), 50, 0)
    assert found_share(lambda q: rows[-10:] @ q, [rows], unit(3, seed=1)) == 1.0


def test_fewer_than_ten():
    rows = unit(4)
    assert found_share(lambda q: np.sort(rows @ q)[2:], [rows], unit(3, seed=1)) == 0.5


def test_the_queries_are_the_same_ones_and_half_of_them_are_near_a_vector():
    sample = unit(40, 384)
    queries = queries_of(sample)
    assert np.array_equal(queries, queries_of(sample))
    assert np.allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-6)
    cosines = np.einsum("ij,ij->i", queries[:20], sample[:20])
    assert (np.abs(cosines - 0.894) < 0.03).all()  # 1 / sqrt(1 + 0.5 ** 2)
    # those amid eight vectors are nearer to them than to others, and far from each
    assert 0.2 < np.einsum("ij,kj->ik", queries[20:], sample).max(axis=1).mean() < 0.6


def index_of(rows):
    index = ExactIndex(rows.shape[1])
    index.add(np.arange(len(rows)), rows)
    return index


def test_a_doubtful_recall_is_measured_with_more_queries():
    exact, asked = index_of(unit(8000)), []

    def search(query):
        asked.append(query)
        return exact.search(query, 10 if wrong < len(asked) else 9)[1]

    for wrong, expected in ((0, 40), (2, 40), (10**9, 40 + 160)):
        asked.clear()
        share = recall_of(search, exact, exact.rowids[::2])  # 4,000 distinct ones: 24 queries at least
        assert len(asked) == {40: 24, 200: 24 + 96}[expected]
        assert share == pytest.approx({0: 1, 2: 1 - 0.2 / 24}.get(wrong, 0.9))


def test_a_crowd_is_more_near_vectors_than_an_insertion_compares():
    rows = unit(1000, 64)
    assert crowded_share(index_of(rows), 20) == 0
    crowd = rows[0] + 0.3 * np.random.default_rng(9).standard_normal((250, 64)).astype(np.float32) / 8
    crowd /= np.linalg.norm(crowd, axis=1, keepdims=True)
    both = index_of(np.concatenate([rows, crowd]))
    assert 0.1 < crowded_share(both, 200) < 0.3  # 20 % of the vectors
    assert crowded_share(both, 260) == 0
    assert crowded_share(index_of(np.concatenate([rows, np.repeat(rows[:1], 250, 0)])), 200) == 0  # these share a node
