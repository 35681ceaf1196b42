"""Explanations of scores by conditions: parts and conditions add up, and each part is what its definition says."""

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.search.lexical.word_sets import hashes_of

from ...test_golden import DATA, EXAMPLES, PHRASE, QUERY, documents

LABELLED = [0, 3, 7, 12, 20, 31, 40]
QUERIES = [QUERY, "moon", "a whale and a hospital", ""]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    ids, texts, metadata = documents()
    bundle = Bundle.load(DATA / "tiny_bundle", threads=1)
    with SteerableIndex.create(tmp_path_factory.mktemp("explain") / "index", bundle, backend="exact") as index:
        index.add(texts, ids, metadata)
        yield index


requests = st.fixed_dictionaries(
    {
        "boost": st.dictionaries(st.sampled_from(LABELLED), st.floats(-3, 3), max_size=3),
        "exclude": st.lists(st.sampled_from(LABELLED), max_size=2),
        "clamp": st.dictionaries(st.sampled_from(LABELLED), st.floats(0, 1), max_size=1),
        "protect": st.booleans(),
        "blend": st.sampled_from(["both", "move"]),
    }
)


@pytest.mark.filterwarnings("ignore::steersearch.errors.SteeringWarning")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests, st.sampled_from(QUERIES))
@example({"boost": {0: -3e-308}, "exclude": [], "clamp": {}, "protect": False, "blend": "both"}, QUERIES[0])
def test_parts_and_conditions_add_up(index, asked, query):
    asked["exclude"] = [key for key in asked["exclude"] if asked["boost"].get(key, 0) <= 0]
    steered = index.steer(query, **asked)
    hits = index.search(steered, 4)
    for hit, why in zip(hits, index.explain_all(steered, [hit.id for hit in hits]), strict=True):
        assert np.float32(why.score) == pytest.approx(hit.score, abs=1e-6)
        assert sum(part.contribution for part in why.parts) + why.rest == pytest.approx(why.score, abs=1e-9)
        assert [term.name for term in why.terms] == [term.name for term in steered.terms]
        if why.terms:
            assert np.float32(why.score) == np.float32(hit.score)
            assert sum(term.value for term in why.terms) == pytest.approx(why.score, abs=1e-9)
            by_feature = dict.fromkeys((part.feature.id for part in why.parts), 0.0)
            for term in why.terms:
                for part in term.parts:
                    by_feature[part.feature.id] += part.contribution
            assert by_feature == pytest.approx({p.feature.id: p.contribution for p in why.parts}, abs=1e-9)
            assert max(term.value for term in why.terms) <= 0
        for part in why.parts:
            assert np.isfinite([part.contribution, part.steered]).all()
        sizes = [abs(part.contribution) for part in why.parts]
        assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    "asked",
    [
        {"boost": {PHRASE: 1.0, 3: -0.5}},
        {"exclude": [EXAMPLES, "island"]},
        {"boost": {"whale": 2.0}, "clamp": {"storm": 0.0}},
        {"boost": {"whale": 0.5}, "exclude": [7], "blend": "move"},
    ],
)
def test_each_part_is_what_the_definition_says(index, asked):
    """Of a condition's value beyond that of the average document each part of z has its proportion."""
    steered, id = index.steer(QUERY, **asked), "sea-4-0"
    why = index.explain(steered, id)
    document = index.vectors([id])[0].astype(np.float64)
    words = set(hashes_of(index.get([id])[0].text).tolist())
    atoms, about = index.bundle.atoms.astype(np.float64), steered.about.astype(np.float64)
    moved = steered.original + steered.change.delta @ atoms[steered.change.latents]
    length = np.linalg.norm(moved)
    assert about == pytest.approx(moved / length, abs=1e-6)
    parts, by_steering, rest = np.zeros((2, len(atoms))).tolist(), None, 0.0
    parts, by_steering = np.array(parts[0]), np.array(parts[1])
    code, delta = np.zeros(len(atoms)), np.zeros(len(atoms))
    code[steered.change.latents] = steered.change.after / length
    delta[steered.change.latents] = steered.change.delta / length
    for term, told in zip(steered.terms, why.terms, strict=True):
        z, at_mean = told.presence, float(term.value(0.0))
        assert told.value == pytest.approx(float(term.value(z)))
        share = (told.value - at_mean) / z
        made = np.zeros(len(atoms))
        np.add.at(made, term.latents, term.amounts)
        assert made @ atoms + term.share * about == pytest.approx(term.direction, abs=1e-5)
        along = atoms @ (document - term.mean)
        parts += share * (made + term.share * code) * along
        by_steering += share * (term.share * delta if term.concept is None else made + term.share * code) * along
        residual = about - code @ atoms
        rest += at_mean + share * term.share * float(residual @ (document - term.mean)) + told.words
        own = z - float(term.direction @ (document - term.mean))
        assert told.words == pytest.approx(share * own, abs=1e-6)
        assert bool(told.words) == bool(term.word_weight and words & set(hashes_of(term.words).tolist()))
    found = {part.feature.id: part for part in why.parts}
    assert set(found) == {*steered.change.latents.tolist(), *(int(i) for t in steered.terms for i in t.latents)}
    for latent, part in found.items():
        assert part.contribution == pytest.approx(parts[latent], abs=1e-5)
        assert part.steered == pytest.approx(by_steering[latent], abs=1e-5)
    assert why.rest == pytest.approx(rest, abs=1e-4)


def test_it_says_what_is_wanted_and_what_is_not(index):
    told = str(index.explain(QUERY, "sea-2-1", boost={PHRASE: 1.0}, exclude=["whale"]))
    lines = told.splitlines()
    assert lines[0].startswith("sea-2-1: score -")
    assert "  query (stands out by " in lines[1]
    assert f"  + {PHRASE} (stands out by " in lines[2]
    assert "  - whale (stands out by " in lines[3]
    assert lines[4] == "by features, beside the average document:"
    assert lines[-1].endswith("the average document, words, and what no active feature expresses")
    plain = str(index.explain(QUERY, "sea-2-1"))
    assert "stands out" not in plain
    assert plain.splitlines()[-1].endswith("not expressed by any active feature")
