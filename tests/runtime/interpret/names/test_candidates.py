import numpy as np

from steersearch.runtime.interpret.names.candidates import VAGUE, find_candidates, is_english


def embed(texts):
    rng = np.random.default_rng(0)
    return rng.normal(size=(len(texts), 4)).astype(np.float32)


def of(texts, training=None):
    training = np.ones(len(texts), bool) if training is None else training
    return find_candidates(texts, training, embed)


def own(found):
    return {text for text, count in zip(found.texts, found.frequency, strict=True) if count}


FILLER = ["it was as if they had not been there at all, and so on and so forth"] * 14


def test_phrases_of_one_document_and_of_many_tell_nothing():
    texts = ["the red comet of the year was seen"] * 2 + ["the bishop came to the house"] * 8 + FILLER + ["a lone wolf"]
    found = own(of(texts))
    assert "red comet" in found
    assert "bishop" not in found  # in 8 of 25, above a fifth
    assert "lone wolf" not in found
    assert not found & VAGUE


def test_a_piece_of_a_longer_phrase_is_none():
    texts = ["the renal cell carcinoma of the patient"] * 3 + FILLER
    found = own(of(texts))
    assert "renal cell carcinoma" in found
    assert "renal cell" not in found


def test_singular_and_plural_are_one_candidate_and_names_keep_their_case():
    texts = ["we saw the stem cells of NASA"] * 2 + ["it was a stem cell of NASA"] + FILLER
    found = of(texts)
    assert [text for text in found.texts if text.startswith("stem cell")] == ["stem cells"]
    assert "NASA" in own(found)
    assert len({text.casefold() for text in found.texts}) == len(found.texts)


def test_held_out_documents_give_none():
    texts = ["the red comet of the year"] * 4 + FILLER
    training = np.ones(len(texts), bool)
    training[:4] = False
    found = of(texts, training)
    assert "red comet" not in own(found)
    assert found.of(0).tolist() == []
    assert len(found.starts) == len(texts) + 1


def test_common_nouns_are_candidates_in_english_alone():
    assert "mammal" in of(["the red comet was seen by them"] * 2 + FILLER).texts
    german = ["Der rote Komet wurde gestern gesehen und nicht wieder"] * 2 + ["Es war einmal ein Mann im Haus"] * 9
    found = of(german)
    assert "mammal" not in found.texts
    assert all(len(text.split()) == 1 for text in found.texts)


def test_texts_without_words_have_no_candidates():
    found = of(["123", "", "?!"] * 4)
    assert found.texts == []
    assert found.centred.shape == (0, 4)
    assert not is_english(["123", ""])
    assert not is_english([])
