import pytest

from steersearch.corpus.chunks import Chunker
from steersearch.corpus.documents import Document
from steersearch.corpus.plain_tokens import count_plain_tokens, plain_tokens
from steersearch.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The moon rises.", ["The", "moon", "rises", "."]),
        ("information", ["infor", "matio", "n"]),
        ("snake_case x2", ["snake", "_", "case", "x2"]),
        ("月が出る", ["月", "が", "出", "る"]),
        ("한국", ["한", "국"]),
        ("a😀b", ["a", "😀", "b"]),
        (" \n ", []),
        ("--!", ["-", "-", "!"]),
    ],
)
def test_tokens(text, tokens):
    assert [text[start:end] for start, end in plain_tokens(text)] == tokens
    assert count_plain_tokens(text) == len(tokens)


def test_documents_are_cut_by_plain_tokens():
    sentences = [f"Sentence number {i} is about the moon." for i in range(100)]
    text = " ".join(sentences)
    chunks = Chunker(None, 8191, 64, 0).cut(Document("d", text, {}))
    assert [chunk.text for chunk in chunks] == [text[c.metadata["start"] : c.metadata["end"]] for c in chunks]
    assert "".join(chunk.text for chunk in chunks).replace(" ", "") == text.replace(" ", "")
    sizes = [count_plain_tokens(chunk.text) for chunk in chunks]
    assert max(sizes) <= 64
    assert min(sizes[:-1]) > 40
    assert all(chunk.text.endswith(".") for chunk in chunks)
    assert Chunker(None, 8191, 512).cut(Document("d", sentences[0], {})) == [Document("d", sentences[0], {})]


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "!" * 20_000, "月" * 20_000, " " * 50_000 + "a", "\n".join("ab" * 9_000)]
)
def test_endless_words_are_cut_in_linear_time(text):
    chunks = Chunker(None, 8191, 512).cut(Document("d", text, {}))
    assert all(count_plain_tokens(chunk.text) <= 512 for chunk in chunks)


def test_the_size_of_a_chunk_has_bounds():
    with pytest.raises(ConfigError, match="16 to 8191"):
        Chunker(None, 8191, 8192)
