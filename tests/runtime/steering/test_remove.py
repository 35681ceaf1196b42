"""What `remove` takes out of queries and documents, and that explanations of it add up."""

import numpy as np
import pytest

from steersearch.errors import ConfigError, DataError
from steersearch.runtime import Attribute, Steering
from steersearch.runtime.steering.attributes import removed_from


def unit(*rows):
    made = np.array(rows, np.float32)
    return made / np.linalg.norm(made, axis=-1, keepdims=True)


def pairs_of(seed=0, n=60, d_in=24):
    """Pairs of documents, of which the first is nearer to what both are about, and lies farther along axis 0."""
    chance = np.random.default_rng(seed)
    topics = np.zeros((n, d_in))
    topics[:, 4:] = chance.standard_normal((n, d_in - 4))
    topics /= np.linalg.norm(topics, axis=1, keepdims=True)
    noise = 0.05 * chance.standard_normal((2, n, d_in))
    high = topics + 0.3 * np.eye(d_in)[0] + noise[0]
    low = topics - 0.3 * np.eye(d_in)[0] + 0.5 * chance.standard_normal((n, 1)) * np.eye(d_in)[1] + noise[1]
    low += 0.4 * np.eye(d_in)[2]
    return unit(*high), unit(*low), unit(*topics)


def test_the_sum_of_what_is_removed_is_the_projection_on_the_span():
    query, first, second = np.array([1.0, 2, 3]), np.array([2.0, 0, 0]), np.array([1.0, 1, 0])
    for order in ([first, second], [second, first], [first, second, first]):
        removed = removed_from(query, [("a", one, 0.0) for one in order])
        np.testing.assert_allclose(query - sum(one.step for one in removed), [0, 0, 3], atol=1e-12)


def test_an_inner_product_with_the_removed_query_is_that_of_both_without_the_direction():
    chance = np.random.default_rng(1)
    query, documents, direction = chance.standard_normal(8), chance.standard_normal((5, 8)), chance.standard_normal(8)
    axis = direction / np.linalg.norm(direction)
    (one,) = removed_from(query, [("a", direction, 0.0)])
    both = (documents - np.outer(documents @ axis, axis)) @ (query - (query @ axis) * axis)
    np.testing.assert_allclose(documents @ (query - one.step), both)


def test_an_attribute_levels_pairs_that_it_was_not_learned_from():
    high, low, queries = pairs_of()
    attribute = Attribute.learn("near", high, low, queries)
    high, low, queries = pairs_of(seed=1, n=400)
    before = float(np.mean(np.einsum("ij,ij->i", queries, high - low) > 0))
    moved = [
        query - removed_from(query, [("", np.array(attribute.direction), attribute.reward)])[0].step
        for query in queries.astype(np.float64)
    ]
    after = float(np.mean(np.einsum("ij,ij->i", np.array(moved), high - low) > 0))
    assert before > 0.8
    assert abs(after - 0.5) < 0.1


def test_an_attribute_comes_back_from_its_file(tmp_path):
    attribute = Attribute.learn("reading level: low", *pairs_of())
    attribute.save(tmp_path / "level.json")
    again = Attribute.load(tmp_path / "level.json")
    assert (again.name, again.pairs) == ("reading level: low", 60)
    assert again.reward == attribute.reward
    np.testing.assert_allclose(again.direction, attribute.direction, atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 9, "attribute": "a", "direction": [1], "reward": 0}',
        '{"format": 1, "attribute": "a", "direction": [3], "reward": 0, "pairs": 1}',
    ],
)
def test_what_is_no_attribute_is_refused(text):
    with pytest.raises(ConfigError):
        Attribute.from_json(text)


def test_pairs_that_cannot_be_learned_from_are_refused():
    high, low, queries = pairs_of()
    with pytest.raises(DataError, match="same mean"):
        Attribute.learn("none", high, high, queries)
    with pytest.raises(DataError, match="shapes"):
        Attribute.learn("one", high[:1], low[:1], queries[:1])


