"""What `audit` finds where there is something to find, and where there is nothing."""

import numpy as np
import pytest

from steersearch.errors import ConfigError, DataError
from steersearch.runtime import SteerableIndex
from steersearch.runtime.audit import audit

NOUNS = ["integer", "float", "class", "method", "module", "package", "exception", "error", "operator", "attribute"]
VERBS = ["returns", "raises", "creates", "searches", "loads", "handles", "compares", "defines", "calls", "shares"]


def texts(n=200):
    """Texts on one topic each, of which every odd one is told once more in other words."""
    made = []
    for i in range(n):
        noun, verb, other = NOUNS[i // 2 % 10], VERBS[i // 20 % 10], NOUNS[(i // 2 + i // 20 + 3) % 10]
        told = f"The {noun} {verb} another {other} value."
        made.append(told if i % 2 else f"{told} It may also be a long story about a name, a list and the number of it.")
    return made


@pytest.fixture
def index(opened_bundle, tmp_path):
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as made:
        metadata = [{"source": "short" if i % 2 else "long", "same": 1, "number": i} for i in range(200)]
        made.add(texts(), [f"d{i}" for i in range(200)], metadata)
        yield made


def test_what_is_rewarded_is_found_and_goes_when_it_is_removed(index):
    (found,) = audit(index, field="source").suspicions
    assert found.name in ("source: short", "source: long")
    assert found.pairs >= 30
    assert (found.share > 0.5) == (found.name == "source: short")  # it has less beside what both share
    assert found.rewarded
    assert abs(found.checks[0].share - 0.5) < abs(found.share - 0.5)
    assert 0 <= found.checks[0].overlap <= 1
    assert len(index.search("an integer value", 5, remove=[found.attribute])) == 5


def test_all_attributes_are_measured_once_and_the_others_named(index):
    report = audit(index)
    names = [one.name for one in report.suspicions]
    assert {"length: high", "source: short"} <= {*names, "source: short" if "source: long" in names else ""}
    assert "number: high" not in names  # a field of many values is measured where it is asked for
    assert all(0 <= one.p <= 1 and one.verdict for one in report.suspicions)
    assert report.to_json()["documents"] == 200
    assert [one.p for one in report.suspicions] == sorted(one.p for one in report.suspicions)


def test_where_a_chunk_stands_is_no_attribute(index):
    index.update_metadata([f"d{i}" for i in range(200)], [{"chunk": 1 + i % 2} for i in range(200)])
    report = audit(index)
    assert not [name for name in [*(one.name for one in report.suspicions), *report.skipped] if "chunk" in name]


def test_random_groups_are_not_rewarded(index):
    chance = np.random.default_rng(0).permutation(200) < 100
    index.update_metadata([f"d{i}" for i in range(200)], [{"coin": bool(one)} for one in chance])
    (found,) = audit(index, field="coin").suspicions
    assert not found.rewarded
    assert "nothing found" in found.verdict


def test_queries_of_a_person_are_taken(index):
    queries = [f"the {noun} {verb}" for noun in NOUNS for verb in VERBS]
    (found,) = audit(index, field="source", queries=queries).suspicions
    assert 30 <= found.pairs <= 100
    with pytest.raises(DataError, match="no query"):
        audit(index, field="source", queries=["", " "])


def test_numbers_of_many_values_are_compared_by_thirds(index):
    # The lowest third and the highest are about the same.
    numbers = [i // 2 if i % 2 else 1000 - i // 2 for i in range(200)]
    index.update_metadata([f"d{i}" for i in range(200)], [{"number": one} for one in numbers])
    (found,) = audit(index, field="number").suspicions
    assert found.name == "number: high"


def test_what_cannot_be_audited_is_said_in_one_line(index, opened_bundle, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'source'"):
        audit(index, field="sorce")
    with pytest.raises(DataError, match="in all documents: nothing to compare"):
        audit(index, field="same")
    with SteerableIndex.create(tmp_path / "few", opened_bundle) as few:
        few.add(texts(20), [f"d{i}" for i in range(20)])
        with pytest.raises(DataError, match="20 documents"):
            audit(few)
    with SteerableIndex.create(tmp_path / "numbers", opened_bundle) as numbers:
        numbers.add([f"{i} {i * 7} {i * i}" for i in range(60)], [f"d{i}" for i in range(60)])
        report = audit(numbers)
        assert not report.suspicions
        assert report.skipped
