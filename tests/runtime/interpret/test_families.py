from dataclasses import replace

import numpy as np
import pytest

from steersearch.runtime.bundle.feature import Feature
from steersearch.runtime.bundle.feature_tree import FeatureGroup
from steersearch.runtime.bundle.features import Features
from steersearch.runtime.bundle.interpretation import Interpretation
from steersearch.runtime.interpret.families import find_families, named_families


def rows(*documents):
    return np.array(documents, np.int64)


def test_latents_that_fire_together_are_a_family():
    firing = [rows(0, 1, 2, 3), rows(3, 2, 1), rows(7, 8, 9), rows(0, 1, 2, 4), rows()]
    assert find_families(firing, np.eye(5, dtype=np.float32)) == ((0, 1, 3),)
    # Two common documents are an accident, however few there are.
    assert find_families([rows(0, 1), rows(0, 1)], np.eye(2, dtype=np.float32)) == ()


def test_atoms_that_are_nearly_the_same_are_a_family():
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((20, 64)).astype(np.float32)
    atoms[[4, 9, 17]] = atoms[4] + 0.1 * rng.standard_normal((3, 64)).astype(np.float32)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    nothing = [rows()] * 20
    assert find_families(nothing, atoms) == ((4, 9, 17),)
    assert find_families(nothing, -np.abs(np.eye(20, 64, dtype=np.float32))) == ()


def test_a_chain_is_no_family():
    """Each fires on half of what the next one fires on: with single linkage all would be one."""
    firing = [np.arange(10 * i, 10 * i + 20) for i in range(12)]
    families = find_families(firing, np.eye(12, dtype=np.float32), jaccard=0.3)
    assert families == tuple((i, i + 1) for i in range(0, 12, 2))


def test_no_family_is_larger_than_allowed():
    same = [np.arange(10)] * 30
    families = find_families(same, np.eye(30, dtype=np.float32), largest=12)
    assert max(map(len, families)) <= 12
    assert sorted(latent for family in families for latent in family) == list(range(30))


def test_a_family_joins_only_while_most_pairs_are_alike():
    # 0, 1, 2 share their documents; 3 overlaps with 2 by 4 of 36, but with neither of the others.
    firing = [np.arange(20), np.arange(20), np.arange(24), np.arange(20, 36)]
    assert find_families(firing[2:], np.eye(2, dtype=np.float32)) == ((0, 1),)
    assert find_families(firing, np.eye(4, dtype=np.float32)) == ((0, 1, 2),)


def test_the_same_input_gives_the_same_families():
    rng = np.random.default_rng(1)
    firing = [np.flatnonzero(rng.random(60) < 0.2) for _ in range(80)]
    atoms = np.eye(80, dtype=np.float32)
    first = find_families(firing, atoms)
    assert first == find_families([rng.permutation(documents) for documents in firing], atoms)
    assert len({latent for family in first for latent in family}) == sum(map(len, first)) > 20
    assert list(first) == sorted(first, key=lambda family: (-len(family), family))


@pytest.mark.parametrize("n", [0, 1])
def test_few_latents(n):
    assert find_families([rows()] * n, np.ones((n, 3), np.float32)) == ()


def test_names():
    made = [
        Feature(i, label, density, 0.3, 0.5, 0.9, family=family, hidden=hidden)
        for i, (label, density, family, hidden) in enumerate(
            [
                ("cells", 0.1, None, False),
                ("stem cells", 0.2, None, False),
                (None, 0.9, None, False),
                ("hearts", 0.1, "organs", False),
                ("livers", 0.1, "organs", False),
                ("lungs", 0.1, "organs", True),
                ("noise", 0.1, None, True),
                (None, 0.1, None, False),
                (None, 0.2, None, False),
            ]
        )
    ]
    features = Features(made, np.zeros(2, np.float32))
    found = Interpretation("docs", 9, (0.0, 0.0, 0.0), ((0, 1, 2, 3), (5, 6), (0, 6), (7, 8)), (), ())
    named = named_families(features, found)
    assert named == {"organs": (3, 4), "stem cells": (0, 1, 2), "f8": (7, 8)}
    assert [*named] == ["organs", "stem cells", "f8"]
    # With a tree, its lowest groups are the families.
    tree = (FeatureGroup("body", (), (FeatureGroup("cells", (0, 1, 2)), FeatureGroup("inside", (3, 7, 8)))),)
    assert named_families(features, replace(found, tree=tree)) == {
        "organs": (3, 4),
        "cells": (0, 1, 2),
        "inside": (7, 8),
    }
    assert named_families(features, None) == {"organs": (3, 4)}
