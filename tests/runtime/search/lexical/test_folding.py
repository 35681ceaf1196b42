"""Words of all scripts in the words view: found wherever they stand, and however they are written."""

import unicodedata

import numpy as np
import pytest

from steersearch.runtime.search.lexical import bm25 as module
from steersearch.runtime.search.lexical.bm25 import Bm25
from steersearch.runtime.search.lexical.folding import fold

TEXTS = {
    1: "東京都の天気は晴れです",
    2: "京都の寺",
    3: "iPhone用ケースを買う",
    4: "a docu\u00adment and a man\u200bual and Schiff\u00ad\u00adfahrt",
    5: "caf\u00e9 cr\u00e8me",
    6: "DIE STRASSE",
    7: "हिन्दी भाषा",
    8: "ภาษาไทยง่าย",
    9: "한국어를 배우다",
    10: "\ufb01le \uff21bc \uff76\uff9e\uff97\uff7d",
    11: "اَلعَرَبِيَّة",
    12: "猫 が好き",
    13: "می\u200cخواهم",
    14: "мой дом",
    15: "мои дома",
}


def found(query):
    view = Bm25()
    view.add([(np.array(list(TEXTS)), list(TEXTS.values()))])
    return sorted(view.search(dict.fromkeys(view.words_of(query), 1.0), 99, None)[0].tolist())


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("天気", [1]),
        ("京都", [1, 2]),
        ("京", [1, 2]),
        ("ケース", [3]),
        ("iphone", [3]),
        ("document", [4]),
        ("docu\u00adment", [4]),
        ("manual", [4]),
        ("Schifffahrt", [4]),
        ("cafe", [5]),
        ("caf\u00e9", [5]),
        ("cafe\u0301", [5]),
        ("stra\u00dfe", [6]),
        ("हिन्दी", [7]),
        ("ไทย", [8]),
        ("한국어", [9]),
        ("file", [10]),
        ("abc", [10]),
        ("ガラス", [10]),
        ("العربية", [11]),
        ("猫", [12]),
        ("می\u200cخواهم", [13]),
        ("میخواهم", [13]),
        ("мой", [14]),
        ("犬", []),
        ("हिन", []),
    ],
)
def test_words_of_all_scripts(query, rows):
    assert found(query) == rows
    for form in ("NFC", "NFD", "NFKC"):
        assert found(unicodedata.normalize(form, query)) == rows


def test_pairs_by_hand():
    assert fold("東京都x").split() == ["東", "京", "都", "東京", "京都", "x"]
    assert fold("東京都x", query=True).split() == ["東京", "京都", "x"]
    assert fold("猫", query=True).split() == ["猫"]
    assert fold("plain ASCII stays") == "plain ASCII stays"
    assert fold("half a pair \ud83d") == "half a pair ?"


def test_words_of_another_version_are_made_again(tmp_path, monkeypatch):
    view = Bm25()
    view.add([(np.array([1]), ["東京都"])])
    view.save(tmp_path, 1)
    assert Bm25.load(tmp_path) is not None
    monkeypatch.setattr(module, "VERSION", 0)
    assert Bm25.load(tmp_path) is None
