import os
import resource
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from steersearch.errors import BundleError, StorageError
from steersearch.files import sha256_of
from steersearch.runtime.bundle import write
from steersearch.runtime.bundle.manifest import MANIFEST, REQUIRED_FILES, read_manifest
from steersearch.runtime.bundle.write import check_target, staged_folder


def make_bundle(folder: Path, content: str = "old") -> Path:
    folder.mkdir(parents=True)
    for name in (*REQUIRED_FILES, MANIFEST):
        (folder / name).write_text(content)
    return folder


def write_new(out: Path, **options) -> None:
    with staged_folder(out, overwrite=True, **options) as folder:
        (folder / MANIFEST).write_text("new")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_new_bundle_appears_at_once(tmp_path):
    out = tmp_path / "a" / "b" / "bundle"
    with staged_folder(out, overwrite=False) as folder:
        (folder / MANIFEST).write_text("new")
        assert folder.parent == tmp_path  # the nearest folder that exists: nothing to clean up after a failure
        assert not (tmp_path / "a").exists()
    assert names(tmp_path) == ["a", "b", "bundle", MANIFEST]
    assert out.stat().st_mode & 0o777 == out.parent.stat().st_mode & 0o777  # not private like tempfile's


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_any_failure_leaves_nothing(tmp_path, error):
    def fail() -> None:
        with staged_folder(tmp_path / "x" / "bundle", overwrite=False) as folder:
            (folder / "embedder.onnx").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == []


def test_replacing_needs_permission_and_a_bundle(tmp_path):
    out = make_bundle(tmp_path / "bundle")
    with pytest.raises(BundleError, match="already a bundle: choose another --out, or add --overwrite"):
        check_target(out, overwrite=False)
    write_new(out)
    assert names(tmp_path) == ["bundle", MANIFEST]
    assert (out / MANIFEST).read_text() == "new"
    (out / "diary.txt").write_text("precious")
    with pytest.raises(BundleError, match=r"holds 'diary\.txt', which is no part of a bundle"):
        write_new(out)
    (out / MANIFEST).unlink()
    for place in (out, out / "diary.txt", Path(os.curdir)):
        with pytest.raises(BundleError, match="exists and is not a bundle"):
            write_new(place)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="exists and is not a bundle"):
        check_target(tmp_path / "dangling", overwrite=True)
    assert (out / "diary.txt").read_text() == "precious"


def test_a_failed_replacement_keeps_the_old(tmp_path):
    out = make_bundle(tmp_path / "bundle")
    before = names(tmp_path)
    with pytest.raises(ValueError, match="no"), staged_folder(out, overwrite=True):
        raise ValueError("no")
    assert names(tmp_path) == before


def test_a_replacement_whose_last_rename_fails_puts_the_old_back(tmp_path, monkeypatch):
    out = make_bundle(tmp_path / "bundle")
    before, rename = names(tmp_path), os.rename

    def fail_for_the_new(source, target):
        if str(source).endswith(".tmp"):
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(write, "_exchange", lambda *folders: False)  # as where the system has no such call
    monkeypatch.setattr(os, "rename", fail_for_the_new)
    with pytest.raises(StorageError, match=r"cannot write .*bundle \(Input/output error\): free space"):
        write_new(out)
    assert names(tmp_path) == before
    assert (out / MANIFEST).read_text() == "old"


def test_a_bundle_that_someone_else_made_meanwhile_is_kept(tmp_path):
    out = tmp_path / "bundle"

    def be_overtaken() -> None:
        with staged_folder(out, overwrite=False) as folder:
            (folder / MANIFEST).write_text("new")
            make_bundle(out)

    with pytest.raises(BundleError, match="already a bundle"):
        be_overtaken()
    assert (out / MANIFEST).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_link_to_a_bundle_stays_a_link(tmp_path):
    real = make_bundle(tmp_path / "v1")
    link = tmp_path / "current"
    link.symlink_to(real)
    write_new(link)
    assert link.is_symlink()
    assert (real / MANIFEST).read_text() == "new"


def test_files_that_may_not_grow(tmp_path):
    """The kernel refuses to write, as on a full disk, but for every user and on every machine."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with (
            pytest.raises(StorageError, match=r"cannot write .*: free space or choose another --out"),
            staged_folder(tmp_path / "bundle", overwrite=False) as folder,
        ):
            (folder / "embedder.onnx").write_bytes(bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == []


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="only root can mount a small disk")
def test_a_disk_that_is_full(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mount is not allowed here: {mounted.stderr}")
    try:
        old = make_bundle(disk / "bundle")
        before = names(disk)
        with pytest.raises(StorageError, match="No space left on device"), staged_folder(old, overwrite=True) as folder:
            (folder / "embedder.onnx").write_bytes(bytes(10**6))
        assert names(disk) == before
    finally:
        subprocess.run(["umount", disk], check=True)


def test_the_files_of_an_embedder_of_another_kind_are_the_bundles_own(tmp_path):
    folder = shutil.copytree(Path(__file__).parents[2] / "data" / "tiny_bundle", tmp_path / "bundle")
    (folder / "embedder.table").write_bytes(b"12")
    with pytest.raises(BundleError, match=r"holds 'embedder\.table', which is no part of a bundle"):
        check_target(folder, overwrite=True)
    manifest = read_manifest(folder)
    files = {**manifest.files, "embedder.table": {"sha256": sha256_of(folder / "embedder.table"), "bytes": 2}}
    (folder / MANIFEST).write_text(replace(manifest, embedder_kind="table", files=files).to_json())
    check_target(folder, overwrite=True)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"holds 'notes\.txt'"):
        check_target(folder, overwrite=True)
