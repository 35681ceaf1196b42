"""Documents that nobody meant to write: huge, empty, in every script, and not text at all."""

import subprocess
import sys
import textwrap
import time
import unicodedata

import pytest

from steersearch.errors import DataError
from steersearch.runtime import SteerableIndex


@pytest.fixture
def index(opened_bundle, tmp_path):
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as made:
        yield made


def plane(number):
    """Characters from all over a plane, with those that are not characters; surrogates are left out."""
    codes = range(number << 16, (number + 1) << 16, 37)
    return "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000) + chr((number << 16) + 0xFFFF)


ODD = {
    "one word of a megabyte": "x" * 1_000_000,
    "one word of a megabyte, not ASCII": "é" * 500_000,
    "a megabyte of digits": "7" * 1_000_000,
    "a megabyte of blanks": " " * 1_000_000,
    "a megabyte of line ends": "\n" * 1_000_000,
    "a megabyte of combining marks": "a" + "\u0301" * 300_000,
    "a megabyte of family emoji": "👩‍👩‍👧‍👦" * 40_000,
    "a megabyte of NUL": "\x00" * 1_000_000,
    "empty": "",
    "NUL inside": "be\x00fore and \x00 after",
    "byte order marks": "\ufeffa\ufeffb\ufeff",
    "right to left": "\u202eabc\u202c שלום مرحبا",
    **{f"plane {number}": plane(number) for number in range(17)},
}


def test_odd_texts_go_in_and_come_back(index):
    began = time.monotonic()
    names = list(ODD)
    index.add([ODD[name] for name in names], ids=names, metadata=[{"m": ODD[name][:1000]} for name in names])
    assert time.monotonic() - began < 60
    for name, record in zip(names, index.get(names), strict=True):
        assert record.text == ODD[name], name
        assert record.metadata == {"m": ODD[name][:1000]}, name
    for name in names:
        query = ODD[name]
        hits = index.search(query, len(names))
        assert len(hits) == len(names), name
        assert hits[0].score == pytest.approx(1, abs=1e-4), name
        assert name in [hit.id for hit in hits if hit.score > 0.999], name
        matching = index.search("x", 100, filter={"m": query[:1000]})
        assert [hit.metadata["m"] for hit in matching] == [query[:1000]] * len(matching), name
        assert name in [hit.id for hit in matching], name
    assert index.verify().ok


def test_every_character_can_be_an_id_and_a_key(index):
    odd = [chr(code) for code in (0, 1, 9, 10, 0x22, 0x27, 0x5C, 0x7F, 0x85, 0x2028, 0xFEFF, 0xFFFE, 0xFFFF, 0x10FFFF)]
    odd += [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]  # equal to the eye, two ids
    index.add(odd, ids=odd, metadata=[{name: name} for name in odd])
    assert len(index) == len(odd)
    for name in odd:
        assert index.get([name])[0].metadata == {name: name}
        assert [hit.id for hit in index.search("x", 5, filter={name: name})] == [name]
    assert index.delete(odd[:5]) == 5
    assert index.verify().ok


@pytest.mark.parametrize("bad", ["\ud800", "a\udfffb", "\ude00\ud83d"])
def test_lone_surrogates_are_refused_by_name_everywhere(index, bad):
    index.add(["fine"], ids=["a"])
    for call in (
        lambda: index.add([bad], ids=["b"]),
        lambda: index.add(["b"], ids=[bad]),
        lambda: index.add(["b"], ids=["b"], metadata=[{"k": bad}]),
        lambda: index.add(["b"], ids=["b"], metadata=[{bad: 1}]),
        lambda: index.add_from([("b", bad, {})]),
        lambda: index.update_metadata(["a"], [{"k": bad}]),
        lambda: index.search(bad),
    ):
        with pytest.raises(DataError, match="surrogate"):
            call()
    assert index.delete([bad]) == 0
    assert bad not in index
    assert len(index) == 1


HUGE = """
    import resource, sys
    from steersearch.runtime import SteerableIndex
    with SteerableIndex.create(sys.argv[1], sys.argv[2]) as index:
        index.add(["warm"])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i, text in enumerate(["word " * 20_000_000, "x" * 2_000_000, "é\\n" * 10_000_000]):
            index.add([text], ids=[f"huge {i}"])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, len(index))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_a_huge_document_does_not_eat_the_memory(tiny_bundle, tmp_path):
    """100 MB of words, 2 MB of one word: the beginning is embedded, all of it is stored."""
    code = textwrap.dedent(HUGE)
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "index", tiny_bundle], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    kilobytes, documents = map(int, done.stdout.split())
    assert documents == 4
    assert kilobytes < 1_500_000, done.stdout
