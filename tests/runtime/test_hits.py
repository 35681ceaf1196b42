"""`search(..., compare=True)`: where a hit stood without steering, and which features moved it."""

import pytest

from steersearch.runtime import hits as hits_module

QUERY, BOOST = "a name is given", {"an exception is raised": 3.0}


@pytest.mark.parametrize("view", ["dense", "reconstruction", "latent"])
def test_ranks_before(tiny_index, view):
    ranks = {hit.id: hit.rank for hit in tiny_index.search(QUERY, 60, view=view)}
    hits = tiny_index.search(QUERY, 10, boost=BOOST, view=view, compare=True)
    assert [hit.rank_before for hit in hits] == [ranks[hit.id] for hit in hits]
    assert any(hit.rank_before != hit.rank for hit in hits)
    plain = tiny_index.search(QUERY, 10, boost=BOOST, view=view)
    assert [(h.rank, h.id, h.score) for h in hits] == [(h.rank, h.id, h.score) for h in plain]
    assert {(h.rank_before, h.moved_by) for h in plain} == {(None, ())}


def test_what_moved_a_hit_is_in_its_explanation(tiny_index):
    for hit in tiny_index.search(QUERY, 5, boost=BOOST, compare=True):
        explanation = tiny_index.explain(QUERY, hit.id, boost=BOOST)
        assert 0 < len(hit.moved_by) <= 5
        assert set(hit.moved_by) <= set(explanation.parts)
        sizes = [abs(part.steered) for part in hit.moved_by]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] >= max((abs(p.steered) for p in explanation.parts if p not in hit.moved_by), default=0)


def test_beyond_the_depth_there_is_no_rank(tiny_index, monkeypatch):
    assert hits_module.COMPARED == 100
    monkeypatch.setattr("steersearch.runtime.index.COMPARED", 3)
    ranks = {hit.id: hit.rank for hit in tiny_index.search(QUERY, 60)}
    hits = tiny_index.search(QUERY, 5, boost=BOOST, compare=True)  # k is deeper than 3
    assert [hit.rank_before for hit in hits] == [ranks[hit.id] if ranks[hit.id] <= 5 else None for hit in hits]
    assert None in [hit.rank_before for hit in hits]


def test_the_filter_holds_for_both(tiny_index):
    hits = tiny_index.search(QUERY, 15, boost=BOOST, filter={"topic": "exceptions"}, compare=True)
    assert sorted(hit.rank_before for hit in hits) == list(range(1, 16))


def test_without_steering_nothing_moved(tiny_index):
    for boost in (None, {}, {"an exception is raised": 0}):
        for hit in tiny_index.search(QUERY, 4, boost=boost, compare=True):
            assert (hit.rank_before, hit.moved_by) == (hit.rank, ())
