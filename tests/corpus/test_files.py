import codecs
import gzip
import os
import sys

import pytest

from steersearch.corpus import Corpus, read_pairs
from steersearch.errors import DataError, MissingExtraError

from .making import pdf

PAGE = """<!doctype html><html><head><meta charset="iso-8859-1"><title> A
 page </title><style>p {color: red}</style><script>var x = "<p>no</p>";</script></head><body><nav>Home | About</nav>
<h1>Caf\xe9 &amp; bar</h1><p>One <b>bold</b> line<br>and another.<div>inner <p>unclosed <!-- no --></div>
<h2>Menu</h2><ul><li>tea<li>coffee</ul><pre>  a
    b</pre></body></html>""".encode("iso-8859-1")


def one(path):
    (document,) = Corpus.open(path).documents()
    return document


def problem(path, name, data):
    """What a folder says about one bad file among good ones, and what opening the file itself says."""
    (path / "good.txt").write_text("good")
    (path / name).write_bytes(data)
    corpus = Corpus.open(path)
    assert [document.id for document in corpus.documents()] == ["good.txt"]
    (said,) = corpus.problems.items()
    assert said[0] == name
    if not name.endswith(".txt"):
        with pytest.raises((DataError, MissingExtraError)) as caught:
            list(Corpus.open(path / name).documents())
        named = f"{path / name} cannot be read: " if isinstance(caught.value, MissingExtraError) else ""
        assert f"{named}{caught.value}" == said[1]
    return said[1]


def test_html(tmp_path):
    pytest.importorskip("selectolax", reason="needs the extra files")
    (tmp_path / "page.htm").write_bytes(PAGE)
    document = one(tmp_path / "page.htm")
    assert document.text.split("\n\n") == [
        "Café & bar",
        "One bold line\nand another.",
        "inner",
        "unclosed",
        "Menu",
        "tea",
        "coffee",
        "a\n    b",
    ]
    assert document.metadata == {"source": "page.htm", "title": "A page"}
    places = [(document.text[s.start :].split("\n")[0], s.metadata["heading"]) for s in document.sections]
    assert places == [("Café & bar", "Café & bar"), ("Menu", "Café & bar > Menu")]


def test_pdf(tmp_path):
    pytest.importorskip("pypdf", reason="needs the extra files")
    (tmp_path / "a.pdf").write_bytes(pdf("First page\nsecond line", "", "Third page"))
    document = one(tmp_path / "a.pdf")
    assert document.text == "First page\nsecond line\n\n\n\nThird page"
    assert [(document.text[s.start :][:5], s.metadata["page"], s.apart) for s in document.sections] == [
        ("First", 1, True),
        ("\n\nThi", 2, True),
        ("Third", 3, True),
    ]
    (tmp_path / "b.pdf").write_bytes(pdf("Open to all", password=""))  # encrypted, with an empty password
    assert one(tmp_path / "b.pdf").text == "Open to all"


def test_markdown_and_byte_order_marks(tmp_path):
    for number, (mark, encoding) in enumerate(
        [(codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF32_BE, "utf-32-be")]
    ):
        (tmp_path / f"{number}.md").write_bytes(mark + "# É\r\n\ntext \n".encode(encoding))
    for document in Corpus.open(tmp_path).documents():
        assert document.text == "# É\r\n\ntext"
        assert document.sections[0].metadata == {"heading": "É"}
        assert document.metadata == {"source": document.id}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"\x7fELF\x02\x01\x00\x00", "is binary: expected text"),
        ("a.md", "one\ntwo caf\xe9".encode("latin-1"), "line 2: byte 0xe9 is not UTF-8"),
        ("a.txt", codecs.BOM_UTF16_LE + b"a", "byte order mark says utf-16, which it is not"),
    ],
)
def test_bad_text(tmp_path, name, data, message):
    assert message in problem(tmp_path, name, data)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.pdf", lambda: b"", "is damaged"),
        ("a.pdf", lambda: b"%PDF-1.4\nnothing", "is damaged"),
        ("a.pdf", lambda: pdf("text")[:300], "is damaged"),
        ("a.pdf", lambda: pdf("secret", password="p"), "is encrypted: save it without a password"),
        ("a.pdf", lambda: pdf("", ""), "no text on its 2 pages"),
        ("a.html", lambda: b"<p>\0\0\0", "is binary: expected HTML"),
    ],
    ids=["empty", "no objects", "cut short", "encrypted", "scanned", "binary"],
)
def test_bad_pages(tmp_path, name, data, message):
    pytest.importorskip("selectolax", reason="needs the extra files")
    pytest.importorskip("pypdf", reason="needs the extra files")
    assert message in problem(tmp_path, name, data())


