"""Ground floor: files."""

import os
import re
from pathlib import Path

import pytest

from steersearch.errors import CheckpointError, FormatVersionError, StorageError
from steersearch.files import (
    absolute,
    check_format,
    make_temporary,
    make_temporary_folder,
    overwrite,
    read_small,
    replace_file,
    sha256_of,
)


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


def test_a_small_file_is_read_with_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(path)
    assert read_small(path, 5) == read_small(tmp_path / "link", 5) == b"12345"
    with pytest.raises(ValueError, match="more than 4 bytes"):
        read_small(path, 4)
    with pytest.raises(OSError, match="none"):
        read_small(tmp_path / "none", 4)


@pytest.mark.skipif(os.name == "nt", reason="needs devices and pipes")
def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(ValueError, match="no regular file"):
            read_small(path, 5)


def test_temporary_files_of_killed_runs_are_removed_by_the_next(tmp_path: Path) -> None:
    old, new, other = make_temporary(tmp_path / "a"), make_temporary(tmp_path / "a"), make_temporary(tmp_path / "a.b")
    for path in (old, other):
        os.utime(path, (0, 0))
    replace_file(tmp_path / "a", b"x")
    assert {p.name for p in tmp_path.iterdir()} == {"a", new.name, other.name}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_only_a_file_is_replaced(tmp_path: Path) -> None:
    """A rename would put a file in the place of a device: of /dev/full, or of what /dev/stdout leads to."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name, what in (("folder", "a folder"), ("pipe", "a device or a pipe"), ("link", "a device or a pipe")):
        before = os.lstat(tmp_path / name)
        with pytest.raises(OSError, match=f"it is {what}, not a file: .*{name}"):
            replace_file(tmp_path / name, b"new")
        assert os.lstat(tmp_path / name).st_ino == before.st_ino
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "link", "pipe"]


def test_temporary_names_are_random_and_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {make_temporary(tmp_path / "a.bin").name for _ in range(20)}
    found |= {make_temporary_folder(tmp_path / "a.bin").name for _ in range(20)}
    assert len(found) == 40
    assert all(re.fullmatch(r"\.a\.bin\.[0-9a-f]{16}\.tmp", name) for name in found)
    monkeypatch.setattr("secrets.token_hex", lambda size: "ab" * size)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".b.abababababababab.tmp").symlink_to(victim)
    (tmp_path / ".c.abababababababab.tmp").write_text("somebody's")
    for name in ("b", "c"):
        for make in (make_temporary, make_temporary_folder, lambda path: replace_file(path, b"x")):
            with pytest.raises(FileExistsError):
                make(tmp_path / name)
        assert not (tmp_path / name).exists()
    assert victim.read_text() == "precious"
    assert (tmp_path / ".c.abababababababab.tmp").read_text() == "somebody's"


def test_no_temporary_name_is_made_anywhere_else() -> None:
    """Names of temporary files that can be guessed are made with a process id, or are fixed."""
    root = Path(__file__).parents[1]
    found = [
        f"{path.relative_to(root)}:{number}"
        for folder in ("src/steersearch", "runtime", "integrations", "export", "training", "cli")
        for path in (root / folder).rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(r"with_(name|suffix)\(.*tmp|getpid\(\).*tmp|mktemp\(", line)
    ]
    assert [place for place in found if not place.startswith("src/steersearch/files.py")] == []


@pytest.mark.skipif(os.name == "nt", reason="links are for administrators")
def test_overwriting_follows_no_link(tmp_path: Path) -> None:
    overwrite(tmp_path / "a", b"first")
    overwrite(tmp_path / "a", b"2nd")
    assert (tmp_path / "a").read_bytes() == b"2ndst"
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(OSError, match="link"):
        overwrite(tmp_path / "link", b"third")
    assert (tmp_path / "a").read_bytes() == b"2ndst"


def test_a_path_is_absolute_and_the_home_folder_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert absolute("a/b") == tmp_path / "a" / "b"
    assert absolute(Path("~/a")) == tmp_path / "home" / "a"
    assert absolute("~") == tmp_path / "home"
    assert absolute("/a~/b") == Path("/a~/b").absolute()
    assert absolute("./~/a") == tmp_path / "~" / "a"  # how a folder of that name is reached
    # Not resolved: a link that is set to another folder is followed there.
    assert absolute("a/../b") == tmp_path / "a" / ".." / "b"


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the current folder")
def test_a_path_in_a_current_folder_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(StorageError, match="notes is relative to the current folder, which was removed: go to one"):
        absolute("notes")
    assert absolute(tmp_path / "notes") == tmp_path / "notes"
