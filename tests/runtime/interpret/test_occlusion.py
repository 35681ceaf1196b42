"""With an embedder that counts words, so that what matters is known."""

import numpy as np

from steersearch.runtime.interpret.neuron2graph import TokenModel
from steersearch.runtime.interpret.occlusion import ActiveSentence, chunks_of, find_patterns, occlude, salient_words

from ...made_candidates import made_candidates

WORDS = ["stem", "cells", "marrow", "liver", "filler"]


class CountingBundle:
    """Latent i is as active as the share of words that are word i, of those known; the last word counts for nothing."""

    atoms = np.eye(4, 5, dtype=np.float32)
    d_in = 5

    def tokenise(self, texts):
        return [
            np.array([WORDS.index(w) if w in WORDS else 4 for w in text.lower().split()], np.int64) for text in texts
        ]

    def embed(self, texts, step=""):
        return np.array([[row.tolist().count(i) for i in range(5)] for row in self.tokenise(texts)], np.float32)

    def encode(self, rows):
        values = rows[:, :4] / np.maximum(rows.sum(1, keepdims=True), 1)
        return np.tile(np.arange(4), (len(rows), 1)), values.astype(np.float32)


MODEL = TokenModel(np.arange(5), np.ones(5, np.float32), np.eye(5, dtype=np.float32))


def test_chunks_are_runs_of_words_that_say_something():
    sentence = "The stem cells of the bone, marrow stem cells"
    assert [sentence[a:b] for a, b in chunks_of(sentence)] == ["stem cells", "bone", "marrow stem", "cells"]
    assert chunks_of("of the and") == []


def test_the_shortest_span_that_will_do_and_the_words_in_it():
    bundle = CountingBundle()
    sentence = "filler of marrow of filler"
    [found, quiet] = occlude(
        bundle, MODEL, [ActiveSentence(2, sentence, 0.2), ActiveSentence(3, sentence, 0.0)], bundle.embed
    )
    assert found.minimal is not None
    assert sentence[slice(*found.minimal)] == "marrow"
    assert found.minimal_activation == 1.0
    assert [(sentence[a:b], share) for a, b, share in found.spans] == [("marrow", 1.0)]
    assert salient_words(found) == ("marrow",)
    assert quiet == ActiveSentence(3, sentence, 0.0)
    assert salient_words(quiet) == ()


def test_patterns_with_the_substitutes_that_work():
    bundle = CountingBundle()

    class Both(CountingBundle):
        """`liver` makes latent 2 fire as `marrow` does; `stem` does not."""

        def encode(self, rows):
            ids, values = super().encode(rows)
            values[:, 2] += values[:, 3]
            return ids, values

    phrases = made_candidates(["liver", "stem"], [[0, 0, 0, 1, 0], [1, 0, 0, 0, 0]])
    founds = occlude(
        bundle,
        MODEL,
        [ActiveSentence(2, "filler of marrow", 1 / 3), ActiveSentence(2, "marrow of filler", 1 / 3)],
        bundle.embed,
    )
    patterns = find_patterns(Both(), founds, phrases, np.full(4, 0.5, np.float32), bundle.embed)
    [pattern] = patterns[2]
    assert pattern.tokens == (("marrow", "liver"),)
    assert pattern.support == 2
    assert pattern.weight == 2.0  # 1 alone, where .5 is typical
    assert str(pattern) == "marrow|liver"
