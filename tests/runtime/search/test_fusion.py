import numpy as np
import pytest

from steersearch.errors import ConfigError
from steersearch.runtime.search.fusion import check_fusion, fuse

SCORES = {
    "dense": {1: 0.8, 2: 0.6, 3: 0.2, 4: -0.5},
    "latent": {1: 0.1, 2: 0.4, 3: 0.0, 4: -0.2},
    "words": {2: 3.0, 4: 12.0},
}


def search(view, k, allowed):
    pairs = [(row, score) for row, score in SCORES[view].items() if allowed is None or row in allowed]
    pairs = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:k]
    return np.array([row for row, _ in pairs], np.int64), np.array([score for _, score in pairs], np.float32)


def fused(fusion, k=10, allowed=None):
    rows, scores = fuse(search, fusion, k, allowed)
    return list(zip(rows.tolist(), scores.tolist(), strict=True))


def test_reciprocal_ranks():
    ranks = {1: (1, 2), 2: (2, 1, 2), 3: (3, 3), 4: (4, 4, 1)}
    expected = {row: sum(1 / (60 + rank) for rank in some) for row, some in ranks.items()}
    assert dict(fused("rrf")) == pytest.approx(expected)
    assert [row for row, _ in fused("rrf")] == [2, 4, 1, 3]
    assert [row for row, _ in fused("rrf", 2)] == [2, 4]
    assert [row for row, _ in fused("rrf", 10, np.array([1, 3]))] == [1, 3]


def test_weighted_scores():
    found = fused({"dense": 3, "words": 1})  # 3/4 and 1/4
    expected = {
        1: 0.75,
        2: 0.75 * 1.6 / 1.8 + 0.25 * 3 / 12,
        3: 0.75 * 1.2 / 1.8,
        4: 0.75 * 0.5 / 1.8 + 0.25,
    }
    assert dict(found) == pytest.approx(expected)
    assert dict(fused({"latent": 1.0})) == pytest.approx({1: 0.25, 2: 1.0, 3: 0.0, 4: 0.0})  # pushed below 0: 0
    assert fused({"words": 0.5, "dense": 0.0}) == [(4, 1.0), (2, 0.25)]
    assert fused({"words": 1}, 10, np.array([1, 3])) == []


def test_documents_that_only_one_view_puts_forward_are_scored_by_all(monkeypatch):
    monkeypatch.setattr("steersearch.runtime.search.fusion.DEPTH", 1)
    found = dict(fused({"dense": 0.5, "words": 0.5}, 1))
    assert found == pytest.approx({4: 0.5 * 0.5 / 1.8 + 0.5})
    assert dict(fused({"dense": 0.9, "words": 0.1}, 2)) == pytest.approx({1: 0.9, 2: 0.9 * 1.6 / 1.8 + 0.1 * 0.25})


def test_a_view_in_which_everything_is_pushed_below_the_least_counts_nothing(monkeypatch):
    monkeypatch.setitem(SCORES, "latent", {1: -0.5, 2: -0.1})
    dense = {row: 0.5 * (score + 1) / 1.8 for row, score in SCORES["dense"].items()}
    assert dict(fused({"dense": 0.5, "latent": 0.5})) == pytest.approx(dense)


@pytest.mark.parametrize(
    "fusion",
    ["sum", None, {}, {"dense": 0.0}, {"dense": -1.0, "words": 2.0}, {"dense": float("nan")}, {"dense": float("inf")},
     {"reconstruction": 1.0}, {"dense": True}, {"dense": "1"}, ["dense"]],
)  # fmt: skip
def test_refused(fusion):
    with pytest.raises(ConfigError, match=r"fusion is .*: give 'rrf', or weights"):
        check_fusion(fusion)
