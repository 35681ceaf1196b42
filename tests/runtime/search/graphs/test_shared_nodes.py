"""Documents with equal or nearly equal vectors share a node, in whatever calls they come."""

import numpy as np
import pytest

from steersearch.errors import DataError
from steersearch.runtime.search.graphs.shared_nodes import RADIUS, SharedNodes

AXES = np.eye(3, dtype=np.float32)


def placed(vectors, calls=1, rowids=None):
    """Returns the nodes, and which documents got one of their own."""
    nodes, alone, row = SharedNodes(), [], {}
    rowids = np.arange(len(vectors)) if rowids is None else rowids

    def lookup(wanted):
        return np.array([row[rowid] for rowid in wanted.tolist()])

    for some in np.array_split(np.arange(len(vectors)), calls):
        alone += nodes.place(rowids[some], vectors[some], lookup).tolist()
        row |= {int(rowids[i]): vectors[i] for i in some}
    return nodes, np.array(alone)


def members(nodes, node, k=99, allowed=None):
    return sorted(nodes.documents(np.array([node]), k, allowed).tolist())


def test_equal_vectors_share_a_node_and_others_do_not():
    nodes, alone = placed(AXES[[0, 1, 0, 0, 2, 1]])
    assert alone.tolist() == [True, True, False, False, True, False]
    assert nodes.names.tolist() == [0, 1, 4]
    assert len(nodes) == 3
    assert (members(nodes, 0), members(nodes, 1), members(nodes, 4)) == ([0, 2, 3], [1, 5], [4])
    assert nodes.nodes_among(np.arange(6)).tolist() == [0, 1, 4]


def test_nearly_equal_vectors_share_a_node_up_to_a_distance():
    # the first stands in the middle of its cell, so that the others have its key
    centre = np.float32([0.5 + 1 / 256, 0.5 + 1 / 256, 1 / 256])
    far = np.float32([1 / 300, 0, 0])
    nodes, alone = placed(np.stack([centre, centre + far, centre - far, centre]))
    assert alone.tolist() == [True, False, False, False]
    assert members(nodes, 0) == [0, 1, 2, 3]
    # with few columns the key is coarse, and the distance decides
    wide = np.zeros((2, 200), np.float32)
    wide[1, [3, 5, 7, 11]] = RADIUS * np.float32([0.55, 0.5, 0.5, 0.5])  # length 1.026 * RADIUS, in columns not sampled
    assert placed(wide)[1].tolist() == [True, True]
    assert placed(0.9 * wide)[1].tolist() == [True, False]


@pytest.mark.parametrize("calls", [2, 7, 60])
def test_the_calls_do_not_matter(calls):
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((8, 16)) / 4
    vectors = (centres[rng.integers(0, 8, 60)] + 2e-4 * rng.standard_normal((60, 16))).astype(np.float32)
    at_once, alone = placed(vectors)
    assert 8 <= len(at_once) < 60
    one_by_one, others = placed(vectors, calls)
    assert alone.tolist() == others.tolist()
    assert at_once._entries.tolist() == one_by_one._entries.tolist()
    assert at_once._keys.tolist() == one_by_one._keys.tolist()


def test_of_equal_vectors_only_the_lowest_rowids_come_back():
    centre = np.full(3, 0.5 + 1 / 256, np.float32)
    nodes, _ = placed(np.stack([centre, centre, centre + np.float32(1e-4), centre, centre + np.float32(1e-4)]))
    assert members(nodes, 0, k=1) == [0, 2]  # two vectors
    assert members(nodes, 0, k=2) == [0, 1, 2, 4]
    assert members(nodes, 0, k=1, allowed=np.array([1, 3, 4])) == [1, 4]
    assert members(nodes, 0, allowed=np.array([7])) == []
    assert members(nodes, 0, allowed=np.array([], np.int64)) == []


def test_a_node_stays_until_its_last_document_is_removed():
    vectors = AXES[[0, 1, 0, 0, 2, 1]]
    nodes, _ = placed(vectors)
    assert nodes.remove(np.array([0, 4, 77])).tolist() == [4, 77]  # 77 is unknown, which its callers exclude
    assert members(nodes, 0) == [2, 3]
    assert nodes.nodes_among(np.array([1, 2, 3, 5])).tolist() == [0, 1]
    lookup = {1: AXES[1], 2: AXES[0], 3: AXES[0], 5: AXES[1]}
    assert not nodes.place(np.array([9]), AXES[:1], lambda wanted: np.array([lookup[i] for i in wanted.tolist()])).any()
    assert members(nodes, 0) == [2, 3, 9]
    assert nodes.remove(np.array([2, 3])).tolist() == []
    assert nodes.remove(np.array([9])).tolist() == [0]
    assert nodes.names.tolist() == [1]


def test_a_document_that_was_removed_meanwhile_is_no_neighbour():
    nodes, _ = placed(AXES[:1])

    def removed(wanted):
        raise DataError("rowid 0 is not in the index")

    assert nodes.place(np.array([1]), AXES[:1], removed).tolist() == [True]


def test_write_and_read(tmp_path):
    nodes, _ = placed(AXES[[0, 1, 0, 0, 2, 1]])
    nodes.write(tmp_path / "nodes")
    again = SharedNodes.read(tmp_path / "nodes", 3)
    assert again._entries.tolist() == nodes._entries.tolist()
    assert again.names.tolist() == [0, 1, 4]
    assert members(again, 0) == [0, 2, 3]
    for wrong in (2, 4, -1, 100):
        with pytest.raises(ValueError, match=r"numbers, which is not|contradict each other"):
            SharedNodes.read(tmp_path / "nodes", wrong)
    numbers = np.fromfile(tmp_path / "nodes", np.int64)
    for place, value in ((0, 2**62), (3, 1), (6, 9), (8, 5)):  # a key, a node twice, an unknown node, a document twice
        wrong = numbers.copy()
        wrong[place] = value
        wrong.tofile(tmp_path / "wrong")
        with pytest.raises(ValueError, match="contradict each other"):
            SharedNodes.read(tmp_path / "wrong", 3)