def test_remove_takes_keys_and_attributes_and_nothing_else():
    assert Steering(remove="jazz").remove == ("jazz",)
    assert Steering(remove=["f1", "f1", 2]).remove == ("f1", 2)
    assert not Steering(remove=["f1"]).empty
    assert Steering(remove=None).empty
    for wrong in ({"field": "level"}, 1.5, [True], [None]):
        with pytest.raises(ConfigError):
            Steering(remove=wrong)
    with pytest.raises(ConfigError, match="in boost and in remove"):
        Steering({"f1": 1.0}, remove=["f1"])


def directions(index):
    """Return an attribute and a latent that fires."""
    vectors = index.sample(60)[0]
    attribute = Attribute.learn("plain", vectors[:20], vectors[20:40], vectors[40:60])
    latent = int(np.argmax(index.bundle.features.typical))
    return attribute, latent


@pytest.mark.parametrize(
    "how", [{}, {"boost": {"modules": 1.0}}, {"boost": {"modules": 0.5}, "blend": "move"}, {"exclude": ["numbers"]}]
)
def test_explanations_add_up_and_name_what_is_removed(tiny_index, how):
    attribute, latent = directions(tiny_index)
    steered = tiny_index.steer("raise an exception", remove=[attribute, latent], **how)
    assert steered.removed[0].name == "plain"
    hits = tiny_index.search(steered, 5)
    for hit, found in zip(hits, tiny_index.explain_all(steered, [hit.id for hit in hits], words=True), strict=True):
        removed = sum(one.value for one in found.removed)
        assert len(found.removed) == 2
        assert removed != 0
        assert sum(part.contribution for part in found.parts) + removed + found.rest == pytest.approx(found.score)
        assert found.score == pytest.approx(hit.score, abs=1e-5)
        assert float(found.words.values.sum()) + found.words.rest == pytest.approx(found.score)
        assert "removed: plain" in str(found)


def test_the_ranking_is_that_of_query_and_documents_without_the_direction(tiny_index):
    latent = directions(tiny_index)[1]
    ids, _, vectors = tiny_index.documents()
    atom = tiny_index.bundle.atoms[latent].astype(np.float64)
    axis = atom / np.linalg.norm(atom)
    query = tiny_index.bundle.embed_query("raise an exception").astype(np.float64)
    scores = (vectors - np.outer(vectors @ axis, axis)) @ (query - (query @ axis) * axis)
    found = tiny_index.search("raise an exception", 10, remove=[latent])
    assert [hit.id for hit in found] == [ids[i] for i in np.argsort(-scores, kind="stable")[:10]]


def test_an_empty_remove_changes_nothing(tiny_index):
    plain, empty = (tiny_index.search("raise an exception", 8, remove=given) for given in (None, []))
    assert [(hit.id, hit.score) for hit in plain] == [(hit.id, hit.score) for hit in empty]


@pytest.mark.parametrize("view", ["latent", "reconstruction", "words", "hybrid"])
def test_only_the_dense_view_removes(tiny_index, view):
    with pytest.raises(ConfigError, match="search the dense view"):
        tiny_index.search("raise an exception", remove=[directions(tiny_index)[1]], view=view)


def test_a_query_is_not_removed_from_itself(tiny_index):
    vector = tiny_index.bundle.embed_query("raise an exception")
    whole = Attribute("the query", tuple((vector / np.linalg.norm(vector.astype(np.float64))).tolist()))
    with pytest.raises(ConfigError, match="is what the query asks for"):
        tiny_index.search("raise an exception", remove=[whole])


def test_an_attribute_of_another_embedder_is_refused(tiny_index):
    with pytest.raises(ConfigError, match="learn it with this bundle"):
        tiny_index.search("raise an exception", remove=[Attribute("other", (1.0, 0.0))])
