"""Words and hybrid searches of a whole index: steering, filters, deletes, other processes, caches."""

import subprocess
import sys

import numpy as np
import pytest

from steersearch.errors import ConfigError, DataError
from steersearch.runtime import Concept, SteerableIndex
from steersearch.runtime.search.lexical.words import concept_words, query_words
from steersearch.runtime.steering.steered_query import SteeredQuery

QUERY = "an integer is a number"
WEIGHTS = {"dense": 0.4, "latent": 0.2, "words": 0.4}
WAYS = [{"view": "words"}, {"view": "hybrid"}, {"view": "hybrid", "fusion": WEIGHTS}]


def found(index, query=QUERY, k=60, **how):
    return [(hit.id, hit.score) for hit in index.search(query, k, **how)]


@pytest.mark.parametrize("way", WAYS)
def test_ranks_filters_and_k(tiny_index, way):
    hits = tiny_index.search(QUERY, 5, **way)
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].id.startswith("numbers")
    assert found(tiny_index, k=5, **way) == found(tiny_index, **way)[:5]
    only = tiny_index.search("class", 60, filter={"topic": "classes"}, **way)
    assert {hit.metadata["topic"] for hit in only} == {"classes"}
    assert way["view"] == "words" or len(only) == 15  # k results, whatever the words find
    vector = tiny_index.steer(QUERY).original
    assert found(tiny_index, vector, text=QUERY, **way) == found(tiny_index, **way)
    with pytest.raises(DataError, match=r"the query is a vector: view='\w+' searches words, so give a text, or"):
        tiny_index.search(vector, **way)


def test_refused_before_anything_is_embedded(tiny_index, monkeypatch):
    monkeypatch.setattr(tiny_index.bundle, "embed", lambda texts: 1 / 0)
    with pytest.raises(ConfigError, match="fusion is 'sum'"):
        tiny_index.search(QUERY, view="hybrid", fusion="sum")
    for odd in ([], {}, None, np.array(["dense"] * 2), 7):
        with pytest.raises(ConfigError, match=r"view is .*: choose dense, reconstruction"):
            tiny_index.search(QUERY, view=odd)
        with pytest.raises(ConfigError, match=r"fusion is .*: give 'rrf', or weights"):
            tiny_index.search(QUERY, view="hybrid", fusion=odd)
    with pytest.raises(DataError, match="text=7"):
        tiny_index.search(np.zeros(32), view="words", text=7)


def test_words_find_words(tiny_index):
    hits = tiny_index.search("metaclass traceback", 9, view="words")
    assert sorted(hit.id for hit in hits) == ["classes-4", "exceptions-5"]
    assert tiny_index.search("nonesuch", 9, view="words") == []
    assert len(tiny_index.search("nonesuch", 9, view="hybrid")) == 9


@pytest.mark.parametrize("blend", ["both", "move"])
@pytest.mark.parametrize("way", WAYS)
def test_a_boost_brings_its_words_up_and_a_negative_one_takes_them_down(tiny_index, way, blend):
    query = "a class and an import and an error"

    def topics(**how):
        return [hit.id.split("-")[0] for hit in tiny_index.search(query, 10, **way, **how, blend=blend)]

    plain, up, down = topics(), topics(boost={"import module": 2.0}), topics(boost={"import module": -2.0})
    assert up.count("modules") > plain.count("modules") >= down.count("modules")
    # The query asks for an import: where documents are ranked by conditions, that is not held against any.
    assert blend == "both" or plain.count("modules") > down.count("modules")
    assert topics(boost={"import module": 0.0}) == topics(boost={}) == plain
    for hit in tiny_index.search(query, 10, boost={"import module": 2.0}, compare=True, blend=blend, **way):
        ranks = {h.id: h.rank for h in tiny_index.search(query, 100, **way)}
        assert hit.rank_before == ranks.get(hit.id)


def test_a_clamp_takes_words_out_of_the_query(tiny_index):
    plain = found(tiny_index, "metaclass traceback", view="words")
    clamped = found(tiny_index, "metaclass traceback", view="words", clamp={"traceback": 0})
    assert dict(clamped) == {id: score for id, score in plain if id == "classes-4"}


def steered(text, boosted=(), clamped=()):
    vector = np.ones(1, np.float32)
    return SteeredQuery(vector, vector, tuple(boosted), tuple(clamped), lambda: 1 / 0, text)


