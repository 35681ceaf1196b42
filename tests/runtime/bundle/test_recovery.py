"""A replacement that is killed at any moment leaves a bundle, and the next use puts things right."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from steersearch.errors import BundleError, StorageError
from steersearch.runtime import Bundle
from steersearch.runtime.bundle import write
from steersearch.runtime.bundle.feature_editor import FeatureEditor
from steersearch.runtime.bundle.folder_lock import hold
from steersearch.runtime.bundle.manifest import MANIFEST, read_manifest
from steersearch.runtime.bundle.write import check_target, recover, staged_folder

TINY = Path(__file__).parents[2] / "data" / "tiny_bundle"
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from steersearch.runtime.bundle import write

moment, source, out = sys.argv[1:]
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
if moment == "between":
    write._exchange = lambda *folders: False
    rename = os.rename
    os.rename = lambda a, b: die() if str(a).endswith(".tmp") else rename(a, b)
elif moment == "after":
    shutil.rmtree = die
with write.staged_folder(Path(out), overwrite=True) as folder:
    shutil.copytree(source, folder, dirs_exist_ok=True)
    (folder / "LICENSES").write_text("n" * 70)  # as long as the old one
    if moment == "inside":
        die()
"""


@pytest.fixture
def out(tmp_path):
    return Path(shutil.copytree(TINY, tmp_path / "bundle"))


def hidden(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir() if path.name.startswith("."))


def make_old(folder: Path) -> None:
    long_ago = time.time() - 2 * write.YOUNG
    for path in folder.iterdir():
        os.utime(path, (long_ago, long_ago))


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize(("moment", "left"), [("inside", [".tmp"]), ("between", [".old", ".tmp"]), ("after", [".tmp"])])
@pytest.mark.parametrize("next_use", ["open", "overwrite"])
def test_a_killed_replacement(moment, left, next_use, out):
    command = [sys.executable, "-c", KILLED, moment, str(TINY), str(out)]
    assert subprocess.run(command).returncode == -9
    assert hidden(out.parent) == left
    assert out.exists() == (moment != "between")
    if next_use == "open":
        assert Bundle.load(out, verify=False).k == 6
    make_old(out.parent)
    with staged_folder(out, overwrite=True) as folder:
        shutil.copytree(TINY, folder, dirs_exist_ok=True)
    assert hidden(out.parent) == []
    assert read_manifest(out) == read_manifest(TINY)


def test_a_bundle_is_put_back_before_it_is_missed(out, caplog):
    out.rename(out.with_name(".bundle.0123abcd.old"))
    with pytest.raises(BundleError, match="already a bundle"):
        check_target(out, overwrite=False)
    assert "is the bundle from before a replacement that was killed" in caplog.text
    assert read_manifest(out) == read_manifest(TINY)


def test_through_a_link_and_by_a_relative_path(out, monkeypatch):
    link = out.with_name("current")
    link.symlink_to(out)
    out.rename(out.with_name(".bundle.0123abcd.old"))
    monkeypatch.chdir(out.parent)
    assert Bundle.load("current").k == 6
    assert link.is_symlink()


@pytest.mark.parametrize("name", [".bundle.0123abcd.old2", ".bundle.xyz.old", ".other.0123abcd.old", "bundle.old"])
def test_only_our_names_are_taken(name, out):
    out.rename(out.with_name(name))
    with pytest.raises(BundleError, match="is not a folder"):
        Bundle.load(out)
    assert out.with_name(name).exists()


def test_a_half_without_a_manifest_is_not_a_bundle(out):
    (out / MANIFEST).unlink()
    out.rename(out.with_name(".bundle.0123abcd.old"))
    recover(out)
    assert not out.exists()


def test_what_lives_or_is_young_or_the_only_copy_stays(out):
    for name in ("aaaaaaaa.tmp", "bbbbbbbb.tmp", "cccccccc.old"):
        out.with_name(f".bundle.{name}").mkdir()
    make_old(out.parent)
    os.utime(out.with_name(".bundle.bbbbbbbb.tmp"))
    with hold(out.with_name(".bundle.aaaaaaaa.tmp")):
        write.sweep(out.parent, out.name)
        assert hidden(out.parent) == [".tmp", ".tmp"]
    out.rename(out.with_name(".bundle.dddddddd.old"))
    write.sweep(out.parent, out.name)
    assert hidden(out.parent) == [".old", ".tmp"]


def test_a_reader_waits_for_a_replacement_that_lives(out, monkeypatch):
    monkeypatch.setattr(write, "_exchange", lambda *folders: False)
    rename, started = os.rename, threading.Event()

    def slow(source, target):
        if str(source).endswith(".tmp"):
            started.set()
            time.sleep(0.3)
        rename(source, target)

    def replace() -> None:
        with staged_folder(out, overwrite=True) as folder:
            shutil.copytree(TINY, folder, dirs_exist_ok=True)
            (folder / "LICENSES").write_text("new")

    monkeypatch.setattr(os, "rename", slow)
    thread = threading.Thread(target=replace)
    thread.start()
    started.wait()
    recover(out)
    assert (out / "LICENSES").read_text() == "new"
    thread.join()
    assert hidden(out.parent) == []


def test_edits_leave_no_lock_behind(out):
    editor = FeatureEditor.load(Bundle.load(out))
    editor.rename("f1", "stars at night")
    editor.save()
    assert sorted(path.name for path in out.parent.iterdir()) == ["bundle", "bundle.edits.json"]


def test_edits_wait_for_each_other(out, monkeypatch):
    monkeypatch.setattr("steersearch.runtime.bundle.feature_editor.PATIENCE", 0.0)
    editor = FeatureEditor.load(Bundle.load(out))
    editor.rename("f1", "stars at night")
    with hold(out), pytest.raises(StorageError, match=r"edits\.json is being written by another process: try again"):
        editor.save()
    editor.save()
    assert Bundle.load(out).features[1].label == "stars at night"


def test_a_replacement_waits_for_who_edits(out, monkeypatch):
    """Else the next one who edits would lock the new folder, and write over what the first one writes."""
    monkeypatch.setattr(write, "PATIENCE", 0.1)
    new = {path.name: path.read_bytes() for path in out.iterdir()}

    def replace() -> None:
        with staged_folder(out, overwrite=True) as folder:
            for name, content in new.items():
                (folder / name).write_bytes(content)

    with hold(out), pytest.raises(StorageError, match="is being written by another process: try again"):
        replace()
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_who_waits_locks_the_folder_that_came_meanwhile(out):
    first, waiting = hold(out), threading.Event()
    got = []

    def wait() -> None:
        waiting.set()
        with hold(out, 0.3) as held:
            got.append(held)

    with first:
        thread = threading.Thread(target=wait)
        thread.start()
        assert waiting.wait(5)
        time.sleep(0.1)
        os.rename(out, out.with_name("old"))
        out.mkdir()
        second = hold(out)
        assert second.__enter__()
    thread.join()
    second.__exit__(None, None, None)
    assert got == [False]
