import pytest

from steersearch.export.licences import UNKNOWN, declared_licence, licence_files, licences_text


@pytest.mark.parametrize(
    ("readme", "licence"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\ntags:\n- x\n---\n# Model", "apache-2.0"),
        ("---\r\nlicense: mit\r\n---\r\n", "mit"),
        ('\ufeff---\nlicense: "cc-by-4.0"\n---', "cc-by-4.0"),
        ("---\nlicense:\n- mit\n- apache-2.0\ntags: []\n---\n", "mit, apache-2.0"),
        ("---\nlicense: [mit]\n---\n", "mit"),
        ("---\nlicense:\n---\n", None),
        ("---\ntags:\n- license: mit\n---\n", None),
        ("# Model\nlicense: mit\n", None),
        ("---\ntags: []\n---\nlicense: mit\n", None),
        ("", None),
    ],
)
def test_front_matter(tmp_path, readme, licence):
    (tmp_path / "README.md").write_bytes(readme.encode())
    assert declared_licence(tmp_path) == licence


def test_without_readme_nobody_knows(tmp_path):
    assert declared_licence(tmp_path) is None
    assert UNKNOWN in licences_text("x/y", tmp_path, None)
    assert UNKNOWN in licences_text("x/y", None, None)


def test_the_file(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "LICENSE").write_text("Permission is hereby granted")
    (tmp_path / "NOTICE.txt").write_bytes(b"caf\xe9")  # not UTF-8: kept as well as can be
    (tmp_path / "licenses").mkdir()
    assert [p.name for p in licence_files(tmp_path)] == ["LICENSE", "NOTICE.txt"]
    text = licences_text("org/model", tmp_path, "my notes")
    for part in ("org/model", "model card: mit", "trained over those embeddings on: my notes", "Apache-2.0"):
        assert part in text
    assert "LICENSE of org/model" in text
    assert "Permission is hereby granted" in text
    assert "caf" in text
