from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from steersearch.corpus import Document
from steersearch.corpus.chunks import Chunker
from steersearch.corpus.sections import Section, markdown_sections
from steersearch.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A tokenizer for which every word and every mark is one token, with one special token at each end."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    path = tmp_path_factory.mktemp("words") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def cut(path, text, tokens=18, overlap=0, sections=(), **metadata):
    return Chunker(path, 100, tokens, overlap).cut(Document("a", text, metadata, sections))


def sentence(n, word="w"):
    """n tokens, the full stop included."""
    return " ".join([word] * (n - 1)) + "."


def test_a_short_document_stays_as_it_is(words):
    text = sentence(16)
    assert cut(words, text, year=1) == [Document("a", text, {"year": 1})]
    assert len(cut(words, text + " more")) == 2
    assert cut(words, "  ") == [Document("a", "  ")]


def test_sentences_stay_whole_and_positions_are_those_of_the_text(words):
    text = f"{sentence(10, 'a')}  {sentence(6, 'b')}\n\n{sentence(9, 'c')} {sentence(2, 'd')}"
    first, second = cut(words, text, year=1)
    assert (first.id, first.text) == ("a#1", f"{sentence(10, 'a')}  {sentence(6, 'b')}")
    assert (second.id, second.text) == ("a#2", f"{sentence(9, 'c')} {sentence(2, 'd')}")
    assert first.metadata == {"source": "a", "year": 1, "chunk": 1, "start": 0, "end": len(first.text)}
    assert second.metadata == {"source": "a", "year": 1, "chunk": 2, "start": text.index("c"), "end": len(text)}
    assert cut(words, text, source="a.txt")[0].metadata["source"] == "a.txt"


def test_fields_with_the_names_of_a_place_are_kept(words):
    text, mine = f"{sentence(16)} {sentence(16)}", {"chunk": "x", "start": "noon", "document.start": 1, "page": 9}
    first, _ = cut(words, text, source="a.txt", **mine)
    assert first.metadata == {
        "source": "a.txt",
        "document.chunk": "x",
        "document.document.start": "noon",
        "document.start": 1,
        "page": 9,
        "chunk": 1,
        "start": 0,
        "end": len(sentence(16)),
    }
    # A document that fits has no place but its page.
    pages = (Section(0, {"page": 1}, True),)
    assert cut(words, "one", sections=pages, page="ix", end=2)[0].metadata == {
        "document.page": "ix",
        "end": 2,
        "page": 1,
    }


def test_overlap_is_whole_sentences(words):
    text = " ".join(sentence(4, letter) for letter in "abcdef")
    for overlap, starts in ((0, "ae"), (3, "ae"), (4, "ad"), (8, "ac")):
        chunks = cut(words, text, overlap=overlap)
        assert [chunk.text[0] for chunk in chunks][:2] == list(starts), overlap
        assert chunks[-1].text.endswith("f f f.")


def test_what_has_no_end_is_cut_at_lines_and_then_at_words(words):
    lines = "\n".join(" ".join([letter] * 6) for letter in "abcde")
    assert [chunk.text[0] for chunk in cut(words, lines)] == ["a", "c", "e"]
    endless = " ".join(f"w{i}" for i in range(40))
    chunks = cut(words, endless, overlap=4)
    assert [chunk.text.split()[0] for chunk in chunks] == ["w0", "w12", "w24"]
    assert [len(chunk.text.split()) for chunk in chunks] == [16, 16, 16]


def test_sections_begin_chunks(words):
    """A page always does, a heading when the chunk before is half full; a heading never ends a chunk."""
    pages = (Section(0, {"page": 1}, True), Section(5, {"page": 2}, True))
    assert [(c.text, c.metadata["page"]) for c in cut(words, "one\n\ntwo", sections=pages)] == [("one", 1), ("two", 2)]
    one_page = (Section(0, {"page": 1}, True), Section(3, {"page": 2}, True))
    assert cut(words, "\n\n\ntwo", sections=one_page) == [Document("a", "\n\n\ntwo", {"page": 2})]
    text = f"# A\n\n{sentence(2)}\n\n## B\n\n{sentence(8)}\n\n# C\n\n{sentence(4)} {sentence(8)}"
    sections = markdown_sections(text)
    chunks = cut(words, text, sections=sections, overlap=8)
    assert [chunk.text.split("\n")[0] for chunk in chunks] == ["# A", "# C"]
    assert [chunk.metadata["heading"] for chunk in chunks] == ["A", "C"]
    full = f"{sentence(6)}\n\n# H\n\n{sentence(16)}"
    assert [c.text for c in cut(words, full, sections=markdown_sections(full))] == [
        sentence(6),
        "# H",
        sentence(16),
    ]


