"""HTML in linear time, whatever is left open, and with the text that a browser shows."""

import codecs
import time

import pytest

from steersearch.corpus.html import read_html


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
        ('<p a=">b</p> c', "b\n\nc"),
        ("one<!-- > <p> -->two<!-->three<!--->four", "onetwothreefour"),
        ("one<!-- never closed <p>two", "one"),
        ("one<script>if (a </b> c) '<p>'</script >two<style>x", "onetwo"),
        ("one<script src=x />two", "onetwo"),
        ("text <![", "text"),
        ("one<![CDATA[a <b> &amp;]]>two<![CDATA[three", "onea <b> &amp;twothree"),
        ("<?xml version='1.0'?><!doctype html>one</ two>three<>four", "onethree<>four"),
        ("one<a href", "one<a href"),
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
    "<p>x x<br> <nav>x</nav> <!-- <![ <![CDATA[ <a_ <a_b=' <div> </x> <p></x> <script> <script></ <title> &# &amp "
    "<meta_charset= =_ <! <? </ <".split(),
)
def test_many_of_anything_take_linear_time(part):
    start = time.perf_counter()
    text("text" + part.replace("_", " ") * LONG)
    assert time.perf_counter() - start < 10
