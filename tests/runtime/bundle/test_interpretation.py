from dataclasses import replace

import pytest

from steersearch.runtime.bundle.interpretation import Entry, Score

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
