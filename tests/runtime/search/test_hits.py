"""`search(..., compare=True)`: where a hit stood without steering, and which features moved it."""

import pytest

from steersearch.errors import DataError
from steersearch.runtime.search import hits as hits_module

QUERY, BOOST = "a name is given", {"an exception is raised": 3.0}
WAYS = [{"boost": BOOST, "blend": "move"}, {"boost": BOOST}, {"exclude": ["a class has a name"]}]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("view", ["dense", "reconstruction", "latent"])
def test_ranks_before(tiny_index, view, how):
    ranks = {hit.id: hit.rank for hit in tiny_index.search(QUERY, 60, view=view)}
    hits = tiny_index.search(QUERY, 10, view=view, compare=True, **how)
    assert [hit.rank_before for hit in hits] == [ranks[hit.id] for hit in hits]
    assert any(hit.rank_before != hit.rank for hit in hits)
    plain = tiny_index.search(QUERY, 10, view=view, **how)
    assert [(h.rank, h.id, h.score) for h in hits] == [(h.rank, h.id, h.score) for h in plain]
    assert {(h.rank_before, h.moved_by) for h in plain} == {(None, ())}


@pytest.mark.parametrize("how", WAYS)
def test_what_moved_a_hit_is_in_its_explanation(tiny_index, how):
    for hit in tiny_index.search(QUERY, 5, compare=True, **how):
        explanation = tiny_index.explain(QUERY, hit.id, **how)
        assert 0 < len(hit.moved_by) <= 5
        assert set(hit.moved_by) <= set(explanation.parts)
        sizes = [abs(part.steered) for part in hit.moved_by]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] >= max((abs(p.steered) for p in explanation.parts if p not in hit.moved_by), default=0)


def test_beyond_the_depth_there_is_no_rank(tiny_index, monkeypatch):
    assert hits_module.COMPARE_DEPTH == 100
    monkeypatch.setattr("steersearch.runtime.index.COMPARE_DEPTH", 3)
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


@pytest.mark.parametrize("more", [{"blend": "move"}, {"exclude": ["a number"]}])
def test_many_explanations_at_once_are_those_of_each(tiny_index, more):
    boost = {"raise an exception": 0.7, "import a module": -0.3}
    ids = [hit.id for hit in tiny_index.search("classes and modules", 5, boost=boost, **more)]
    together = tiny_index.explain_all("classes and modules", ids, boost=boost, **more)
    assert [one.id for one in together] == ids
    for one in together:
        alone = tiny_index.explain("classes and modules", one.id, boost=boost, **more)
        assert one.score == pytest.approx(alone.score, abs=1e-9)
        assert one.parts == alone.parts  # to the last bit
        assert sum(part.contribution for part in one.parts) + one.rest == pytest.approx(one.score, abs=1e-6)
        assert one.parts[0] == one.parts[:1][0] == next(iter(one.parts))
        assert len(one.parts) == len(list(one.parts)) > 3
        sizes = [abs(part.steered) for part in one.moved_by(4)]
        assert sizes == sorted(sizes, reverse=True)
        assert min(sizes) > 0
    assert tiny_index.explain_all("classes", [], boost=boost) == []
    with pytest.raises(DataError, match="no document 'nowhere'"):
        tiny_index.explain_all("classes", [ids[0], "nowhere"])
    with pytest.raises(DataError, match="ids is a single string"):
        tiny_index.explain_all("classes", ids[0])


def test_explanations_compare_and_print_by_what_they_say(tiny_index):
    id = tiny_index.search(QUERY, 1)[0].id
    again = [tiny_index.explain(QUERY, id) for _ in range(2)]
    assert again[0] == again[1]
    assert hash(again[0].parts) == hash(again[1].parts)
    assert again[0].parts != again[0].parts[1:]
    assert repr(again[0].parts).startswith(f"Parts({len(again[0].parts)} features, f")
