import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.corpus import Corpus, Document
from steersearch.errors import ConfigError, DataError
from steersearch.training.queries import MAX_CHARS, check_varied, natural_queries, relevant_rows

TEXTS = [
    f"The title of number {i}. A sentence about topic {i} that has some words. Another one follows it, also {i}."
    for i in range(200)
]


def test_kinds_of_queries():
    queries = natural_queries(Corpus.open(TEXTS), limit=600, seed=0).texts
    assert len(queries) == len(set(queries)) == 600
    beginnings = [query for query in queries if query.startswith("The title of number") and query.endswith(".")]
    spans = [query for query in queries if not query.endswith(".")]
    assert len(beginnings) >= 120
    assert len(spans) >= 150
    for query in queries:
        assert any(query in text for text in TEXTS)
    for span in spans:
        assert 3 <= len(span.split()) <= 12


def test_same_seed_same_queries():
    corpus = Corpus.open(TEXTS)
    first = natural_queries(corpus, limit=50, seed=1).texts
    assert first == natural_queries(Corpus.open(list(TEXTS)), limit=50, seed=1).texts
    assert first != natural_queries(corpus, limit=50, seed=2).texts


def test_every_document_has_the_same_chance():
    texts = [f"alpha{i} beta{i} gamma{i}" for i in range(100)]
    counts = [0] * 100
    for seed in range(200):
        for query in natural_queries(Corpus.open(texts), limit=10, seed=seed).texts:
            counts[int(query.split()[0][len("alpha") :])] += 1
    assert sum(counts) == 2000
    # 20 expected per document; a quarter of them must not come from the first or from the last tenth.
    assert 140 < sum(counts[:10]) < 260
    assert 140 < sum(counts[-10:]) < 260


@pytest.fixture
def paired():
    documents = [Document(f"d{i}", text) for i, text in enumerate(TEXTS)]
    pairs = [(f"question {i}?", f"d{i}") for i in range(30)] + [("question 0?", "d5"), ("  ", "d1")]
    return Corpus.from_documents("paired", documents, pairs)


def test_pairs_come_first(paired):
    queries, n_real = natural_queries(paired, limit=100, seed=0)
    assert n_real == 30
    assert queries[:30] == [f"question {i}?" for i in range(30)]
    assert len(queries) == 100


def test_real_queries_are_at_most_half(paired):
    chosen, n_real = natural_queries(paired, limit=10, seed=0)
    assert (len(set(chosen)), n_real) == (10, 5)
    assert all(query.startswith("question") for query in chosen[:5])
    assert chosen[:5] != [f"question {i}?" for i in range(5)]  # a random choice, not the first ones


def test_judgments_by_row(paired):
    assert relevant_rows(paired, ["question 7?", "question 0?", "no such question"]) == [{7: 1}, {0: 1, 5: 1}, {}]


def test_small_corpus_gives_what_it_has():
    assert natural_queries(Corpus.open(["one"]), limit=50, seed=0).texts == ["one"]
    text = "one two three four five six seven eight nine ten. And more words here."
    many = natural_queries(Corpus.open([text]), limit=30, seed=0).texts
    assert 25 <= len(set(many)) == len(many) <= 30


def test_scripts_without_spaces_and_texts_without_sentences():
    chinese = "太阳风暴影响无线电通信。卫星导航也会受到干扰。科学家正在研究预测方法。"
    queries = natural_queries(Corpus.open([chinese]), limit=10, seed=0).texts
    assert "太阳风暴影响无线电通信。" in queries
    assert all(len(query) <= 24 for query in queries)
    assert any(len(query) <= 12 and query in chinese for query in queries)
    long = natural_queries(Corpus.open(["word " * 5000]), limit=5, seed=0).texts
    assert max(map(len, long)) <= MAX_CHARS
    assert not any(query.endswith(" ") for query in long)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["the same"] * 200, "texts: 200 documents with one text, 'the same': add others"),
        (["two sentences. " * 9] * 200, "200 documents with one text"),
        (["one"], "1 documents with one text"),
        (["one", "one "], "all documents give one query, 'one'"),
    ],
)
def test_nothing_to_learn(texts, message):
    corpus = Corpus.open(texts)
    with pytest.raises(DataError, match=message):
        check_varied(corpus, natural_queries(corpus, limit=100, seed=0).texts)
    varied = Corpus.open([*texts, "another text"])
    check_varied(varied, natural_queries(varied, limit=100, seed=0).texts)


def test_limit_below_one():
    with pytest.raises(ConfigError, match="limit is 0"):
        natural_queries(Corpus.open(["one"]), limit=0, seed=0)


@given(
    texts=st.lists(st.text(min_size=1, max_size=80).filter(str.strip), min_size=1, max_size=8),
    limit=st.integers(1, 40),
    seed=st.integers(0, 3),
)
def test_any_text(texts, limit, seed):
    queries = natural_queries(Corpus.open(texts), limit=limit, seed=seed).texts
    assert 1 <= len(queries) <= limit
    assert len(set(queries)) == len(queries)
    assert all(query.strip() == query and query for query in queries)
    assert json.dumps(queries) == json.dumps(natural_queries(Corpus.open(texts), limit=limit, seed=seed).texts)
