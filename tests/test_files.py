"""Ground floor: files."""

from pathlib import Path

import pytest

from steersearch.errors import CheckpointError, FormatVersionError
from steersearch.files import check_format, replace_file, sha256_of


def test_check_format_names_both_versions_and_the_cure() -> None:
    check_format(Path("a.json"), 1, 2)
    check_format("a.json", 2, 2)
    message = r"^a\.json has format_version 3, this steersearch reads up to 2: pip install -U steersearch$"
    with pytest.raises(FormatVersionError, match=message):
        check_format(Path("a.json"), 3, 2)
    with pytest.raises(CheckpointError, match=r"^model\.pt has .* reads up to 2: pip"):
        check_format("model.pt", 3, 2, error=CheckpointError)


def test_replace_file_leaves_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for content in (b"old", b"new"):
        replace_file(path, content)
        assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
        assert path.read_bytes() == content
    assert sha256_of(path) == "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"
