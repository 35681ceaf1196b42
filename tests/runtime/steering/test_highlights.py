"""Scores in words: parts by hand, parts that add up, and what they are where an embedding is no sum over tokens."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steersearch.errors import DataError
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.bundle.token_parts import TokenParts, parts_of_mean, spans_in
from steersearch.runtime.search.lexical.word_sets import hashes_of, spread_in, spread_over
from steersearch.runtime.steering.highlights.parts import MOST, Sentence, Words
from steersearch.runtime.steering.highlights.spans import sentences_of, words_of, words_of_tokens
from steersearch.runtime.steering.highlights.word_vectors import FEWEST, OUTSIDE, WORDS, WordReader

from ...test_golden import DATA, documents

QUERIES = ["import a module", "an exception is raised", "zebra", ""]
PHRASES = ["a class and its attributes", "numbers", "an error is raised", "module"]


def cut(text, spans):
    return [text[start:end] for start, end in spans.tolist()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" .,! ", []),
        ("It's a well-known fact.", ["It's", "a", "well-known", "fact"]),
        ("naïve 🎉 ÀÉ", ["naïve", "ÀÉ"]),
        ("3.5 mg/l", ["3", "5", "mg", "l"]),
        ("한국어 단어", ["한국어", "단어"]),
    ],
)
def test_words(text, words):
    assert cut(text, words_of(text)) == words


def test_words_of_scripts_without_blanks_are_their_tokens():
    text = "BERT漢字かな x"
    assert cut(text, words_of(text)) == ["BERT", "漢", "字", "か", "な", "x"]
    tokens = np.array([[0, 4], [4, 6], [6, 8], [9, 10]])
    assert cut(text, words_of(text, tokens)) == ["BERT", "漢字", "かな", "x"]


def test_sentences():
    text = " One here.  Two there! \n\nThree。Four\nstill four "
    assert cut(text, sentences_of(text)) == ["One here.", "Two there!", "Three。", "Four\nstill four"]
    assert len(sentences_of(" \n ")) == 0


def test_the_word_of_each_token():
    text = "sun-rise, now"
    words = words_of(text)
    tokens = np.array([[0, 0], [0, 3], [3, 4], [4, 8], [8, 9], [9, 13], [6, 13], [0, 0]])
    # What is of two words counts for that of which it has more characters.
    assert words_of_tokens(words, tokens, len(text)).tolist() == [-1, 0, 0, 0, -1, 1, 1, -1]


def test_spans_of_what_was_read_in_a_text():
    # A prompt of 7 characters before "  ab": what was read is "query: " and the text, without blanks at its ends.
    read = [(0, 5), (5, 6), (7, 10), (10, 11), (0, 0)]
    assert spans_in("  ab", read, 7).tolist() == [[0, 0], [0, 0], [0, 3], [3, 4], [0, 0]]
    assert spans_in(" ab", [(0, 2)], -1).tolist() == [[1, 3]]


def test_parts_of_a_mean_by_hand():
    tokens = np.array([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(parts_of_mean(tokens), [[0.6, 0], [0, 0.8], [0, 0]], atol=1e-7)
    assert not parts_of_mean(np.zeros((2, 2), np.float32)).any()
    assert parts_of_mean(np.zeros((0, 2), np.float32)).shape == (0, 2)


def test_the_words_of_a_phrase_in_a_text():
    words = ["An", "error", "is", "not", "errors", "well-known"]
    assert spread_in(words, "errors known").tolist() == pytest.approx([0, 0.25, 0, 0, 0.25, 0.5])
    assert spread_in(words, "absent").tolist() == [0] * 6
    known = hashes_of("error known")
    by_hand = np.where(known == hashes_of("error")[0], 3.0, 1.0)
    assert spread_over(words, (known, by_hand)).tolist() == pytest.approx([0, 0.375, 0, 0, 0.375, 0.25])


class Lines:
    """A bundle whose embedding is known by hand: a text is the sum of the vectors of its words, each a unit."""

    d_in, brings, profile = 3, False, "fast"

    def __init__(self, tokens=True):
        self.tokens, self.asked = tokens, []

    def document_parts(self, texts):
        if not self.tokens:
            return None
        self.asked += texts
        return [self.parts(text) for text in texts]

    def parts(self, text):
        spans = [(0, 0), *words_of(text).tolist(), *([[len(text) - 1, len(text)]] if text.endswith(".") else [])]
        vectors = [[0, 0, 0.5] if start == end else self.vector(text[start:end]) for start, end in spans]
        return TokenParts(parts_of_mean(np.array(vectors, np.float32)), np.array(spans, np.int64))

    def vector(self, word):
        return {"red": [1, 0, 0], "blue": [0, 1, 0]}.get(word, [0, 0, 0.1])

    def embed_documents(self, texts):
        self.asked += texts
        return np.stack([self.parts(text).vectors.sum(0) for text in texts])


def test_vectors_of_words_by_hand():
    reader = WordReader(Lines())
    (words,) = reader.of(["red blue red."])
    length = np.sqrt(4 + 1 + 0.6**2)
    np.testing.assert_allclose(words.vectors * length, [[1, 0, 0], [0, 1, 0], [1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(words.total * length, [2, 1, 0.6], atol=1e-6)
    assert words.exact
    assert words.shares.tolist() == pytest.approx([0.2, 0.2, 0.2])


def test_texts_are_read_once():
    bundle = Lines()
    reader = WordReader(bundle)
    first = reader.of(["red", "blue", "red"])
    again = reader.of(["blue", "green", "red"])
    assert bundle.asked == ["red", "blue", "green"]
    assert again[0] is first[1]
    assert again[2] is first[0] is first[2]
    assert reader.of([]) == []


def test_words_that_are_left_out_by_hand():
    bundle = Lines(tokens=False)
    (words,) = WordReader(bundle).of(["red blue."])
    assert bundle.asked == ["red blue.", " blue.", "red ."]
    whole, without_red, without_blue = (bundle.parts(text).vectors.sum(0) for text in bundle.asked)
    np.testing.assert_allclose(words.vectors, [whole - without_red, whole - without_blue], atol=1e-6)
    assert not words.exact
    assert words.shares.tolist() == [0, 0]
    # All is lost without the only word, and no embedder is asked for an empty text.
    (alone,) = WordReader(bundle).of(["red"])
    np.testing.assert_allclose(alone.vectors, [bundle.parts("red").vectors.sum(0)], atol=1e-6)
    assert bundle.asked[3:] == ["red"]


@pytest.mark.parametrize(
    ("brings", "n", "pieces"),
    [(False, 20, 21), (False, 100, WORDS // 101), (False, 500, FEWEST), (True, 9, 10), (True, 100, OUTSIDE)],
)
def test_long_texts_lose_runs_of_words(brings, n, pieces):
    bundle = Lines(tokens=False)
    bundle.brings = brings
    (words,) = WordReader(bundle).of(["blue " * n + "red"])
    assert len(bundle.asked) == 1 + pieces
    assert len(words.vectors) == n + 1
    if pieces > n:
        return
    np.testing.assert_array_equal(words.vectors[-1], words.vectors[-2])
    assert words.vectors[-1][0] > words.vectors[0][0]


def made(values, sentences=()):
    spans = np.array([[i, i + 1] for i in range(len(values))], np.int64).reshape(-1, 2)
    rows = np.array(values, np.float64)
    none = np.zeros(0, np.int64), np.zeros((len(rows), 0), np.float32)
    return Words("x" * len(rows), True, spans, rows, rows[:, None], *none, 0.0, (0.0,), tuple(sentences))


def test_what_is_highlighted():
    # The average word adds .1, the strongest .9 more, so that from .37 on words are marked.
    words = made([0.1, -1.0, 1.0, 0.38, 0.02])
    assert [part.start for part in words.highlights] == [2, 3]
    assert [part.start for part in words.strongest()] == [2, 3, 0, 4]
    assert [part.start for part in words.strongest(1)] == [2]
    assert made([]).highlights == made([-1.0, 0.0]).highlights == ()
    assert made([]).sentence is None
    assert len(made([1.0] * 20).highlights) == MOST
    assert [part.value for part in words[1:3]] == [-1.0, 1.0]
    assert words[-1].terms == (0.02,)
    with pytest.raises(IndexError):
        words[5]


def test_the_best_sentence_is_neither_the_longest_nor_a_single_word():
    heading, good, long = Sentence(0, 1, 0.1, 1), Sentence(1, 2, 0.5, 6), Sentence(2, 3, 0.6, 40)
    assert made([1.0], [heading, good, long]).sentence is good


def check_sums(explanation, hit_score=None):
    """Everything that should add up, adds up."""
    words = explanation.words
    score = explanation.score
    assert words.values.sum() + words.rest == pytest.approx(score, abs=1e-5)
    assert sum(part.value for part in words) == pytest.approx(words.values.sum(), abs=1e-9)
    assert sum(one.value for one in words.sentences) == pytest.approx(words.values.sum(), abs=1e-9)
    assert sum(one.words for one in words.sentences) == len(words)
    for i, term in enumerate(explanation.terms):
        assert words.by_term[:, i].sum() + words.rests[i] == pytest.approx(term.value, abs=1e-5)
    if explanation.terms:
        np.testing.assert_allclose(words.by_term.sum(1), words.values, atol=1e-9)
        assert sum(words.rests) == pytest.approx(words.rest, abs=1e-9)
    if hit_score is not None:
        assert score == pytest.approx(hit_score, abs=1e-5)


requests = st.fixed_dictionaries(
    {
        "boost": st.dictionaries(st.sampled_from([*PHRASES, 1, 5]), st.floats(-3, 3), max_size=3),
        "exclude": st.lists(st.sampled_from([7, 9]), max_size=2),
        "clamp": st.dictionaries(st.sampled_from([2, 11]), st.floats(0, 1), max_size=1),
        "blend": st.sampled_from(["both", "move"]),
    }
)


@pytest.mark.filterwarnings("ignore::steersearch.errors.SteeringWarning")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests, st.sampled_from(QUERIES))
def test_parts_add_up(tiny_index, request_, query):
    hits = tiny_index.search(query, 4, highlight=True, **request_)
    explanations = tiny_index.explain_all(query, [hit.id for hit in hits], words=True, **request_)
    for hit, explanation in zip(hits, explanations, strict=True):
        check_sums(explanation, hit.score)
        assert explanation.words.exact
        np.testing.assert_allclose(hit.words.values, explanation.words.values, atol=1e-9)
        # The features' parts of all tokens are those of the explanation; the rest of a feature is in no word.
        every = tiny_index.bundle.document_parts([hit.text])[0].vectors.astype(np.float64)
        if not explanation.terms:
            of_latent = {part.feature.id: part.contribution for part in explanation.parts}
            for place, latent in enumerate(explanation.words.latents.tolist()):
                amounts = tiny_index.bundle.atoms[latent].astype(np.float64) @ every.sum(0)
                inside = explanation.words.by_feature[:, place].sum()
                share = of_latent[latent] / amounts if abs(amounts) > 1e-6 else 0.0
                rest = of_latent[latent] - inside
                outside = share * (tiny_index.bundle.atoms[latent] @ (every.sum(0) - vectors_inside(tiny_index, hit)))
                assert rest == pytest.approx(outside, abs=1e-4)


def vectors_inside(index, hit):
    return WordReader(index.bundle).of([hit.text])[0].vectors.sum(0)


def test_a_plain_score_is_the_product_with_each_word(tiny_index):
    query = "an exception is raised when an error occurs"
    hit = tiny_index.search(query, 1, highlight=True)[0]
    vector = tiny_index.bundle.embed_query(query).astype(np.float64)
    (words,) = WordReader(tiny_index.bundle).of([hit.text])
    np.testing.assert_allclose(hit.words.values, words.vectors @ vector, atol=1e-6)
    assert [hit.words.text_of(part) for part in hit.words] == cut(hit.text, words_of(hit.text))
    assert hit.sentence.end == len(hit.text)
    assert hit.text[hit.highlights[0].start : hit.highlights[0].end] in hit.text.split()
    assert tiny_index.search(query, 1)[0].words is None
    assert tiny_index.search(query, 1)[0].highlights == ()
    assert tiny_index.search(query, 1)[0].sentence is None


def test_words_of_a_phrase_have_what_its_condition_gives_for_them(tiny_index):
    id = "exceptions-0"  # "An exception is raised when an error occurs."
    explanation = tiny_index.explain("a value", id, words=True, boost={"an exception": 1.0})
    (term,) = explanation.terms[1:]
    assert term.words > 0.05
    words = explanation.words
    place = [words.text_of(part) for part in words].index("exception")
    others = np.delete(words.by_term[:, 1], place)
    assert words.by_term[place, 1] > term.words > others.max()


def test_what_was_given_as_a_vector_is_not_called_exact(opened_bundle, tmp_path):
    other = opened_bundle.embed(["something else"])
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        index.add(["a class has a name"], ["a"], embeddings=other)
        explanation = index.explain("a class", "a", words=True)
        assert not explanation.words.exact
        check_sums(explanation)
        with pytest.raises(DataError, match="no document 'b'"):
            index.explain_all("a class", ["a", "b"], words=True)


@pytest.mark.filterwarnings("ignore::steersearch.errors.SteeringWarning")
def test_a_bundle_without_token_vectors_leaves_words_out(tmp_path):
    ids, texts, metadata = documents()
    bundle = Bundle.load(DATA / "tiny_bundle", threads=1)
    assert bundle.document_parts(texts[:1]) is None
    with SteerableIndex.create(tmp_path / "index", bundle) as index:
        index.add(texts, ids, metadata)
        for how in ({}, {"boost": {0: 1.0}, "exclude": [7]}, {"boost": {0: 1.0}, "blend": "move"}):
            for hit in index.search("moon and a ship", 3, highlight=True, **how):
                assert not hit.words.exact
                check_sums(index.explain("moon and a ship", hit.id, words=True, **how), hit.score)
        explanation = index.explain("moon", index.search("moon", 1)[0].id, words=True)
        assert "by words, each by what the embedding loses without it:" in str(explanation)
        best = explanation.words.strongest(1)[0]
        assert "moon" in explanation.words.text_of(best).lower()


def test_the_words_of_a_feature(tiny_index):
    # A feature's atom is a unit vector, and a vector is a query.
    bundle, id = tiny_index.bundle, "exceptions-3"
    indices, _ = bundle.encode(tiny_index.vectors([id])[0][None])
    latent = int(indices[0, 0])
    explanation = tiny_index.explain(bundle.atoms[latent], id, words=True)
    check_sums(explanation)
    (words,) = WordReader(bundle).of([explanation.words.text])
    np.testing.assert_allclose(explanation.words.values, words.vectors @ bundle.atoms[latent], atol=1e-5)


def test_as_text(tiny_index):
    explanation = tiny_index.explain("an error is raised", "exceptions-0", words=True)
    lines = str(explanation).split("\n")
    at = lines.index("by words:")
    strongest = explanation.words.strongest(1)[0]
    assert lines[at + 1] == f"  {strongest.value:+.4f}  {explanation.words.text_of(strongest)}"
    assert lines[-1] == f"  {explanation.words.rest:+.4f}  punctuation and special tokens"
    assert "by words" not in str(tiny_index.explain("an error is raised", "exceptions-0"))
    steered = tiny_index.explain("an error", "exceptions-0", words=True, boost={"module": 1.0})
    assert str(steered).endswith("punctuation and special tokens, the average document")


def test_odd_texts(tiny_index):
    odd = ["", " ", "!!!", "e\u0301te\u0301 漢字 🎉 x", "a" * 500, " leading and trailing \n", "\x00 \x1b[2J"]
    tiny_index.add(odd, [f"odd-{i}" for i in range(len(odd))])
    found = tiny_index.explain_all("a class", [f"odd-{i}" for i in range(len(odd))], words=True)
    for text, explanation in zip(odd, found, strict=True):
        check_sums(explanation)
        assert explanation.words.exact
        assert explanation.words.text == text
        assert all(text[part.start : part.end].strip() for part in explanation.words)
    assert found[0].words.sentences == ()
    assert [found[5].words.text_of(part) for part in found[5].words] == ["leading", "and", "trailing"]


def test_a_reader_of_an_engine_is_the_same(tiny_index):
    # `SimpleNamespace` stands for whatever has the two methods and the flag that a reader uses.
    bundle = tiny_index.bundle
    like = SimpleNamespace(
        document_parts=lambda texts: None, embed_documents=bundle.embed_documents, brings=False, profile="lean"
    )
    left_out, exact = WordReader(like).of(["a class has a name"])[0], WordReader(bundle).of(["a class has a name"])[0]
    assert not left_out.exact
    np.testing.assert_array_equal(left_out.spans, exact.spans)
    np.testing.assert_allclose(left_out.total, exact.total, atol=1e-6)


@given(st.text(max_size=60) | st.text("ab 漢字.。!\n-'é", max_size=60), st.data())
def test_words_and_sentences_of_any_text(text, data):
    edges = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    tokens = np.array([*pairwise(edges)], np.int64).reshape(-1, 2)
    for spans in (words_of(text), words_of(text, tokens), sentences_of(text)):
        assert (spans[:, 0] < spans[:, 1]).all()
        assert (spans[1:, 0] >= spans[:-1, 1]).all()
        assert all(word.strip() == word for word in cut(text, spans))
    words, sentences = words_of(text, tokens), sentences_of(text)
    # Every word begins in a sentence, and tokens belong to words that they touch.
    assert all(any(a <= start < b for a, b in sentences.tolist()) for start in words[:, 0].tolist())
    for owner, (start, end) in zip(words_of_tokens(words, tokens, len(text)).tolist(), tokens.tolist(), strict=True):
        touched = [i for i, (a, b) in enumerate(words.tolist()) if max(a, start) < min(b, end)]
        assert owner in touched if touched else owner == -1
