"""A place that cannot be written is told before the work, not after it."""

import pytest

pytest.importorskip("torch", reason="needs the extra train")


@pytest.mark.parametrize(
    "words",
    [
        ("demo", "--out", "{file}/x", "--embedder", "{nothing}"),
        ("train", "--data", "{nothing}", "--out", "{file}/x/model.pt"),
        ("train", "--data", "{nothing}", "--out", "model.pt", "--metrics", "{file}/x"),
    ],
)
def test_a_place_below_a_file(words, sae_here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    places = {"file": tmp_path / "file", "nothing": tmp_path / "nothing"}
    ended = sae_here(*(word.format(**places) for word in words))
    assert ended.code == 1
    assert "cannot write" in ended.err
    assert "choose another place" in ended.err
    assert "nothing" not in ended.err.replace(str(tmp_path / "file"), "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
