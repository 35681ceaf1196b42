import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.errors import BundleError, ChecksumError, FormatVersionError
from steersearch.runtime.bundle.bundle import Bundle
from steersearch.runtime.bundle.manifest import FEATURES, MANIFEST, REQUIRED_FILES, TOKENIZER, Manifest, read_manifest

MANIFESTS = Path(__file__).parent / "manifests"


def make_manifest(contents: dict[str, bytes]) -> Manifest:
    return Manifest(
        steersearch_version="0.1.0",
        d_in=4,
        n_latents=8,
        k=2,
        pooling="mean",
        max_length=16,
        precision="fp32",
        batch_invariant=True,
        embedder={"id": "tiny", "revision": None, "sha256": "0" * 64},
        files={n: {"sha256": hashlib.sha256(c).hexdigest(), "bytes": len(c)} for n, c in contents.items()},
        parity={"texts": 256, "embedder_max_abs": 1e-7},
        opset=18,
        min_onnxruntime="1.20",
    )


CONTENTS = {name: f"content of {name}".encode() for name in REQUIRED_FILES}
GOOD = make_manifest(CONTENTS)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / MANIFEST).write_text(GOOD.to_json(), encoding="utf-8")
    return tmp_path


def signed(values: dict) -> str:
    """A manifest of any values whose own digest is right, as someone would write who wants to be believed."""
    values = {k: v for k, v in values.items() if k != "manifest_sha256"}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    return json.dumps({**values, "manifest_sha256": digest})


def test_round_trip(bundle):
    assert Manifest.from_json(GOOD.to_json()) == GOOD
    assert read_manifest(bundle) == read_manifest(str(bundle), verify=False) == GOOD
    assert signed(json.loads(GOOD.to_json())) == json.dumps(json.loads(GOOD.to_json()))


@given(st.integers(0, len(GOOD.to_json()) - 1), st.integers(1, 255))
def test_no_flipped_byte_of_the_manifest_goes_unnoticed(position, mask):
    data = bytearray(GOOD.to_json().encode())
    data[position] ^= mask
    try:
        read = Manifest.from_json(data.decode())
    except (BundleError, UnicodeDecodeError):
        return
    assert read == GOOD  # one blank became another


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_flipped_byte_and_size_and_absence_of_every_file(bundle, name):
    path = bundle / name
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ChecksumError, match=name):
        read_manifest(bundle)
    assert read_manifest(bundle, verify=False) == GOOD  # same size: the disk is trusted
    path.write_bytes(data + b"x")
    for verify in (True, False):
        with pytest.raises(ChecksumError, match=rf"{name} has {len(data) + 1} bytes, the manifest says {len(data)}"):
            read_manifest(bundle, verify=verify)
    path.unlink()
    for verify in (True, False):
        with pytest.raises(BundleError, match=rf"{name} is missing: export it again with: sae-export --ckpt model\.pt"):
            read_manifest(bundle, verify=verify)


def test_no_folder_no_manifest_no_json(bundle, tmp_path):
    with pytest.raises(BundleError, match="is not a folder"):
        read_manifest(tmp_path / "nothing")
    broken = {"": "not JSON", "[1]": "holds a list", "{}": "format_version None", "[" * 10**5: "not JSON"}
    for text, message in broken.items():
        (bundle / MANIFEST).write_text(text)
        with pytest.raises(BundleError, match=message):
            read_manifest(bundle)
    (bundle / MANIFEST).write_bytes(b"\xff\xfe")
    with pytest.raises(BundleError, match="not UTF-8"):
        read_manifest(bundle)
    (bundle / MANIFEST).unlink()
    with pytest.raises(BundleError, match=r"manifest\.json is missing"):
        read_manifest(bundle)


def test_newer_format_is_refused_before_its_keys_are_looked_at():
    said = "format_version 3, this steersearch reads up to 2: pip install -U steersearch"
    with pytest.raises(FormatVersionError, match=said):
        Manifest.from_json(json.dumps({"format_version": 3, "anything": "else"}))


def test_altered_manifest():
    values = json.loads(GOOD.to_json()) | {"max_length": 17}
    with pytest.raises(ChecksumError, match="altered"):
        Manifest.from_json(json.dumps(values))
    assert Manifest.from_json(signed(values)) == replace(GOOD, max_length=17)
    del values["manifest_sha256"]
    with pytest.raises(ChecksumError):
        Manifest.from_json(json.dumps(values))