def test_weights_of_words(tiny_index):
    def weights(text, plain=False, **how):
        query = steered(text, **how)
        return query_words(query.unsteered if plain else query, str.split, tiny_index.bundle.features)

    sky, sea = Concept.from_text("blue sky"), Concept.from_text("sea")
    assert weights("sky over sky") == {"sky": 2, "over": 1}
    assert weights("sky", boosted=[(sky, 1.5)]) == {"sky": 2.5, "blue": 1.5}
    assert weights("sky", boosted=[(sky, -1.0), (sea, 1.0)]) == {"sky": 0, "blue": -1, "sea": 1}
    assert weights("sky sea", boosted=[(sea, 3.0)], clamped=[(sea, 0.0)]) == {"sky": 1, "sea": 0}
    assert weights("sky sea", True, boosted=[(sea, 3.0)], clamped=[(sky, 0.0)]) == {"sky": 1, "sea": 1}


def test_concepts_in_words(tiny_index):
    features = [type("Feature", (), {"label": label})() for label in ("zip archives, archive", None, "tar")]
    assert list(concept_words(Concept.from_text("blue sky"), features)) == [("blue sky", 1.0)]
    assert list(concept_words(Concept.from_examples(["a"], phrase="sea"), features)) == [("sea", 1.0)]
    assert list(concept_words(Concept.from_latents({0: 1.0}), features)) == [("zip archives", 0.5), ("archive", 0.5)]
    assert list(concept_words(Concept.from_latents({2: -2.0}), features)) == [("tar", -2.0)]
    assert list(concept_words(Concept.from_latents({1: 1.0}), features)) == []
    both = dict(concept_words(Concept.from_latents({2: 3.0, 1: 2.0, 0: 1.0}), features))
    assert both == pytest.approx({"tar": 1.5, "zip archives": 0.25, "archive": 0.25})


@pytest.mark.parametrize("way", WAYS)
def test_kept_in_step_and_in_the_cache(tiny_index, monkeypatch, way):
    found(tiny_index, **way)
    tiny_index.add(["an integer and another integer", "a module"], ids=["new", "other"])
    tiny_index.delete(["numbers-3", "other"])
    expected, path = found(tiny_index, **way), tiny_index.path
    assert "new" in dict(expected)
    assert "numbers-3" not in dict(expected)
    tiny_index.close()
    with SteerableIndex.open(path) as index, monkeypatch.context() as patch:
        patch.setattr(index._store, "iter_texts", lambda after_rowid: 1 / 0)
        assert found(index, **way) == expected
    content = bytearray((path / "cache" / "words.sqlite").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "cache" / "words.sqlite").write_bytes(content)
    with SteerableIndex.open(path) as index:
        assert found(index, **way) == expected
        assert index.verify().problems == (f"the cache {path / 'cache' / 'words.sqlite'} is damaged: it is made again "
                                           "when it is needed, or at once by `sae index compact`",)  # fmt: skip
        index.save()
        assert index.verify().ok
    for file in (path / "cache").glob("*"):
        file.unlink()
    with SteerableIndex.open(path, readonly=True) as index:
        assert found(index, **way) == expected
    assert not list((path / "cache").glob("*"))


def test_made_anew_after_many_deletes_and_after_a_failure(tiny_index, monkeypatch):
    found(tiny_index, view="words")
    first = tiny_index._views._views["words"].index
    tiny_index.delete([f"{topic}-{i}" for topic in ("classes", "modules") for i in range(15)])
    expected = found(tiny_index, view="words")
    assert tiny_index._views._views["words"].index is not first
    tiny_index.add(["an integer"], ids=["new"])
    with monkeypatch.context() as patch:
        patch.setattr(tiny_index._store, "iter_texts", lambda after_rowid: iter([]))
        with pytest.raises(Exception, match="0 of 1 texts can be read"):
            found(tiny_index, view="words")
    assert {id for id, _ in found(tiny_index, view="words")} == {"new", *dict(expected)}


def test_another_process_sees_commits(tiny_index, tiny_bundle):
    code = (
        "import sys; from steersearch.runtime import SteerableIndex\n"
        "index = SteerableIndex.open(sys.argv[1], bundle=sys.argv[2], readonly=True)\n"
        "for line in sys.stdin:\n"
        "    print(*sorted(h.id for h in index.search('zebra', 3, view='words')), flush=True)\n"
    )
    arguments = [sys.executable, "-c", code, str(tiny_index.path), str(tiny_bundle)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:

        def seen():
            reader.stdin.write("\n")
            reader.stdin.flush()
            return reader.stdout.readline().split()

        assert seen() == []
        tiny_index.add(["a zebra", "two zebras"], ids=["one", "two"])
        assert seen() == ["one", "two"]
        tiny_index.delete(["one"])
        assert seen() == ["two"]
        reader.stdin.close()
