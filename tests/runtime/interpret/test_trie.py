import json
import xml.etree.ElementTree as ET

from steersearch.runtime.bundle.interpretation import Entry, Pattern
from steersearch.runtime.interpret.export import build_trie, to_dot, to_json, to_svg

PATTERNS = (
    Pattern((("stem cells", "progenitors"), ("marrow",)), 1.25, 3),
    Pattern((("stem cells",), ('"quoted" <b>',)), 0.5, 1),
    Pattern((("stem cells",),), 0.75, 1),
)
ENTRY = Entry(7, label="stem cells", patterns=PATTERNS)


def test_patterns_that_begin_alike_are_one_branch():
    root = build_trie(PATTERNS)
    [stem] = root.children
    assert stem.words == ("stem cells", "progenitors")
    assert (stem.support, stem.weight) == (5, 0.75)
    assert [child.words[0] for child in stem.children] == ["marrow", '"quoted" <b>']


def test_json():
    body = json.loads(json.dumps(to_json(ENTRY, "a name")))
    assert body["label"] == "a name"
    assert body["trie"][0]["children"][0] == {"words": ["marrow"], "support": 3, "activation": 1.25, "children": []}
    assert to_json(ENTRY)["label"] == "unclear"  # it has no score


def test_graphviz():
    dot = to_dot(ENTRY)
    assert dot.startswith("digraph {")
    assert dot.count("->") == 3
    assert '\\"quoted\\" <b>' in dot
    assert "stem cells | progenitors\\n0.75" in dot


def test_picture_is_valid_and_holds_every_node():
    tree = ET.fromstring(to_svg(ENTRY))
    texts = [node.text for node in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["marrow  1.25", '"quoted" <b>  0.50', "stem cells | progenitors  0.75", "f7: unclear"]
    assert len(list(tree.iter("{http://www.w3.org/2000/svg}path"))) == 3


def test_control_characters_are_escapes():
    """XML does not allow them, and Graphviz writes them where people read."""
    entry = Entry(7, label="stem", patterns=(Pattern((("a\x1b[2J",), ("b\u202e",)), 1.0, 1),))
    tree = ET.fromstring(to_svg(entry, "cells\x07"))
    texts = [node.text for node in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [r"b\u202e  1.00", r"a\x1b[2J", r"f7: cells\x07"]
    assert not set(to_dot(entry, "cells\x07")) & set("\x1b\u202e\x07")
