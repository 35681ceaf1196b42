import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

from steersearch.errors import BundleError, ChecksumError, ConfigError, MissingExtraError
from steersearch.runtime import Bundle
from steersearch.runtime.bundle.probes import read_probes

from ...bare_bundle import PROBES, make_bare_bundle
from ...fake_hub import FakeHub

TINY = Path(__file__).parents[2] / "data" / "tiny_bundle"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    from huggingface_hub import constants, utils

    # A session that was made offline stays so; the name depends on the version.
    forget = getattr(utils, "reset_sessions", None) or utils.close_session
    forget()
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("STEERSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    with FakeHub() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.endpoint)
        yield made
    forget()


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_there_and_back(hub, tmp_path):
    commit = Bundle.load(TINY).push_to_hub("me/tiny")
    assert "library_name: steersearch" in hub.commits["me/tiny"][-1][1]["README.md"].decode()
    assert "POST /api/repos/create" in hub.requests
    back = Bundle.from_pretrained("me/tiny", out=tmp_path / "mine")
    assert back.path == tmp_path / "mine"
    assert back.origin == {"repo": "me/tiny", "commit": commit, "revision": "main"}
    assert back.manifest.model_digest == Bundle.load(TINY).manifest.model_digest
    assert back.features[0].label == Bundle.load(TINY).features[0].label
    # The bundle is whole: what was listed came, and `load` finds nothing altered.
    assert {*back.manifest.files, "manifest.json"} == set(files_of(tmp_path / "mine"))


def test_texts_by_which_a_bundle_knows_its_embedder_are_shared_on_purpose(tmp_path):
    bare = Bundle.load(make_bare_bundle(tmp_path / "bare"))
    with pytest.raises(ConfigError, match=r"knows it by some texts of your documents .* passages=True"):
        bare.save_pretrained(tmp_path / "shared")
    assert not (tmp_path / "shared").exists()
    shared = Bundle.load(bare.save_pretrained(tmp_path / "shared", passages=True))
    assert read_probes(shared.path, shared.d_in).texts == tuple(PROBES)


def test_a_commit_is_fetched_once_and_stays(hub, monkeypatch):
    first = hub.commit("me/tiny", files_of(TINY))
    bundle = Bundle.from_pretrained("me/tiny")
    assert bundle.path.name == first
    hub.commit("me/tiny", {"README.md": b"newer"})
    assert Bundle.from_pretrained("me/tiny").path.name != first
    hub.requests.clear()
    assert Bundle.from_pretrained("me/tiny", first).path == bundle.path
    assert hub.requests == []
    # Offline the branch is the one that was seen last.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert Bundle.from_pretrained("me/tiny").path.name == hub.commits["me/tiny"][-1][0]
    assert hub.requests == []
    with pytest.raises(BundleError, match="HF_HUB_OFFLINE is set"):
        Bundle.from_pretrained("me/other")
    with pytest.raises(ConfigError, match="nothing is sent to me/tiny"):
        bundle.push_to_hub("me/tiny")


def test_a_hostile_repository_gives_only_what_its_manifest_lists(hub, tmp_path):
    more = {"evil.pkl": b"\x80\x04", "sub/run.py": b"import os", "weights.bin": b"0" * 100}
    hub.commit("me/tiny", files_of(TINY) | more)
    bundle = Bundle.from_pretrained("me/tiny", out=tmp_path / "mine")
    assert not {"evil.pkl", "run.py", "weights.bin", "sub"} & {path.name for path in bundle.path.iterdir()}
    assert not any("evil" in request or "run.py" in request for request in hub.requests)


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "sub/file"])
def test_a_manifest_that_names_a_place_elsewhere_is_refused(hub, tmp_path, name):
    manifest = json.loads((TINY / "manifest.json").read_text())
    manifest["files"][name] = {"sha256": "0" * 64, "bytes": 3}
    hub.commit("me/tiny", files_of(TINY) | {"manifest.json": json.dumps(manifest).encode(), name: b"abc"})
    with pytest.raises(BundleError, match="not a plain file name"):
        Bundle.from_pretrained("me/tiny", out=tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_wrong_sizes_are_not_downloaded_and_wrong_contents_not_kept(hub, tmp_path):
    out = tmp_path / "mine"
    hub.commit("me/large", files_of(TINY) | {"features.json": b" " * 10**6})
    with pytest.raises(BundleError, match=r"has 1,000,000 bytes, expected [\d,]+: it was not"):
        Bundle.from_pretrained("me/large", out=out)
    assert not any("features.json" in request for request in hub.requests)
    same_size = bytearray((TINY / "features.json").read_bytes())
    same_size[-3] ^= 1
    hub.commit("me/altered", files_of(TINY) | {"features.json": bytes(same_size)})
    with pytest.raises(ChecksumError):
        Bundle.from_pretrained("me/altered", out=out)
    gone = files_of(TINY)
    del gone["encoder.onnx"]
    hub.commit("me/gone", gone)
    with pytest.raises(BundleError, match=r"has no encoder\.onnx"):
        Bundle.from_pretrained("me/gone", out=out)
    assert [path.name for path in tmp_path.iterdir() if "mine" in path.name] == []


def test_half_a_download_leaves_nothing(hub, tmp_path):
    hub.commit("me/tiny", files_of(TINY))
    hub.cut_short = "encoder.onnx"
    with pytest.raises(BundleError, match="me/tiny could not be read"):
        Bundle.from_pretrained("me/tiny", out=tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir() if "mine" in path.name] == []
    hub.cut_short = None
    assert Bundle.from_pretrained("me/tiny", out=tmp_path / "mine").n_latents


def test_what_is_wrong_is_said(hub, tmp_path, monkeypatch):
    for name in ("nobody", "a/b/c", "../x", "me/..", ""):
        with pytest.raises((ConfigError, BundleError), match=r"owner/name|not a complete bundle"):
            Bundle.from_pretrained(name or "\n")
    with pytest.raises(BundleError, match="me/none could not be read on the Hugging Face hub"):
        Bundle.from_pretrained("me/none")
    with pytest.raises(ConfigError, match="expected a branch"):
        Bundle.from_pretrained("me/none", "../main")
    hub.forbidden = True
    with pytest.raises(BundleError, match="log in with"):
        Bundle.load(TINY).push_to_hub("me/tiny")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match="pip install huggingface_hub"):
        Bundle.from_pretrained("me/tiny")


