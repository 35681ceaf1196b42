import hashlib
import os
import subprocess
import sys
import sysconfig

import pytest

from steersearch.corpus import python_documentation
from steersearch.corpus.pydocs import LEAD_IN_CHARS, MAX_CHARS, split_topic
from steersearch.errors import DataError


@pytest.fixture(scope="module")
def documents() -> dict[str, str]:
    return {document.id: document.text for document in python_documentation().documents()}


@pytest.fixture(scope="module")
def queries() -> dict[str, str]:
    return {id: query for query, id in python_documentation().pairs()}


def test_size(documents):
    assert 4500 <= len(documents) <= 7000
    assert len(set(documents.values())) == len(documents)
    assert min(map(len, documents.values())) >= 50
    assert sum(id.startswith("topics.") for id in documents) >= 400


def test_known_documents(documents, queries):
    assert queries["json.dumps"] == "json.dumps: Serialize ``obj`` to a JSON formatted ``str``."
    assert documents["json.dumps"].startswith("If ``skipkeys`` is true")
    assert queries["topics.assert"] == 'The "assert" statement'
    assert documents["topics.assert"].startswith("Assert statements are a convenient way")
    assert "decimal.Decimal.quantize" in documents  # lives in the private module _pydecimal


def test_every_document_has_one_query(documents, queries):
    assert list(queries) == list(documents)
    for id, query in queries.items():
        assert "\n" not in query
        assert id.startswith("topics.") or query.startswith(f"{id}: ")


def test_noise_is_left_out(documents):
    roots = {id.split(".")[0] for id in documents}
    assert not roots & {
        "test",
        "idlelib",
        "lib2to3",
        "turtledemo",
        "encodings",
        "site-packages",
        "_pydecimal",
        "_pyrepl",
    }
    assert not any(
        part in ("test", "tests") for id in documents for part in id.split(".")[:-1] if id.startswith("unittest")
    )


def test_same_in_every_process_and_nothing_is_imported():
    code = (
        "import hashlib, sys\n"
        "from steersearch.corpus import python_documentation\n"
        "before = set(sys.modules)\n"
        "documents = list(python_documentation().documents())\n"
        "assert not {'tkinter', 'turtle', 'antigravity', 'pydoc_data'} & (set(sys.modules) - before)\n"
        "print(hashlib.sha256(repr(documents).encode()).hexdigest())\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    here = repr(list(python_documentation().documents())).encode()
    assert process.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_library_without_sources(tmp_path, monkeypatch):
    python_documentation.cache_clear()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(DataError, match=r"holds no documented \.py files"):
        python_documentation()
    python_documentation.cache_clear()


def test_topic_is_cut_at_sections_and_paragraphs():
    paragraph = "A paragraph of some length. " * 15  # 420 characters
    text = (
        "Title\n*****\n\nFirst line\nsecond line.\n\n"
        f"Section\n=======\n\n{paragraph}\n\n{paragraph}\n\n{paragraph}\n\n{paragraph}\n\nThe end.\n"
    )
    pieces = list(split_topic(text))
    assert [query for query, _ in pieces] == ["Title", "Section", "Section: " + paragraph]
    assert pieces[0][1] == "First line\nsecond line."
    assert pieces[2][1].endswith("The end.")  # too short to stand alone


def test_nothing_of_a_topic_is_lost():
    topics = pytest.importorskip("pydoc_data.topics").topics
    for topic in ("assert", "typesseq", "formatstrings", "compound", "operator-summary"):
        kept = "".join(piece for _, piece in split_topic(topics[topic]))
        headings = "".join(query for query, _ in split_topic(topics[topic]))
        for line in topics[topic].splitlines():
            bare = line.strip()
            assert bare in kept or bare in headings or len(set(bare)) <= 1
    sizes = [len(piece) for text in topics.values() for _, piece in split_topic(text)]
    assert max(sizes) <= MAX_CHARS + LEAD_IN_CHARS + 2
    assert sum(600 <= size <= 1200 for size in sizes) / len(sizes) > 0.7
