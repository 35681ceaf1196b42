from dataclasses import replace

import pytest

from steersearch.runtime.bundle.interpretation import Entry, Score, SteeringScore, entry_from_json, entry_to_json

SCORE = Score(0.8, 0.7, 0.9, 0.01, 0.8, 0.7, 12)


@pytest.mark.parametrize(
    ("entry", "unclear"),
    [
        (Entry(0, label="cats", score=SCORE), False),
        (Entry(0, label="cats", score=replace(SCORE, auc=0.649)), True),
        (Entry(0, label="cats", score=replace(SCORE, auc=0.95, p_value=0.06, positives=1)), True),
        (Entry(0, label="cats"), True),
        (Entry(0, score=SCORE), True),
    ],
)
def test_clear_is_what_predicts_well_and_not_by_chance(entry, unclear):
    assert entry.unclear is unclear
    assert entry.title == ("unclear" if unclear else "cats")


@pytest.mark.parametrize(
    ("figures", "holds"),
    [
        ({"score": 0.85, "words": 0.7, "predicted": 1.0}, True),
        ({"score": 0.84, "words": 0.68, "predicted": 1.0}, False),
        ({"score": 0.94, "predicted": 0.94}, False),  # of one kind of evidence more is asked
        ({"score": 0.95, "words": 0.95}, True),
        ({"score": 1.0, "words": 1.0, "before": 0.4, "after": 0.3}, True),
        ({"score": 1.0, "words": 1.0, "before": 0.4, "after": 0.4}, False),
        ({"score": 1.0, "words": 1.0, "before": 0.0, "after": 0.0}, True),  # there is nothing to take out
    ],
)
def test_what_steers_brings_what_it_is_called_and_its_clamp_takes_it_out(figures, holds):
    assert SteeringScore(**figures).holds is holds


def test_a_score_of_steering_comes_back_and_older_files_have_none():
    entry = Entry(3, label="cats", steers=SteeringScore(0.9, 0.8, None, boosted=0.4, before=0.5, queries=16))
    assert entry_from_json(entry_to_json(entry)) == entry
    assert entry_from_json({"latent": 3, "label": "cats"}).steers is None
    assert entry_from_json({"latent": 3, "steers": {"score": 0.7}}).steers == SteeringScore(0.7)
