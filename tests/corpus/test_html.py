"""HTML in linear time, whatever is left open, and with the text that a browser shows."""

import codecs
import time

import pytest

from steersearch.corpus.html import read_html
from steersearch.errors import DataError

pytest.importorskip("selectolax", reason="needs the extra files")


def text(page):
    return read_html("a.html", page.encode() if isinstance(page, str) else page)[0]


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("one<p>two<p>three", "one\n\ntwo\n\nthree"),
        ("<DIV>a<div>b</div>c</DIV>d", "a\n\nb\n\nc\n\nd"),
        ("a < b && c &lt; d &amp &#233;&#x1F600;&#99999999999;&nosuch;", "a < b && c < d & é😀\ufffd&nosuch;"),
        ("&#" + "9" * 5000, "\ufffd"),
        ('<a title="x > y" href=a>b</a>', "b"),
        ("<a href='it>b</a> it's>c", "c"),
        ('a<p a=">b</p> c', "a"),
        ("one<!-- > <p> -->two<!-->three<!--->four", "onetwothreefour"),
        ("one<!-- never closed <p>two", "one"),
        ("one<script>if (a </b> c) '<p>'</script >two<style>x", "onetwo"),
        ("one<script src=x />two", "one"),
        ("<?xml version='1.0'?><title/><h1/><p>one<script src='x'/>two<span class='/'/>", "onetwo"),
        ("<!doctype html><HTML xmlns='x'><style/><p>one<a href='x'/>two<!-- <b/> --><br/>three", "onetwo\nthree"),
        ("<script>'<![CDATA['</script>one<script><!-- <p> ']]>'</script>", "one"),
        ("a<table><tr><td>b</table><iframe><p>no</iframe><noscript><p>no</noscript>", "a\n\nb"),
        ("text <![", "text"),
        ("one<![CDATA[a <b> &amp;]]>two<![CDATA[three", "onea <b> &amp;twothree"),
        ("<?xml version='1.0'?><!doctype html>one</ two>three<>four", "onethree<>four"),
        ("one<a href", "one"),
        ("<nav>menu<p>more</nav>one<svg><title>drawn</title></svg><template>no</template>", "one"),
        ("</p></div>one</nav>", "one"),
        ("<textarea><p>typed</textarea><ruby>kan<rt>ji</ruby>", "<p>typedkan"),
        ("<pre>\n a\n  b\n</pre>", "a\n  b"),
        ("<br>one<br/>two</br>", "one\ntwo"),
        ("", ""),
    ],
)
def test_pages(page, expected):
    assert text(page) == expected


def test_long_titles_and_headings_are_shortened_in_metadata():
    words = "word " * 10_000
    text, sections, metadata = read_html("a.html", f"<title>{words}</title><h1>{words}</h1><p>{words}".encode())
    short = ("word " * 40)[:199] + "…"
    assert (metadata, sections[0].metadata) == ({"title": short}, {"heading": short})
    assert text == "\n\n".join([words.strip()] * 2)


def test_titles_and_headings():
    page = b"<title>A &amp; <i>B</i>\n</title><h1>One <b>two</b></h1>text<H3>Three</H3><svg><title>no</title></svg>"
    text, sections, metadata = read_html("a.html", page)
    assert metadata == {"title": "A & <i>B</i>"}
    assert [(text[section.start :][:5], section.metadata["heading"]) for section in sections] == [
        ("One t", "One two"),
        ("Three", "One two > Three"),
    ]


@pytest.mark.parametrize(
    "page",
    [
        "é".encode(),
        "é".encode("latin-1"),
        codecs.BOM_UTF16_LE + "é".encode("utf-16-le"),
        b"<meta charset=utf-16>" + "é".encode(),
        b'<META content="text/html; charset = ISO-8859-1">' + "é".encode("latin-1"),
        b'<?xml version="1.0" encoding="iso-8859-1"?>' + "é".encode("latin-1"),
        b"<meta charset=punycode>" + "é".encode(),
        b"<meta charset=hex>" + "é".encode(),
        b"<meta charset=no-such-thing>" + "é".encode(),
        b"<meta charset=undefined>" + "é".encode(),
        b"<meta charset=ascii>" + "é".encode(),
    ],
)
def test_encodings(page):
    assert text(page) == "é"


LONG = 100_000


@pytest.mark.parametrize(
    "part",
    "<p>x x<br> <nav>x</nav> <!-- <![ <![CDATA[ <a_ <a_b=' </x> <p></x> <script> <script></ <title> &# &amp "
    "<meta_charset= =_ <! <? </ < <b><p>x</b> <a>x <table>x</table> <li>x <option>x".split(),
)
def test_many_of_anything_take_linear_time(part):
    begun = time.perf_counter()
    # XHTML takes one pass more.
    text("<?xml ?>text" + part.replace("_", " ") * LONG)
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<div>" * LONG, "1001 elements nested in each other, more than 1000"),
        ("<div><!-- </div> --><p title='</div>'>" * LONG, "1001 elements nested"),
        ("<ul><li>" * 501, "1001 elements nested"),
        ("<p " + " ".join(f"a{n}" for n in range(LONG)) + ">", "100000 attributes in one tag, more than 1000"),
        ("".join(f"<a{n}></a{n}>" for n in range(LONG)), "25001 different names"),
        ("".join(f"<div><font size={n}></div>" for n in range(LONG)), "copies of formatting elements"),
    ],
)
def test_pages_that_the_parser_would_take_minutes_for(page, message):
    begun = time.perf_counter()
    with pytest.raises(DataError, match=rf"^a\.html has .*{message}.*: close its elements, or save the page as text$"):
        text(page)
    assert time.perf_counter() - begun < 10


def test_large_ordinary_pages():
    items = "<ul>" + "<li><font size=2>one" * 2000 + "</ul>"
    assert text(items).count("one") == 2000
    assert text("<div>" * 999 + "one" + "</div>" * 999) == "one"
    assert text("<a name=x><p>" * 5000 + "one") == "one"
