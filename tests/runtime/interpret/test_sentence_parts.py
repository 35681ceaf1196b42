import numpy as np
import pytest

from steersearch.runtime import Bundle
from steersearch.runtime.interpret.sentence_parts import gives_parts, read_parts

TEXTS = [
    "An exception is raised when a socket closes.",
    "The list is sorted.",
    "A module imports a package, a package imports a module.",
]


@pytest.fixture(scope="module")
def bundle(tiny_bundle):
    return Bundle.load(tiny_bundle, threads=1)


@pytest.fixture(scope="module")
def mean(bundle):
    return bundle.embed_documents(TEXTS).mean(0)


@pytest.fixture(scope="module")
def read(bundle, mean):
    steps = []
    found = read_parts(bundle, TEXTS, {TEXTS[0]: [3, 5], TEXTS[2]: [3]}, mean, lambda *step: steps.append(step))
    assert steps[-1] == (3, 3)
    return found


def test_one_pass_gives_the_embeddings_too(bundle, read):
    assert gives_parts(bundle)
    assert np.allclose(read.embeddings, bundle.embed_documents(TEXTS), atol=1e-5)


def test_what_a_chunk_adds_is_told_for_the_latents_that_were_asked_for(bundle, mean, read):
    assert set(read.saliency) == {(TEXTS[0], 3), (TEXTS[0], 5), (TEXTS[2], 3)}
    for (text, latent), spans in read.saliency.items():
        [tokens] = bundle.document_parts([text])
        shares = (tokens.vectors - mean / len(tokens.vectors)) @ bundle.atoms[latent]
        if shares.sum() <= 0:
            assert spans == ()
        for a, b, saliency in spans:
            inside = [a <= x < y <= b for x, y in tokens.spans]
            assert saliency == pytest.approx(np.clip(shares[inside].sum() / shares.sum(), 0, 1), abs=2e-3)
    assert any(read.saliency.values())


def test_a_token_is_the_mean_of_what_it_adds_where_it_was_read(bundle, read):
    ids = bundle.tokenise(TEXTS)
    parts = bundle.document_parts(TEXTS)
    assert read.means.tokens.tolist() == sorted({int(token) for row in ids for token in row})
    token = int(ids[2][2])
    vectors = [v for row, p in zip(ids, parts, strict=True) for v in len(row) * p.vectors[row == token]]
    # One more that adds nothing: what was seen seldom counts less.
    expected = (np.sum(vectors, 0) - len(vectors) * read.embeddings.mean(0)) / (len(vectors) + 1)
    found = read.means.vectors[np.searchsorted(read.means.tokens, token)]
    assert np.allclose(found, expected, atol=1e-4)


def test_nothing_to_read(bundle, mean):
    found = read_parts(bundle, [], {}, mean, lambda *step: None)
    assert (len(found.embeddings), len(found.means.tokens), found.saliency) == (0, 0, {})
