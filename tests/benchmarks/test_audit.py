"""The rivals of `remove` in benchmarks/audit, on pairs that are made up."""

import numpy as np
import pytest

from benchmarks.audit.__main__ import Articles, Judged, leace, removing, without
from steersearch.arrays import unit_rows
from steersearch.runtime import Attribute


@pytest.fixture
def articles():
    chance = np.random.default_rng(0)
    topics = chance.standard_normal((200, 16))
    plain, difficult = topics + 0.3 * chance.standard_normal((2, 200, 16))
    plain[:, 0] += 1
    difficult[:, 1] += 1.5
    rows = [unit_rows(some.astype(np.float32)) for some in (plain, difficult, topics)]
    return Articles(*rows)


def test_leace_erases_the_difference_of_the_means(articles):
    move = leace(articles)
    # The inner product of erased vectors is that of the moved query, but for what is the same for all documents.
    gap = articles.plain.mean(0, dtype=np.float64) - articles.difficult.mean(0, dtype=np.float64)
    np.testing.assert_allclose(move(articles.queries.astype(np.float64)) @ gap, 0, atol=1e-6)


def test_a_projection_leaves_nothing_along_its_directions(articles):
    axes = [np.eye(16)[2], np.eye(16)[2] + np.eye(16)[5]]
    moved = without(axes)(articles.queries.astype(np.float64))
    np.testing.assert_allclose(moved[:, [2, 5]], 0, atol=1e-12)


def test_a_price_levels_the_share(articles):
    attribute = Attribute.learn("plain", articles.plain, articles.difficult, articles.queries)
    before, after = articles.share(lambda queries: queries), articles.share(removing(attribute))
    assert before > 0.6
    assert abs(after - 0.5) < 0.05


def test_ndcg_of_a_perfect_ranking_is_1():
    rows = np.eye(12, dtype=np.float32)
    judged = Judged(rows, rows[:3], [{0: 1}, {1: 2}, {2: 1}])
    assert judged.ndcg(lambda queries: queries) == 1
    assert judged.ndcg(lambda queries: -queries) == 0
