"""The table of file formats."""

import pytest

from steersearch.corpus import Corpus, formats
from steersearch.corpus.formats import FORMATS, Format, any_of, file_formats, format_of, register
from steersearch.errors import ConfigError, DataError, MissingExtraError


@pytest.fixture(autouse=True)
def own_table(monkeypatch):
    monkeypatch.setattr(formats, "FORMATS", list(FORMATS))


def read_toy(path, data):
    return data.decode().upper(), (), {"toy": True}


TOY = Format(("toy", "toys"), "text in capitals", read_document=read_toy)


def read(path):
    return [(d.id, d.text, dict(d.metadata)) for d in Corpus.open(path).documents()]


def test_a_new_format_is_read_from_a_file_and_in_a_folder(tmp_path):
    (tmp_path / "a.toy").write_text("one\n")
    (tmp_path / "b.Toys").write_text("two")
    (tmp_path / "c.txt").write_text("three")
    assert [id for id, _, _ in read(tmp_path)] == ["c.txt"]
    with pytest.raises(DataError, match=r"is no corpus: expected \.jsonl"):
        Corpus.open(tmp_path / "a.toy")
    register(TOY)
    assert read(tmp_path / "a.toy") == [("a.toy", "ONE", {"source": "a.toy", "toy": True})]
    assert [(id, text) for id, text, _ in read(tmp_path)] == [("a.toy", "ONE"), ("b.Toys", "TWO"), ("c.txt", "three")]
    with pytest.raises(DataError, match=r"expected .jsonl, .* \.pdf or \.toy \(\.gz allowed for \.jsonl, \.csv and"):
        Corpus.open(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"or \.txt, \.md, \.html, \.pdf or \.toy files"):
        Corpus.open(tmp_path / "empty")


def test_a_new_format_of_many_documents_may_be_packed_and_may_need_an_extra(tmp_path):
    (tmp_path / "a.toy.gz").write_text("")
    rows = lambda path, column: [formats.Row("1", f"{path.name} {column}")]  # noqa: E731
    register(Format(("toy",), "rows", read_rows=rows, gzip=True))
    assert [d.text for d in Corpus.open(tmp_path / "a.toy.gz", text_column="body")] == ["a.toy.gz body"]
    register(Format(("more",), "rows", read_rows=rows, extra="more", modules=("no_such_module",)))
    (tmp_path / "a.more").write_text("")
    with pytest.raises(MissingExtraError, match=r"no_such_module is not installed: pip install 'steersearch\[more\]'"):
        Corpus.open(tmp_path / "a.more")
    (tmp_path / "a.more").rename(tmp_path / "a.more.gz")
    with pytest.raises(DataError, match="is no corpus"):
        Corpus.open(tmp_path / "a.more.gz")


def test_a_format_needs_a_reader_and_suffixes_of_its_own():
    with pytest.raises(ConfigError, match=r"the format \.toy has no reader"):
        register(Format(("toy",), "nothing"))
    with pytest.raises(ConfigError, match="has the suffix htm already"):
        register(Format(("toy", "htm"), "pages", read_document=read_toy))


def test_the_table(tmp_path):
    suffixes = [suffix for format in FORMATS for suffix in format.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    for format in FORMATS:
        assert format.description
        assert bool(format.extra) == bool(format.modules)
        assert format_of(tmp_path / f"a{format.name.upper()}") is format
    expected = ".jsonl, .csv, .parquet, .txt, .md, .html or .pdf (.gz allowed for .jsonl, .csv and .txt)"
    assert file_formats() == expected
    assert [any_of(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a or b", "a, b or c"]
