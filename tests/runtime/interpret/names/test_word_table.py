import numpy as np
import pytest

from steersearch.runtime.interpret.names.word_table import WordTable

TEXTS = ["Oil prices rose", "the price of oil", "an election", ""]


def test_how_much_of_a_name_each_document_has():
    rows = np.arange(4)
    found = WordTable(TEXTS).presence([("oil", "price"), ("election",), ("price", "war")], rows)
    assert found[:, 0].tolist() == pytest.approx([1, 1, 0, 0])
    assert found[:, 1].tolist() == pytest.approx([0, 0, 1, 0])
    # Nobody has `war`: it counts more than `price`, which two of four have.
    assert 0 < found[0, 2] < 0.5
    assert found[2:, 2].tolist() == [0, 0]


def test_rows_in_any_order_and_none():
    table = WordTable(TEXTS)
    assert table.presence([("election",)], np.array([2, 0])).ravel().tolist() == pytest.approx([1, 0])
    assert table.presence([("election",)], np.empty(0, np.int64)).shape == (0, 1)
    assert table.presence([], np.arange(4)).shape == (4, 0)
