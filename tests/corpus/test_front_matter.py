"""Front matter is metadata: it is no heading, no chunk begins in it, and no broken one damages its file."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.corpus import Corpus
from steersearch.corpus.front_matter import split_front_matter

NOTE = """---
title: "Solar: storms"   # a comment
date: 2024-05-01
year: 2024
version: 3.10
draft: false
tags: [sun, "a, b", 7]
authors:
  - Ada
  - 'O''Neill'
summary: >
  two
  lines
code: |
  a: 1
    b
license:
  name: MIT
empty:
source: https://example.org/x
# another comment
---

# Head

Text.
"""


def test_front_matter_is_metadata(tmp_path):
    (tmp_path / "a.md").write_text(NOTE)
    (document,) = Corpus.open(tmp_path).documents()
    assert document.text == "# Head\n\nText."
    assert [section.metadata for section in document.sections] == [{"heading": "Head"}]
    assert document.sections[0].start == 0
    assert document.metadata == {
        "source": "a.md",
        "title": "Solar: storms",
        "date": "2024-05-01",
        "year": 2024,
        "version": "3.10",
        "draft": False,
        "tags": ["sun", "a, b", 7],
        "authors": ["Ada", "O'Neill"],
        "summary": "two lines",
        "code": "a: 1\n  b",
        "license": "name: MIT",
        "empty": None,
        "front_matter.source": "https://example.org/x",
    }


@pytest.mark.parametrize(
    ("text", "metadata", "body"),
    [
        ("---\r\ntitle: 1984\r\n---\r\nx", {"title": "1984"}, "x"),
        ("---\na: 1\n...\nx", {"a": 1}, "x"),
        ("+++\ntitle = 'T'\nyear = 2024\n+++\nx", {"title": "T", "year": 2024}, "x"),
        ("---\ntags:\n- a\n- b\n---\nx", {"tags": ["a", "b"]}, "x"),
        ("---\n---\nx", {}, "x"),
        # A quoted scalar begins at its first quote: what looks like a comment in it is none, a comment may hold quotes.
        ('---\nb: "x # y" # z\n---\nx', {"b": "x # y"}, "x"),
        ("---\nb: \"x # y\" # \"z\"\nc: 'it''s # x' # 'z'\n---\nx", {"b": "x # y", "c": "it's # x"}, "x"),
        ('---\nb: "a \\" # b" #z\n---\nx', {"b": 'a " # b'}, "x"),
        ('---\nb:\n- "x # y" # z\n- w # z\n---\nx', {"b": ["x # y", "w"]}, "x"),
        ('---\nb: ["x # y", "]", c#d] # z]\n---\nx', {"b": ["x # y", "]", "c#d"]}, "x"),
        ("---\nb: [a, # c]\n---\nx", {"b": "[a, # c]"}, "x"),
        ("---\n# only a comment\n---\nx", {}, "x"),
        ("---\ntags: [a,\n  b]\n---\n", {"tags": ["a", "b"]}, ""),
        # What is broken, or beyond these rules, stays as it is written.
        ("---\ntags: [a, b\n---\nx", {"tags": "[a, b"}, "x"),
        ('---\nname: "open\nyear: 1\n---\nx', {"name": '"open', "year": 1}, "x"),
        ("---\na: 1\n: : :\nb: 2\n---\nx", {"a": 1, "b": 2, "front_matter": "a: 1\n: : :\nb: 2"}, "x"),
        ("---\na: 1\na: 2\n---\nx", {"a": 1, "front_matter": "a: 1\na: 2"}, "x"),
        (
            "---\na: !!python/object:os.system\nb: &x [*x, *x]\n---\n",
            {"a": "!!python/object:os.system", "b": "&x [*x, *x]"},
            "",
        ),
        ("---\na: [[1], 2]\nb: {c: 1}\n---\n", {"a": "[[1], 2]", "b": "{c: 1}"}, ""),
    ],
)
def test_forms(text, metadata, body):
    assert split_front_matter(text) == (metadata, body)


@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle: never closed\n\n# Head\n",
        "---\nA line across the page.\n---\n",
        "---\ntitle: never closed\n\n# Head\n\nText, and a line across the page.\n\n---\n\nmore",
        "\n---\na: 1\n---\n",
        "--- \ttext\n---\n",
        "# Head\n---\na: 1\n---\n",
        "",
    ],
)
def test_what_is_none(text):
    assert split_front_matter(text) == ({}, text)


@pytest.mark.parametrize(
    "inside", ["a: " + "[" * 500_000, 'a: ["' * 200_000, "a: 1\n" * 200_000, "-\n" * 200_000, "a: b: " * 200_000]
)
def test_long_ones_take_no_longer_than_their_length(inside):
    start = time.perf_counter()
    split_front_matter(f"---\nx: 1\n{inside}\n---\ntext")
    assert time.perf_counter() - start < 5


@given(st.text(alphabet="ab:=-+.#\"'[]{},|>& \t\n\\é1", max_size=60))
def test_nothing_ends_a_file(inside):
    metadata, body = split_front_matter(f"---\n{inside}\n---\ntext")
    json.dumps(metadata, allow_nan=False)
    assert body.endswith("text")
