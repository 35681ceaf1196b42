import numpy as np
import pytest

from steersearch.arrays import unit_rows
from steersearch.runtime.bundle.feature import Feature
from steersearch.runtime.bundle.feature_tree import (
    FeatureGroup,
    find_group,
    group_from_json,
    group_of,
    group_to_json,
    walk,
    with_user_families,
)
from steersearch.runtime.interpret.encoded_documents import EncodedDocuments, firing_directions
from steersearch.runtime.interpret.tree import BRANCHES, LARGEST, build_tree, name_group

from ...made_candidates import made_candidates

TOPICS, EACH = 12, 30


def numbered(latents, taken, branch):
    return f"{'branch' if branch else 'family'} {len(taken)}"


@pytest.fixture(scope="module")
def documents():
    """Latents in twelve topics of thirty; documents are about one topic each, and the last ten latents never fire."""
    rng = np.random.default_rng(0)
    centres = unit_rows(rng.normal(size=(TOPICS, 24)).astype(np.float32))
    topic = np.arange(2400) % TOPICS
    rows = unit_rows(centres[topic] + 0.1 * rng.normal(size=(2400, 24)).astype(np.float32))
    indices = topic[:, None] * EACH + np.stack([rng.permutation(EACH)[:6] for _ in topic])
    values = rng.uniform(0.5, 1, indices.shape).astype(np.float32)
    return EncodedDocuments([str(i) for i in range(2400)], [""] * 2400, rows, indices, values, TOPICS * EACH + 10)


@pytest.fixture(scope="module")
def directions(documents):
    means = firing_directions(documents, range(documents.n_latents))
    return unit_rows(np.where(np.abs(means).max(1, keepdims=True) > 0, means, 1.0).astype(np.float32))


def test_every_feature_that_fires_is_in_one_family(documents, directions):
    tree = build_tree(directions, documents, [], numbered)
    members = [latent for group in tree for latent in group.members]
    assert sorted(members) == list(range(TOPICS * EACH))
    families = [family for group in tree for family in group.families]
    assert max(len(family.latents) for family in families) <= LARGEST
    assert min(len(family.latents) for family in families) > 1
    assert 3 <= len(tree) <= BRANCHES
    names = [group.name for _, group in walk(tree)]
    assert len(set(names)) == len(names)


def test_what_belongs_together_is_in_one_branch(documents, directions):
    tree = build_tree(directions, documents, [], numbered)
    for topic in range(TOPICS):
        latents = set(range(topic * EACH, (topic + 1) * EACH))
        assert max(len(latents.intersection(branch.members)) for branch in tree) > 0.9 * EACH


def test_each_level_covers_the_documents(documents, directions):
    tree = build_tree(directions, documents, [], numbered)
    assert sum(branch.share for branch in tree) == pytest.approx(1, abs=0.01)
    for branch in tree:
        assert sum(family.share for family in branch.children) == pytest.approx(branch.share, abs=0.01)
    assert [branch.share for branch in tree] == sorted((branch.share for branch in tree), reverse=True)


def test_families_that_were_found_stay_whole(documents, directions):
    tree = build_tree(directions, documents, [(0, 31, 62), (1, 2)], numbered)
    for family in ((0, 31, 62), (1, 2)):
        assert any(set(family) <= set(each.latents) for group in tree for each in group.families)


def test_the_same_features_give_the_same_tree(documents, directions):
    assert build_tree(directions, documents, [], numbered) == build_tree(directions, documents, [], numbered)


def test_few_features_have_families_alone_and_none_no_tree(documents, directions):
    few = EncodedDocuments(
        documents.ids[:40], [""] * 40, documents.embeddings[:40], documents.indices[:40] % 20, documents.values[:40], 20
    )
    tree = build_tree(directions[:20], few, [], numbered)
    assert tree
    assert not any(group.children for group in tree)
    none = EncodedDocuments(
        documents.ids, documents.texts, documents.embeddings, few.indices[:1], few.values[:1] * 0, 20
    )
    assert build_tree(directions[:20], none, [], numbered) == ()


def test_a_crowd_that_points_one_way_has_a_tree():
    rows = np.ones((300, 4), np.float32) / 2
    latents = np.tile(np.arange(300)[:, None], (1, 1))
    alike = EncodedDocuments(
        [str(i) for i in range(300)], [""] * 300, rows, latents, np.ones((300, 1), np.float32), 300
    )
    tree = build_tree(rows, alike, [], numbered)
    assert sorted(latent for group in tree for latent in group.members) == list(range(300))


def test_names_differ_by_more_than_an_ending():
    texts = ["share", "shares", "share of all", "price", "heart"]
    phrases = made_candidates(texts, [[1, 0], [0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0, 1]])
    goal = np.array([1, 0], np.float32)
    assert name_group(goal, phrases, []) == "share"
    assert name_group(goal, phrases, ["share"]) == "price"
    assert name_group(goal, phrases, ["price", "share", "heart"]) is None
    assert name_group(goal, made_candidates([], np.zeros((0, 2))), []) is None


TREE = (
    FeatureGroup("body", (), (FeatureGroup("hearts", (0, 1), (), 0.2), FeatureGroup("lungs", (2, 3), (), 0.1)), 0.3),
    FeatureGroup("space", (), (FeatureGroup("stars", (4, 5), (), 0.4),), 0.4),
)


def features(**edits):
    return [Feature(i, f"label {i}", 0.1, 0.3, 0.5, 0.9, **edits.get(f"f{i}", {})) for i in range(6)]


def test_hidden_features_and_empty_groups_are_left_out():
    shown = with_user_families(TREE, features(f4={"hidden": True}, f5={"hidden": True}, f0={"hidden": True}))
    assert [group.name for _, group in walk(shown)] == ["body", "hearts", "lungs"]
    assert shown[0].members == (1, 2, 3)


def test_families_of_users_stand_where_most_of_them_come_from():
    shown = with_user_families(TREE, features(f1={"family": "mine"}, f2={"family": "mine"}, f5={"family": "mine"}))
    body = find_group(shown, "BODY")
    assert [child.name for child in body.children] == ["mine", "hearts", "lungs"]
    assert group_of(shown, 5).name == "mine"
    assert sorted(latent for group in shown for latent in group.members) == [0, 1, 2, 3, 4, 5]


def test_a_family_of_a_user_joins_the_one_of_its_name():
    shown = with_user_families(TREE, features(f4={"family": "Hearts"}))
    assert set(group_of(shown, 4).latents) == {4, 0, 1}
    assert [child.name for child in shown[0].children] == ["Hearts", "lungs"]


def test_without_a_tree_there_are_the_users_families():
    shown = with_user_families((), features(f0={"family": "mine"}, f1={"family": "mine"}))
    assert shown == (FeatureGroup("mine", (0, 1)),)
    assert find_group(shown, "no") is group_of(shown, 3) is None


def test_plain_values_and_back():
    assert tuple(group_from_json(group_to_json(group)) for group in TREE) == TREE
    deep = {"name": "a", "share": None, "children": [{"name": "b", "share": None, "children": []}]}
    for _ in range(3):
        deep = {"name": "a", "share": None, "children": [deep]}
    with pytest.raises(ValueError, match="levels"):
        group_from_json(deep)
