"""From a query and its concepts to conditions: what is wanted, what is not, and what the rest explains."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.errors import SteeringWarning
from steersearch.runtime import Concept
from steersearch.runtime.steering.conditions.conjunction import AIM, FARTHEST, Conjunction, aimed, words_of
from steersearch.runtime.steering.conditions.scales import SAMPLE
from steersearch.runtime.steering.conditions.terms import EXCLUDED, Term, factor_of
from steersearch.runtime.steering.documents import Documents

D, N = 8, 24
PHRASE, OTHER = Concept.from_text("radio astronomy"), Concept.from_latents({3: 1.0}, "other")


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


class Sampled(Documents):
    """Documents of a seed."""

    generation = 1

    def __init__(self, seed, n=400):
        self.rows, self.asked = unit(np.random.default_rng(seed).standard_normal((n, D))), []

    def sample_vectors(self, limit):
        self.asked.append(limit)
        return self.rows


def made(seed=0, n=400):
    """A conjunction over random documents, its atoms, and a query."""
    rng = np.random.default_rng(seed)
    atoms, query = unit(rng.standard_normal((N, D))), unit(rng.standard_normal(D))
    documents = Sampled(seed, n)
    features = SimpleNamespace(reference_mean=np.zeros(D, np.float32))
    return Conjunction(SimpleNamespace(atoms=atoms, features=features), documents), documents, atoms, query


def code(*latents):
    return np.array(latents), np.full(len(latents), 0.5)


def correlation(documents, one, other):
    return float(np.corrcoef(documents.rows @ one.direction, documents.rows @ other.direction)[0, 1])


def rebuilt(term, atoms, query):
    """The direction from what a term says it is made of."""
    return term.amounts @ atoms[term.latents].astype(np.float64) + term.share * query.astype(np.float64)


def test_the_query_comes_first_and_each_is_measured_in_deviations():
    conjunction, documents, atoms, query = made()
    about, wanted, less, out = conjunction.terms(
        query, "far stars", [(PHRASE, code(1, 2), 0.5), (OTHER, code(3), -2.0)], [(PHRASE, code(4))]
    )
    assert (about.name, about.weight, about.words, about.concept) == ("query", 1.0, "far stars", None)
    assert (wanted.name, wanted.weight, wanted.words, wanted.concept) == (
        PHRASE.name,
        factor_of(0.5),
        PHRASE.name,
        PHRASE,
    )
    assert (less.name, less.weight, less.words) == ("other", factor_of(-2.0), "")
    assert (out.name, out.weight) == (PHRASE.name, -EXCLUDED)
    for term in (about, wanted, less, out):
        assert (documents.rows @ term.direction).std() == pytest.approx(1, abs=0.1)
        assert rebuilt(term, atoms, query) == pytest.approx(term.direction, abs=1e-6)
    assert documents.asked == [SAMPLE]


def test_without_words_and_without_strength():
    conjunction, _, _, query = made()
    about, wanted = conjunction.terms(query, None, [(OTHER, code(3), 1.0)], [])
    assert (about.words, wanted.words) == ("", "")


@given(st.floats(0.001, 50), st.sampled_from([1, -1]))
def test_a_small_boost_changes_little(strength, sign):
    """Words of the query count the more the more is asked for, up to a bound."""
    conjunction, _, _, query = made(n=20)
    ways = ([(OTHER, code(3), sign * strength)], []), ([(OTHER, code(3), 2.0 * sign * strength)], [])
    one, twice = (conjunction.terms(query, "words", *way)[0].word_weight for way in ways)
    most = conjunction.terms(query, "words", [], [(OTHER, code(3))])[0].word_weight
    assert 0 < one <= twice <= min(2 * one, most) + 1e-9
    assert strength < 1 or one == most


def test_which_words_are_evidence():
    assert words_of(PHRASE) == "radio astronomy"
    assert words_of(Concept.from_examples(["a", "b"], phrase="sea", name="ships")) == "sea"
    assert words_of(Concept.from_examples(["a", "b"], name="ships")) == words_of(OTHER) == ""


@given(st.integers(0, 2**31), st.booleans())
def test_what_the_rest_explains_is_not_held_against_a_document(seed, excluded):
    """The direction of what is unwanted has nothing of the query's, or less than nothing."""
    conjunction, documents, atoms, query = made(seed % 1000)
    rng = np.random.default_rng(seed)
    latents = rng.choice(N, 3, replace=False)
    first, second, third = (code(int(latent)) for latent in latents)
    weighted = [(PHRASE, first, 1.0), (OTHER, second, 0.5)]
    if not excluded:
        weighted.append((PHRASE, third, -1.0))
    *rest, out = conjunction.terms(query, None, weighted, [(PHRASE, third)] if excluded else [])
    for term in rest:
        assert correlation(documents, out, term) < 0.12  # .1 is the prior's share
    assert rebuilt(out, atoms, query) == pytest.approx(out.direction, abs=1e-5)