def test_load_never_downloads(hub):
    with pytest.raises(BundleError, match="is not a folder"):
        Bundle.load("me/tiny")
    assert hub.requests == []


def test_no_passages_are_given_away_unless_asked(tmp_path):
    folder = tmp_path / "own"
    shutil.copytree(TINY, folder)
    shared = Bundle.load(folder).save_pretrained(tmp_path / "shared")
    features = json.loads((shared / "features.json").read_text())["latents"]
    own = json.loads((TINY / "features.json").read_text())["latents"]
    assert any(entry.get("examples") for entry in own)
    assert all(not entry["examples"] for entry in features)
    assert [entry["label"] for entry in features] == [entry["label"] for entry in own]
    kept = Bundle.load(folder).save_pretrained(tmp_path / "all", passages=True)
    assert (kept / "features.json").read_bytes() == (TINY / "features.json").read_bytes()
    with pytest.raises(BundleError, match="--overwrite"):
        Bundle.load(folder).save_pretrained(tmp_path / "shared")
    assert Bundle.load(folder).save_pretrained(tmp_path / "shared", overwrite=True) == tmp_path / "shared"


def test_loading_imports_neither_the_hub_nor_its_code():
    code = (
        "import sys; from steersearch.runtime import Bundle; Bundle.load(sys.argv[1]).embed(['a']);"
        "bad = {'huggingface_hub', 'requests', 'torch', 'steersearch.hub', 'steersearch.runtime.bundle.sharing'};"
        "print(sorted(bad & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(TINY)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
