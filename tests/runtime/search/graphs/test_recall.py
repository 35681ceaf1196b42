"""The test of recall: what it counts, and which queries it asks."""

import numpy as np
import pytest

from steersearch.runtime.search.graphs.recall import queries_of, recall_of


def unit(n, d_in=16, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, d_in)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(("found", "share"), [(10, 1.0), (7, 0.7), (0, 0.0)])
def test_the_share_of_the_ten_nearest(found, share):
    rows, queries = unit(100), unit(5, seed=1)
    blocks = [rows[:8], rows[8:60], rows[60:]]
    assert recall_of(lambda q: np.sort(rows @ q)[::-1][:found], blocks, queries) == pytest.approx(share)


def test_equal_scores_count_whichever_is_found():
    rows = np.repeat(unit(1), 50, 0)
    assert recall_of(lambda q: rows[-10:] @ q, [rows], unit(3, seed=1)) == 1.0


def test_fewer_than_ten():
    rows = unit(4)
    assert recall_of(lambda q: np.sort(rows @ q)[2:], [rows], unit(3, seed=1)) == 0.5


def test_the_queries_are_the_same_ones_and_half_of_them_are_near_a_vector():
    sample = unit(40, 384)
    queries = queries_of(sample)
    assert np.array_equal(queries, queries_of(sample))
    assert np.allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-6)
    cosines = np.einsum("ij,ij->i", queries[:20], sample[:20])
    assert (np.abs(cosines - 0.894) < 0.03).all()  # 1 / sqrt(1 + 0.5 ** 2)
    between = np.einsum("ij,ij->i", queries[20:], sample[20:]), np.einsum("ij,ij->i", queries[20:], sample[:20])
    assert np.allclose(between[0], between[1], atol=0.002)