def test_what_is_nearer_to_the_query_loses_less():
    """A concept between an atom and the query: what is left of it is the atom."""
    conjunction, documents, atoms, _ = made()
    query = unit(atoms[0] + 0.5 * atoms[1])
    about, out = conjunction.terms(query, None, [], [(OTHER, code(0))])
    whole = conjunction.terms(query, None, [(OTHER, code(0), 1.0)], [])[1]
    assert correlation(documents, about, whole) > 0.5
    assert abs(correlation(documents, about, out)) < 0.1
    assert out.share < 0


@pytest.mark.parametrize("n", [0, 3, 400])
@pytest.mark.parametrize("excluded", [False, True])
def test_a_concept_that_is_the_query_does_not_punish_it(n, excluded):
    conjunction, _, atoms, _ = made(n=n)
    query = atoms[5]
    with pytest.warns(SteeringWarning, match="'other' is what the rest of the request asks for"):
        out = conjunction.terms(
            query, None, [] if excluded else [(OTHER, code(5), -1.0)], [(OTHER, code(5))] if excluded else []
        )[-1]
    scale = conjunction.terms(query, None, [(OTHER, code(5), 1.0)], [])[1]
    assert np.linalg.norm(out.direction) < 0.02 * np.linalg.norm(scale.direction)
    asked, else_ = out.value(out.presence(query[None])), out.value(out.presence(-query[None]))
    assert asked == pytest.approx(else_, abs=0.1 * abs(out.weight))


def test_a_concept_that_is_also_wanted_is_not_held_against_a_document():
    conjunction, _, _, query = made()
    _, wanted, out = conjunction.terms(query, None, [(PHRASE, code(5), 1.0)], [(OTHER, code(5))])
    assert np.linalg.norm(out.direction) < 0.02 * np.linalg.norm(wanted.direction)


def test_scales_are_measured_again_when_the_documents_change():
    conjunction, documents, _, query = made()
    for _ in range(3):
        first = conjunction.terms(query, None, [(OTHER, code(3), 1.0)], [])
    assert len(documents.asked) == 1
    documents.rows, documents.generation = unit(documents.rows + 3 * documents.rows[:1]), 2
    again = conjunction.terms(query, None, [(OTHER, code(3), 1.0)], [])
    assert len(documents.asked) == 2
    assert np.linalg.norm(again[0].direction) > np.linalg.norm(first[0].direction)


def test_where_candidates_are_looked_for():
    about = unit(np.array([1.0, 0, 0]))

    def term(weight, direction, concept=OTHER):
        none = np.zeros(0, np.int64), np.zeros(0)
        return Term("x", weight, np.array(direction, np.float64), np.zeros(3), 1.0, *none, 0.0, concept=concept)

    query = term(1.0, [9.0, 0, 0], None)
    assert aimed(about, [query]) is about
    assert aimed(about, [query, term(-1.0, [0, 5.0, 0])]) is about  # what is far from something is nowhere
    assert aimed(about, [query, term(1.0, [0, 5.0, 0])]) == pytest.approx(unit(np.array([1, AIM, 0])), abs=1e-6)
    both = aimed(about, [query, term(1.0, [0, 5.0, 0]), term(0.5, [0, 0, 2.0])])
    assert both == pytest.approx(unit(np.array([1, AIM, AIM / 2])), abs=1e-6)
    assert aimed(about, [query, term(50.0, [0, 5.0, 0])]) == pytest.approx(unit(np.array([1, FARTHEST, 0])), abs=1e-6)
    assert aimed(about, [query, term(1.0, [0, 0, 0])]) is about
