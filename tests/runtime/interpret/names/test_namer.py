import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.arrays import unit_rows
from steersearch.runtime.interpret.names.namer import Evidence, Namer, areas
from steersearch.runtime.interpret.names.word_table import WordTable
from steersearch.runtime.interpret.scoring import auc

from ....made_candidates import made_candidates

X, Y, Z = np.eye(3, dtype=np.float32)


def namer(texts, centred, documents, vectors):
    return Namer(made_candidates(texts, centred), WordTable(documents), unit_rows(np.array(vectors, np.float32)))


def evidence(direction, positives, negatives):
    found = np.arange(positives)
    return Evidence(direction, found, found[:10], np.arange(positives, positives + negatives))


def test_the_name_is_what_the_documents_say_and_are_about():
    documents = ["oil"] * 10 + ["tennis"] * 10
    vectors = [X] * 10 + [Y] * 10
    made = namer(["tennis", "oil", "petrol"], [Y, X, X], documents, vectors)
    asked = evidence(X, 10, 10)
    label = made.label(asked, made.rank(asked))
    assert label.phrases == ("oil",)  # `petrol` points there too, but no document has it
    assert label.direction.tolist() == pytest.approx(X.tolist())
    assert label.keys == (("oil",),)


def test_a_name_is_given_once_and_not_in_other_words():
    documents = ["oil"] * 10 + ["tennis"] * 10
    made = namer(["oil", "Oils", "crude"], [X, [0.99, 0.14, 0], [0.6, 0.8, 0]], documents, [X] * 10 + [Z] * 10)
    asked = evidence(X, 10, 10)
    assert made.label(asked, made.rank(asked)).text == "oil"
    assert made.label(asked, made.rank(asked)).text == "crude"  # `Oils` means the same as what is taken
    assert made.label(asked, made.rank(asked)) is None


def test_a_second_part_where_the_documents_are_of_two_kinds():
    documents = ["oil", "oil", "tennis", "tennis"] * 5 + ["rain"] * 10 + ["sun"] * 10
    vectors = [X if text == "oil" else Y if text == "tennis" else Z if text == "rain" else -Z for text in documents]
    made = namer(["oil", "tennis"], [X, Y], documents, vectors)
    asked = evidence(unit_rows((X + Y)[None])[0], 20, 20)
    assert set(made.label(asked, made.rank(asked)).phrases) == {"oil", "tennis"}
    few = Evidence(asked.direction, asked.positives[:4], asked.positives[:4], asked.negatives)
    other = namer(["oil", "tennis"], [X, Y], documents, vectors)
    assert len(other.label(few, other.rank(few)).phrases) == 1  # four documents show nothing


def test_without_candidates_there_is_no_name():
    made = namer(["a"], [X], ["a", "b"], [X, Y])
    asked = evidence(X, 1, 1)
    assert made.label(asked, made.rank(asked)).text == "a"


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=30, unique=True), st.data())
def test_areas_are_aucs(values, data):
    positives = data.draw(st.integers(1, len(values) - 1))
    column = np.array(values, np.float32)
    [area] = areas(column[:, None], positives)
    assert area == pytest.approx(auc(column[:positives], column[positives:]), abs=1e-6)
