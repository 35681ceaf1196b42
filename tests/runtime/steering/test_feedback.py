import numpy as np
import pytest

from steersearch.arrays import unit_rows
from steersearch.runtime.steering.concept_directions import refine


def documents(rng, topics=10, each=40, width=32):
    """Documents around orthogonal topics."""
    centres = np.eye(topics, width)
    return unit_rows((np.repeat(centres, each, 0) + 0.1 * rng.normal(size=(topics * each, width))).astype(np.float32))


def test_a_rough_direction_becomes_the_topic():
    rng = np.random.default_rng(0)
    rows = documents(rng)
    topic = unit_rows((np.eye(32, dtype=np.float32)[3] - rows.mean(0))[None])[0]
    rough = topic + 0.2 * rng.normal(size=32).astype(np.float32)
    assert rough @ topic / np.linalg.norm(rough) < 0.75
    assert refine(rough, rows) @ topic > 0.95


def test_by_hand():
    rows = np.array([[1, 0]] * 5 + [[0.8, 0.6]] * 5 + [[-1, 0]] * 240, np.float32)
    # 4 % of 250 are the first ten. They stand out by 1 - (-1) and .8 - (-1) from the others along the first axis, and
    # in the second round by what they are along the first answer.
    mean = rows.mean(0)
    first = (2**0.5 * rows[0] + 1.8**0.5 * rows[5]) / (2**0.5 + 1.8**0.5) - mean
    near, far, others = (row @ first for row in (rows[0], rows[5], rows[-1]))
    a, b = (near - others) ** 0.5, (far - others) ** 0.5
    expected = (a * rows[0] + b * rows[5]) / (a + b) - mean
    found = refine(np.array([2.0, 0.0], np.float32), rows)
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-6)


def test_where_nothing_stands_out_the_phrase_stays():
    rows = np.array([[1, 0]] * 50 + [[-1, 0]] * 200, np.float32)
    np.testing.assert_allclose(refine(np.array([0.6, 0.8], np.float32), rows), [0.6, 0.8])


def test_documents_about_something_else_are_not_followed():
    # Those furthest along the second axis lie mostly along the first.
    rows = unit_rows(np.array([[0, 0, 1]] * 240 + [[0.95, 0.3, 0]] * 10, np.float32))
    asked = np.array([0, 2, 0], np.float32)
    np.testing.assert_allclose(refine(asked, rows), [0, 1, 0])


@pytest.mark.parametrize("count", [0, 1, 12])
def test_too_few_documents_change_nothing(count):
    rows = np.tile(np.array([[0.6, 0.8]], np.float32), (count, 1))
    np.testing.assert_allclose(refine(np.array([0.0, 3.0], np.float32), rows), [0, 1])
