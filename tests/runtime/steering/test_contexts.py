import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from steersearch.runtime import Bundle
from steersearch.runtime.steering.contexts import WORDS, Contexts, contexts_of

BAGS = {f"word{i}": [0, 0, float(i)] for i in range(40)} | {"zip": [3, 4, 0], "the": [0, 0, 0]}


def bundle(words, densities=None):
    """A text is the sum of its words; features have a word each."""
    rows = [SimpleNamespace(density=density) for density in densities or [1.0] * len(words)]

    class Features(list):
        def words_for(self, latents):
            return [words[latent] for latent in latents]

    calls = []

    def embed(texts):
        calls.append(list(texts))
        return np.array([np.sum([BAGS[word] for word in text.split()], 0) for text in texts], np.float32)

    return SimpleNamespace(features=Features(rows), embed=embed, calls=calls)


def test_what_a_phrase_adds_is_what_it_changes_in_other_texts():
    made = bundle([f"word{i}" for i in range(40)])
    contexts = Contexts(made.features, made.embed)
    assert contexts.added_by("zip") == pytest.approx([0.6, 0.8, 0])
    assert made.calls[0] == [text.removesuffix(" zip") for text in made.calls[1]]
    assert len(made.calls[0]) == WORDS
    assert made.calls[0][0] == "word0"
    assert made.calls[0][-1] == "word39"  # spread over all
    contexts.added_by("zip")
    assert len(made.calls) == 2  # remembered


def test_the_commonest_come_first_and_each_word_once():
    words = ["word1", "word1", *(f"word{i}" for i in range(2, WORDS + 1))]
    made = bundle(words, [0.1, 0.2, *(1 / (i + 1) for i in range(WORDS - 1))])
    Contexts(made.features, made.embed)
    assert sorted(made.calls[0]) == sorted(set(words))
    assert made.calls[0][0] == "word2"


def test_a_phrase_that_changes_nothing_adds_nothing():
    made = bundle([f"word{i}" for i in range(40)])
    assert Contexts(made.features, made.embed).added_by("the") is None


def test_too_few_words_cannot_tell():
    made = bundle([f"word{i}" for i in range(WORDS - 1)])
    assert Contexts(made.features, made.embed).added_by("zip") is None
    assert not made.calls


def test_a_real_bundle_has_words(opened_bundle):
    added = contexts_of(opened_bundle).added_by("an exception is raised")
    assert added is None or np.linalg.norm(added) == pytest.approx(1, abs=1e-5)


def test_contexts_are_made_once_for_each_bundle_and_go_with_it(tiny_bundle):
    bundle = Bundle.load(tiny_bundle, threads=1, verify=False)
    assert contexts_of(bundle) is contexts_of(bundle)
    contexts, opened = weakref.ref(contexts_of(bundle)), weakref.ref(bundle)
    del bundle
    gc.collect()
    assert opened() is None
    gc.collect()  # the registry let go of them in the first collection
    assert contexts() is None
