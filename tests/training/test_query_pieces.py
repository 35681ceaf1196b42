"""Pieces of documents for a query table."""

from hypothesis import given
from hypothesis import strategies as st

from steersearch.training.query_pieces import query_pieces

DOCUMENTS = [
    ("Solar wind", "The solar wind carries charged particles. It shapes the tails of comets. Storms follow it."),
    ("", "Bread needs flour, water and salt. Yeast makes it rise in an hour or two."),
]


def test_titles_and_sentences_come_first_and_the_rest_is_drawn() -> None:
    pieces = query_pieces(DOCUMENTS, 60, seed=0)
    assert 45 <= len(pieces) == len(set(pieces)) <= 60
    for whole in ("Solar wind", "It shapes the tails of comets.", "Bread needs flour, water and salt."):
        assert whole in pieces
    words = {word.strip(".,") for _, text in DOCUMENTS for word in text.split()} | {"Solar", "wind"}
    assert {word.strip(".,") for piece in pieces for word in piece.split()} <= words
    assert min(len(piece.split()) for piece in pieces) == 1


def test_a_seed_gives_the_same_pieces() -> None:
    assert query_pieces(DOCUMENTS, 40, seed=3) == query_pieces(DOCUMENTS, 40, seed=3)
    assert query_pieces(DOCUMENTS, 40, seed=3) != query_pieces(DOCUMENTS, 40, seed=4)


def test_a_small_corpus_gives_what_it_has() -> None:
    assert query_pieces([("", "Only these few words.")], 1000, seed=0).count("Only these few words.") == 1
    assert len(query_pieces([("", "Only these few words.")], 1000, seed=0)) < 100
    assert query_pieces([], 10, seed=0) == []
    assert query_pieces([("Title", "")], 10, seed=0) == ["Title"]


def test_scripts_without_spaces_are_cut_between_characters() -> None:
    text = "太陽風は荷電粒子を運び彗星の尾を形づくる風であり嵐はそのあとに続いて地球の磁場をゆらすことがある"
    spans = [piece for piece in query_pieces([("", text)], 30, seed=0) if " " not in piece]
    assert any(2 <= len(span) <= 9 for span in spans)


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=200)), max_size=6), st.integers(1, 50))
def test_any_documents_give_different_pieces_on_one_line(documents: list[tuple[str, str]], limit: int) -> None:
    pieces = query_pieces(documents, limit, seed=1)
    assert len(pieces) == len(set(pieces)) <= limit
    assert all(piece == " ".join(piece.split()) and 1 < len(piece) <= 300 for piece in pieces)