@pytest.mark.parametrize(("library", "name"), [("pypdf", "a.pdf"), ("selectolax", "a.html")])
def test_a_missing_library_leaves_the_other_files(tmp_path, monkeypatch, library, name):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, "steersearch.corpus.pdf", raising=False)
    why = f"{library} is not installed: pip install 'steersearch[files]'"
    assert problem(tmp_path, name, b"x") == f"{tmp_path / name} cannot be read: {why}"


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_hidden_files_links_and_loops(tmp_path):
    folder = tmp_path / "notes"
    for name in ("a.txt", ".hidden.txt", ".git/b.txt", "sub/c.md", "sub/image.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "sub" / "loop").symlink_to(folder)
    (folder / "self.txt").symlink_to(folder / "self.txt")
    (folder / "dead.md").symlink_to(folder / "gone.md")
    (folder / "link.txt").symlink_to(folder / "sub" / "c.md")
    os.mkfifo(folder / "pipe.txt")
    corpus = Corpus.open(folder)
    assert [(d.id, d.text) for d in corpus.documents()] == [
        ("a.txt", "a.txt"),
        ("link.txt", "sub/c.md"),
        ("sub/c.md", "sub/c.md"),
    ]
    assert corpus.problems.keys() == {"self.txt", "dead.md"}
    assert "link that leads nowhere" in corpus.problems["dead.md"]


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_links_that_lead_out_of_a_folder(tmp_path):
    secret, folder = tmp_path / "secret.txt", tmp_path / "notes"
    secret.write_text("private")
    folder.mkdir()
    (folder / "a.txt").write_text("fine")
    (folder / "out.txt").symlink_to(secret)
    (folder / "up.txt").symlink_to("../secret.txt")
    (tmp_path / "other").symlink_to(folder)
    corpus = Corpus.open(tmp_path / "other")
    assert [(d.id, d.text) for d in corpus.documents()] == [("a.txt", "fine")]
    assert corpus.problems.keys() == {"out.txt", "up.txt"}
    assert f"leads out of the folder, to {secret.resolve()}: copy" in corpus.problems["up.txt"]
    (tmp_path / "c.jsonl").write_text('{"text": "private"}')
    (folder / "corpus.jsonl").symlink_to(tmp_path / "c.jsonl")
    with pytest.raises(DataError, match="jsonl is a link that leads out of the folder"):
        Corpus.open(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_snapshots_of_hugging_face_consist_of_links(tmp_path):
    """Their targets are the blobs of the same repository; another one's, or what only looks like it, is not taken."""
    contents = {
        "corpus.jsonl": '{"_id": "a", "text": "one"}',
        "queries.jsonl": '{"_id": "q", "text": "why?"}',
        "qrels/train.tsv": "query-id\tcorpus-id\tscore\nq\ta\t1\n",
    }
    repository = tmp_path / "datasets--BeIR--tiny"
    snapshot = repository / "snapshots" / "0123abc"
    for number, (name, content) in enumerate(contents.items()):
        blob, link = repository / "blobs" / f"{number}f", snapshot / name
        for path in (blob, link):
            path.parent.mkdir(parents=True, exist_ok=True)
        blob.write_text(content)
        link.symlink_to(os.path.relpath(blob, link.parent))
    corpus = Corpus.open(snapshot)
    assert [(document.id, document.text) for document in corpus.documents()] == [("a", "one")]
    assert list(corpus.pairs()) == [("why?", "a")]
    for name in ("datasets--BeIR--other", "my-datasets--BeIR--tiny"):
        other = tmp_path / name / "snapshots" / "1"
        other.mkdir(parents=True)
        (other / "corpus.jsonl").symlink_to(repository / "blobs" / "0f")
        with pytest.raises(DataError, match="is a link that leads out of the folder"):
            Corpus.open(other)
    repository.rename(tmp_path / "tiny")
    with pytest.raises(DataError, match="is a link that leads out of the folder"):
        Corpus.open(tmp_path / "tiny" / "snapshots" / "0123abc")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_utf8(tmp_path):
    for name in (b"caf\xe9.txt", b"caf\xe8.txt", b"caf\\udce9.txt", b"\xff/x.md"):
        path = os.path.join(os.fsencode(tmp_path / "notes"), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(name.hex().encode())
    (tmp_path / "notes" / os.fsdecode(b"bad\xe9.txt")).write_bytes(b"\0")
    corpus = Corpus.open(tmp_path / "notes")
    found = {document.id: bytes.fromhex(document.text) for document in corpus.documents()}
    assert found == {
        r"caf\udce8.txt": b"caf\xe8.txt",
        r"caf\udce9.txt": b"caf\\udce9.txt",
        r"caf\udce9.txt'": b"caf\xe9.txt",
        r"\udcff/x.md": b"\xff/x.md",
    }
    assert corpus.problems.keys() == {r"bad\udce9.txt"}
    assert all(text.isascii() for text in (*corpus.problems.values(), corpus.origin))
    assert Corpus.open(tmp_path / "notes" / os.fsdecode(b"caf\xe9.txt")).origin.endswith(r"/caf\udce9.txt")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes")
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.csv.gz", "a.txt", "a.md", "a.pdf", "a.parquet"])
def test_what_is_no_regular_file(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name} is a pipe, .*: write them to a file first"):
        Corpus.open(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(DataError, match=f"{name} is a device, "):
        Corpus.open(tmp_path / name)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes")
def test_files_that_became_pipes(tmp_path):
    for name in ("a.jsonl", "p.tsv", "notes/a.txt", "notes/b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"text": "fine"}')
    corpus, folder = Corpus.open(tmp_path / "a.jsonl"), Corpus.open(tmp_path / "notes")
    for name in ("a.jsonl", "p.tsv", "pipe"):
        (tmp_path / name).unlink(missing_ok=True)
        os.mkfifo(tmp_path / name)
    (tmp_path / "notes" / "a.txt").unlink()
    (tmp_path / "notes" / "a.txt").symlink_to("pipe.fifo")
    os.mkfifo(tmp_path / "notes" / "pipe.fifo")
    for read in (corpus.documents, lambda: read_pairs(tmp_path / "p.tsv")):
        with pytest.raises(DataError, match="is a pipe"):
            list(read())
    assert [document.id for document in folder.documents()] == ["b.txt"]
    assert "is a pipe" in folder.problems["a.txt"]


def test_a_folder_with_nothing_readable_says_why(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\0")
    with pytest.raises(DataError, match=r"is empty \(0 blank documents; .*a.txt is binary"):
        list(Corpus.open(tmp_path).documents())


def test_problems_are_those_of_the_last_pass(tmp_path, caplog):
    (tmp_path / "a.txt").write_text("fine")
    (tmp_path / "b.txt").write_bytes(b"\xff")
    corpus = Corpus.open(tmp_path)
    assert len(corpus) == 1
    assert "files that cannot be read are left out, first" in caplog.text
    (tmp_path / "b.txt").write_text("fine as well")
    assert [d.id for d in corpus.documents()] == ["a.txt", "b.txt"]
    assert corpus.problems == {}


def test_only_the_wanted_blocks_of_a_folder_are_opened(tmp_path):
    for number in range(70):
        (tmp_path / f"{number:02}.txt").write_text("x" if number != 5 else " ")
    corpus = Corpus.open(tmp_path)
    assert [block for block, _ in corpus.blocks()] == [0] * 31 + [1] * 32 + [2] * 6
    (tmp_path / "00.txt").write_bytes(b"\xff")
    assert [d.id for _, d in corpus.blocks(lambda block: block == 2)] == [f"{n}.txt" for n in range(64, 70)]
    assert corpus.problems == {}
    assert corpus.positions == 70


def test_files_of_many_documents_in_a_folder_are_named_once(tmp_path, caplog):
    """A packed file of lines is none of one document either, and is not called binary."""
    (tmp_path / "a.md").write_text("fine")
    (tmp_path / "image.png").write_bytes(b"\0")
    corpus = Corpus.open(tmp_path)
    assert len(corpus) == 1
    assert caplog.messages == []
    (tmp_path / "x.txt.gz").write_bytes(gzip.compress(b"moon\nstar"))
    (tmp_path / "b.csv").write_text("text\nmoon\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.jsonl").write_text('{"text": "moon"}')
    corpus = Corpus.open(tmp_path)
    for _ in range(2):
        assert [document.id for document in corpus.documents()] == ["a.md"]
    assert corpus.problems == {}
    assert [block for block, _ in Corpus.open(tmp_path).blocks(lambda block: block == 1)] == []
    said = "3 files are not one document and left out, first b.csv: index it by itself"
    assert caplog.messages == [f"{tmp_path}: {said}"]
    (tmp_path / "a.md").unlink()
    with pytest.raises(DataError, match=rf"holds no corpus: expected .*\.pdf files; {said}"):
        Corpus.open(tmp_path)


def test_a_packed_page_is_unpacked_first(tmp_path, caplog):
    (tmp_path / "a.txt").write_text("fine")
    (tmp_path / "b.md.gz").write_bytes(gzip.compress(b"moon"))
    assert len(Corpus.open(tmp_path)) == 1
    assert caplog.messages == [f"{tmp_path}: 1 file is not one document and left out, first b.md.gz: unpack it"]


def test_a_corpus_stays_the_same_place_after_chdir(tmp_path, monkeypatch):
    """It is read later than it is opened, and once for every pass."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("one")
    (tmp_path / "rows.txt").write_text("two\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    opened = [Corpus.open("docs"), Corpus.open("rows.txt")]
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert [document.text for corpus in opened for document in corpus] == ["one", "two"]