def test_markdown_headings():
    text = "Intro\n=====\ntext\n\n## Use ##\n```sh\n# no heading\n```\n#no\n### Deep\r\nSecond\n---\n- item\n---\n"
    text += "# [link](x)\n"
    found = [(text[s.start :].split("\n")[0].strip(), s.metadata["heading"]) for s in markdown_sections(text)]
    assert found == [
        ("Intro", "Intro"),
        ("## Use ##", "Intro > Use"),
        ("### Deep", "Intro > Use > Deep"),
        ("Second", "Intro > Second"),
        ("# [link](x)", "[link](x)"),
    ]


@pytest.mark.parametrize(
    ("tokens", "overlap", "message"),
    [(101, None, "reads 16 to 100"), (15, None, "reads 16"), (40, 21, "allows 0 to half"), (40, -1, "overlap of -1")],
)
def test_sizes_out_of_range(words, tokens, overlap, message):
    with pytest.raises(ConfigError, match=message):
        Chunker(words, 100, tokens, overlap)


def test_long_headings_are_shortened_in_metadata():
    """Every chunk repeats them; the text keeps them whole."""
    text = f"# {'a' * 200}\n\n## {'b' * 201}\n\n" + "".join(f"{'#' * level} c\n" for level in range(3, 9))
    names = [str(section.metadata["heading"]).split(" > ") for section in markdown_sections(text)]
    assert names[0] == ["a" * 200]
    assert names[1] == ["a" * 200, "b" * 199 + "…"]
    # Six levels: more than six hashes are no heading.
    assert names[2:] == [[*names[1], *["c"] * depth] for depth in range(1, 5)]
    (hashes,) = markdown_sections("# " * 60_000)
    assert hashes.metadata == {"heading": "# " * 99 + "#…"}


def test_a_damaged_tokenizer(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="export the bundle again"):
        Chunker(tmp_path / "tokenizer.json", 100)


PIECES = st.sampled_from(
    ["word ", "Pythonic ", "x" * 90, "ends. ", "。", "\n", "\n\n", "# Title\n", "é", "中文", "\t", "!? "]
)


@settings(max_examples=60)
@given(st.lists(PIECES, max_size=200).map("".join), st.integers(16, 64), st.integers(0, 8))
@example("x" * 20_000, 16, 8)
@example(" " * 20_000 + "a", 16, 0)
@example("a b " * 3000, 64, 8)
@example("x" * 90 + "word " * 30, 16, 6)  # together these spans have more tokens than each by itself
def test_chunks_hold_everything_and_fit(tiny_bundle, text, tokens, overlap):
    chunker = Chunker(tiny_bundle / "tokenizer.json", 64, tokens, overlap)
    document = Document("a", text, sections=markdown_sections(text))
    chunks = chunker.cut(document)
    assert chunker.cut(document) == chunks
    tokenizer = chunker._tokenizer  # without truncation
    if len(chunks) == 1:
        assert chunks[0].text == text
        assert len(tokenizer.encode(text).ids) <= tokens
        return
    held = [False] * len(text)
    for number, chunk in enumerate(chunks, start=1):
        start, end = chunk.metadata["start"], chunk.metadata["end"]
        assert (chunk.id, chunk.text, chunk.metadata["chunk"]) == (f"a#{number}", text[start:end], number)
        assert len(tokenizer.encode(chunk.text).ids) <= tokens
        held[start:end] = [True] * (end - start)
    assert all(held[i] or character.isspace() for i, character in enumerate(text))
    for before, after in pairwise(chunks):
        assert before.metadata["start"] < after.metadata["start"]
        assert before.metadata["end"] < after.metadata["end"]
        shared = text[after.metadata["start"] : before.metadata["end"]]
        assert len(tokenizer.encode(shared, add_special_tokens=False).ids) <= overlap
