from steersearch.runtime.interpret.name_words import NameWords

TEXTS = ["Oil prices rose.", "The price of crude oil", "OIL and gas", "prices of bread", "", "Café in Übersee, arrests"]


def found(name, texts=TEXTS):
    return [i for i, has in enumerate(NameWords(texts).in_documents(name)) if has]


def test_a_document_has_a_name_if_it_has_all_its_words_up_to_their_endings():
    assert found("oil prices") == [0, 1]
    assert found("oil price") == [0, 1]
    assert found("oils") == []  # words of three letters have one form: `oil` and `oily` are others
    assert found("bread oil") == []
    assert found("arrested") == [5]


def test_one_of_several_parts_is_enough():
    assert found("bread, gas") == [2, 3]


def test_names_without_words_and_documents_without_any():
    assert found("...") == found("") == found(", ,") == []
    assert found("oil", ["", "..."]) == []
    assert found("oil", []) == []