def test_unknown_and_missing_keys():
    values = json.loads(GOOD.to_json())
    with pytest.raises(BundleError, match=r"unknown keys \['colour'\]"):
        Manifest.from_json(signed(values | {"colour": "red"}))
    for key in set(values) - {"manifest_sha256", "format_version"}:
        with pytest.raises(BundleError, match=rf"lacks \['{key}'\]"):
            Manifest.from_json(signed({k: v for k, v in values.items() if k != key}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format_version", True),
        ("format_version", 0),
        ("d_in", "4"),
        ("d_in", 0),
        ("n_latents", 8.0),
        ("k", True),
        ("k", 9),
        ("max_length", None),
        ("opset", -1),
        ("pooling", 1),
        ("precision", None),
        ("query_prefix", None),
        ("document_prefix", 1),
        ("embedder_kind", ["onnx"]),
        ("batch_invariant", 1),
        ("embedder", []),
        ("embedder", {"id": "x", "revision": None}),
        ("embedder", {"id": 1, "revision": None, "sha256": None}),
        ("parity", {"texts": "many"}),
        ("files", {}),
        ("files", []),
        ("files", {**GOOD.files, TOKENIZER: {"sha256": "0" * 64}}),
        ("files", {**GOOD.files, TOKENIZER: {"sha256": "0" * 63, "bytes": 1}}),
        ("files", {**GOOD.files, TOKENIZER: {"sha256": "0" * 64, "bytes": True}}),
        ("files", {**GOOD.files, TOKENIZER: "0" * 64}),
    ],
)
def test_wrong_types_and_ranges(key, value):
    with pytest.raises(BundleError, match="export it again"):
        Manifest.from_json(signed(json.loads(GOOD.to_json()) | {key: value}))


@pytest.mark.parametrize(
    "name", ["../secret", "a/b", "a\\b", "..", ".", "", "/etc/passwd", "C:boot", "x\x00", "a\n", "...", "model.onnx "]
)
def test_a_bundle_cannot_point_outside_its_folder(name):
    files = {**GOOD.files, name: GOOD.files[TOKENIZER]}
    with pytest.raises(BundleError, match="not a plain file name"):
        Manifest.from_json(signed(json.loads(GOOD.to_json()) | {"files": files}))


def test_model_digest_is_of_the_model_and_of_nothing_else():
    for name in REQUIRED_FILES:
        changed = make_manifest({**CONTENTS, name: b"new"})
        assert (changed.model_digest == GOOD.model_digest) == (name in (FEATURES, "LICENSES")), name
    for name in ("embedder.onnx.data", "encoder.onnx.data", "decoder.onnx.data"):
        assert make_manifest({**CONTENTS, name: b"weights"}).model_digest != GOOD.model_digest
    assert replace(GOOD, parity={}, steersearch_version="9").model_digest == GOOD.model_digest
    assert make_manifest(dict(reversed(CONTENTS.items()))).model_digest == GOOD.model_digest


def test_the_bytes_of_a_manifest_stay_as_they_are():
    written = replace(GOOD, query_prefix="query: ", document_prefix="passage: ").to_json()
    assert written == (MANIFESTS / "2.json").read_text(encoding="utf-8")
    assert Manifest.from_json(written).query_prefix == "query: "


def test_a_manifest_of_the_first_format_is_read():
    text = (MANIFESTS / "1.json").read_text(encoding="utf-8")
    old = Manifest.from_json(text)
    assert old == GOOD
    assert (old.query_prefix, old.document_prefix, old.embedder_kind) == ("", "", "onnx")
    assert old.model_digest == "2eeabb164ac46a50d531fcfdace8fb66b4dd7896b8826ca513df86c3127a0dba"
    with pytest.raises(BundleError, match=r"unknown keys \['query_prefix'\]"):
        Manifest.from_json(signed(json.loads(text) | {"query_prefix": ""}))
    with pytest.raises(ChecksumError, match="altered"):
        Manifest.from_json(text.replace('"k": 2', '"k": 3'))


def test_an_index_is_tied_to_the_prefix_of_documents_and_not_to_that_of_queries():
    assert replace(GOOD, query_prefix="query: ").model_digest == GOOD.model_digest
    assert replace(GOOD, document_prefix="passage: ").model_digest != GOOD.model_digest
    assert replace(GOOD, document_prefix="passage: ").embedder_digest == GOOD.embedder_digest


def test_an_unknown_kind_of_embedder_is_refused_when_the_bundle_is_opened(bundle):
    (bundle / MANIFEST).write_text(replace(GOOD, embedder_kind="dream").to_json(), encoding="utf-8")
    with pytest.raises(BundleError, match=r"of the kind 'dream', this steersearch knows onnx, static, none: upgrade"):
        Bundle.load(bundle)
