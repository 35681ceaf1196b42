import json
import logging
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from steersearch import __version__, export
from steersearch.errors import BundleError, CheckpointError, ConfigError, DataError, ExportMismatchError, StorageError
from steersearch.export import export_bundle, parity
from steersearch.export.bundle import carry_over
from steersearch.files import sha256_of
from steersearch.runtime import Bundle
from steersearch.runtime.bundle.manifest import REQUIRED_FILES, read_manifest
from steersearch.runtime.bundle.onnx_embedder import OnnxEmbedder
from steersearch.runtime.bundle.onnx_session import open_session
from steersearch.training.embedding import Embedder, resolve_embedder

from ..tiny_model import MAX_LENGTH, build_tiny_embedder
from .conftest import random_sae

FEATURE = {"label": None, "density": 0.1, "mean": 0.1, "p95": 0.2, "max": 0.3}


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def bundle(tiny_source, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "bundle"
    sae = random_sae(tiny_source, 32)
    sae.info.features = [FEATURE | {"id": i, "label": f"latent {i}"} for i in range(96)]
    sae.save(out.with_name("model.pt"))
    return out, export_bundle(out.with_name("model.pt"), out), sae


def test_public_names():
    assert export.__all__ == ["export_bundle", "export_pretrained", "load_pretrained", "pretrained_names"]


def test_the_manifest_describes_the_folder(bundle, tiny_source):
    out, manifest, _ = bundle
    assert read_manifest(out) == manifest
    assert listing(out) == sorted([*REQUIRED_FILES, "manifest.json"])
    assert listing(out.parent) == ["bundle", "model.pt"]
    assert manifest.files == {
        n: {"sha256": sha256_of(out / n), "bytes": (out / n).stat().st_size} for n in manifest.files
    }
    described = (manifest.steersearch_version, manifest.d_in, manifest.n_latents, manifest.k, manifest.pooling)
    assert described == (__version__, 32, 96, 8, "mean")
    assert (manifest.max_length, manifest.precision, manifest.batch_invariant) == (MAX_LENGTH, "fp32", True)
    assert (manifest.opset, manifest.min_onnxruntime) == (18, "1.20")
    assert manifest.embedder == {"id": "embedder", "revision": "local", "sha256": tiny_source.sha256}
    assert manifest.parity["texts"] >= 256


def test_the_other_files(bundle):
    out, _, sae = bundle
    features = json.loads((out / "features.json").read_text(encoding="utf-8"))
    assert features == {
        "format_version": 1,
        "n_latents": 96,
        "reference": {"name": "nothing", "n_documents": 3, "mean": sae.info.reference_mean},
        "latents": sae.info.features,
    }
    licences = (out / "LICENSES").read_text()
    assert "cc0-1.0" in licences
    assert "on: nothing" in licences
    assert json.loads((out / "tokenizer.json").read_text())["truncation"]["max_length"] == 16  # as the embedder has it


def test_texts_to_codes_through_the_bundle(bundle, tiny_embedder_folder):
    out, manifest, sae = bundle
    texts = ["open the file and read it", "", "\N{ROCKET}", "statement " * 300]
    embedder = OnnxEmbedder(
        open_session(out / "embedder.onnx"), out / "tokenizer.json", manifest.max_length, manifest.d_in
    )
    x = Embedder(tiny_embedder_folder, device="cpu").embed(texts)
    np.testing.assert_allclose(embedder.embed(texts), x, atol=1e-6)
    indices = open_session(out / "encoder.onnx").run(["sae_indices"], {"embeddings": embedder.embed(texts)})[0]
    assert parity.topk_agreement(indices, sae.encode(torch.from_numpy(x)).indices.numpy()) == 1


@pytest.mark.parametrize(("precision", "via"), [("w8", "torch"), ("small", "auto"), ("int8", "auto")])
def test_smaller_precisions(bundle, tiny_sae, tmp_path, precision, via):
    manifest = export_bundle(tiny_sae, tmp_path / "bundle", precision=precision, via=via)
    assert read_manifest(tmp_path / "bundle") == manifest
    assert (manifest.precision, manifest.batch_invariant) == (precision, precision != "int8")
    assert manifest.min_onnxruntime == {"w8": "1.23", "small": "1.23", "int8": "1.20"}[precision]
    exact = bundle[1].files
    assert manifest.files["embedder.onnx"]["bytes"] < exact["embedder.onnx"]["bytes"]
    assert manifest.files["encoder.onnx"] == exact["encoder.onnx"]  # never quantised, and the same bytes every time
    assert manifest.model_digest != bundle[1].model_digest


def test_the_same_checkpoint_gives_the_same_model(bundle, tmp_path):
    out, manifest, _ = bundle
    steps: list[str] = []
    again = export_bundle(out.with_name("model.pt"), tmp_path / "bundle", progress=steps.append)
    assert again.model_digest == manifest.model_digest
    assert steps[0] == "loading the embedder embedder"
    assert steps[1] == "exporting the embedder with optimum"
    assert steps[-1] == f"wrote {tmp_path / 'bundle'}"


def test_steps_are_timed_in_the_log(tiny_sae, tmp_path, caplog):
    caplog.set_level(logging.INFO, "steersearch")
    export_bundle(tiny_sae, tmp_path / "bundle")
    assert any("exporting the encoder and the decoder: " in r.getMessage() for r in caplog.records)
    assert tiny_sae.training  # the caller's model is as it was


def test_overwriting(bundle, tiny_sae, tmp_path):
    out = shutil.copytree(bundle[0], tmp_path / "bundle")
    with pytest.raises(BundleError, match="already a bundle"):
        export_bundle(tiny_sae, out)
    tiny_sae.b_dec.data += 0.01
    manifest = export_bundle(tiny_sae, out, overwrite=True)
    assert read_manifest(out) == manifest
    assert listing(tmp_path) == ["bundle"]


def test_labels_stay_when_the_same_model_is_exported_again(tiny_checkpoint, tiny_bundle, topic_texts, tmp_path):
    from steersearch.runtime import Bundle
    from steersearch.runtime.interpret import interpret, save

    out = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    bundle = Bundle.load(out, threads=1)
    found = interpret(bundle, topic_texts.ids, topic_texts.texts, corpus="docs", cache_dir=tmp_path / "cache")
    labels = [str(feature) for feature in save(bundle, found).features]
    export_bundle(tiny_checkpoint, out, precision="w8", via="torch", overwrite=True)
    again = Bundle.load(out, threads=1)
    assert again.manifest.precision == "w8"
    assert [str(feature) for feature in again.features] == labels
    assert again.interpretation is not None
    other = shutil.copytree(out, tmp_path / "other")
    (other / "decoder.onnx").write_bytes(b"another autoencoder")
    assert not carry_over(other, out)
    torn = shutil.copytree(out, tmp_path / "torn")
    (torn / "tokens.npz").write_bytes(b"half")
    assert not carry_over(torn, out)


def test_weights_in_files_of_their_own(tiny_sae, tmp_path, monkeypatch):
    """As those of a large autoencoder: an index is tied to them, and they may be overwritten."""
    monkeypatch.setattr("steersearch.export.onnx_files.MAPPED_ABOVE", 0)
    out = tmp_path / "bundle"
    first = export_bundle(tiny_sae, out)
    assert {"embedder.onnx.data", "encoder.onnx.data", "decoder.onnx.data"} < set(first.files)
    bundle = Bundle.load(out)
    indices, values = bundle.encode(bundle.embed(["a file"]))
    assert bundle.decode(indices, values).shape == (1, 32)
    with torch.no_grad():
        tiny_sae.W_enc.mul_(1.01)
    second = export_bundle(tiny_sae, out, overwrite=True)
    assert second.files["encoder.onnx.data"] != first.files["encoder.onnx.data"]
    assert second.model_digest != first.model_digest


def test_a_model_that_does_not_agree_is_not_written(tiny_sae, tmp_path, monkeypatch):
    impossible = replace(parity.TOLERANCES["fp32"], encoder_agreement=1.1)
    monkeypatch.setitem(parity.TOLERANCES, "fp32", impossible)
    with pytest.raises(ExportMismatchError, match=r"encoder_agreement is 1, allowed at least 1\.1"):
        export_bundle(tiny_sae, tmp_path / "bundle")
    assert listing(tmp_path) == []


def test_a_bundle_that_the_runtime_refuses_is_not_written(tiny_sae, tmp_path):
    tiny_sae.info.features = [FEATURE | {"id": i, "p95": -1.0 if i == 3 else 0.2} for i in range(96)]
    with pytest.raises(BundleError, match=r"features\.json cannot be read .*latent 3 has .*p95 -1\.0"):
        export_bundle(tiny_sae, tmp_path / "bundle")
    assert listing(tmp_path) == []


def test_a_full_disk_leaves_nothing(tiny_sae, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))  # the tiny embedder has 400 kB
    try:
        with pytest.raises(StorageError, match="free space or choose another --out"):
            export_bundle(tiny_sae, tmp_path / "bundle")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert listing(tmp_path) == []


def test_only_the_embedder_of_the_training_will_do(tiny_sae, tiny_source, tmp_path):
    other = build_tiny_embedder(tmp_path / "other", pooling="cls")
    assert resolve_embedder(other).sha256 == tiny_source.sha256  # the weights decide
    wide = build_tiny_embedder(tmp_path / "wide", d=40)
    with pytest.raises(DataError, match=rf"has weights with sha256 [0-9a-f]+, .* with sha256 {tiny_source.sha256}"):
        export_bundle(tiny_sae, tmp_path / "bundle", embedder=wide)
    assert not (tmp_path / "bundle").exists()


def test_an_embedder_that_has_moved(tiny_sae, tiny_embedder_folder, tmp_path):
    tiny_sae.info.embedder |= {"path": "gone/embedder", "id": "no such embedder!"}
    with pytest.raises(DataError, match="no such embedder! does not exist"):
        export_bundle(tiny_sae, tmp_path / "bundle")
    moved = shutil.copytree(tiny_embedder_folder, tmp_path / "moved")
    (moved / "sentence_bert_config.json").write_text('{"max_seq_length": 20}')
    manifest = export_bundle(tiny_sae, tmp_path / "bundle", embedder=moved)
    assert manifest.embedder["id"] == "no such embedder!"  # what it is does not change with where it is
    assert manifest.max_length == MAX_LENGTH  # as in training


def test_trained_on_bare_embeddings(tiny_embedder_folder, tmp_path):
    with pytest.raises(DataError, match="name it with --embedder"):
        export_bundle(random_sae(None, 32), tmp_path / "bundle")
    with pytest.raises(DataError, match="embedder gives 32 numbers per text, the autoencoder was trained on 31"):
        export_bundle(random_sae(None, 31), tmp_path / "bundle", embedder=tiny_embedder_folder)
    manifest = export_bundle(random_sae(None, 32), tmp_path / "bundle", embedder=tiny_embedder_folder)
    assert manifest.embedder["sha256"] == resolve_embedder(tiny_embedder_folder).sha256
    from steersearch.runtime import Bundle

    opened = Bundle.load(tmp_path / "bundle")
    assert len(opened.features) == opened.n_latents
    assert all(feature.label is None and feature.p95 == 0 for feature in opened.features)


def test_wrong_use(tiny_sae, tmp_path):
    with pytest.raises(ConfigError, match="precision is 'fp64'"):
        export_bundle(tiny_sae, tmp_path / "bundle", precision="fp64")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="via is 'magic'"):
        export_bundle(tiny_sae, tmp_path / "bundle", via="magic")  # type: ignore[arg-type]
    with pytest.raises(CheckpointError):
        export_bundle(tmp_path / "none.pt", tmp_path / "bundle")
    (tmp_path / "model.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError):
        export_bundle(tmp_path / "model.pt", tmp_path / "bundle")
    assert listing(tmp_path) == ["model.pt"]


@pytest.mark.parametrize("module", ["torch", "onnx", "onnxscript", "sentence_transformers"])
def test_a_missing_library_is_one_line(module):
    code = f"import sys; sys.modules[{module!r}] = None; import steersearch.export"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith(f"MissingExtraError: {module} is not installed: pip install 'steersearch[export]'")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "via", "cosine", "agreement", "ranking"),
    [
        ("fp32", "optimum", 0.99999, 0.9999, 0.9999),
        ("fp32", "torch", 0.99999, 0.9999, 0.9999),
        ("w8", "auto", 0.997, 0.95, 0.99),
        ("small", "auto", 0.99, 0.9, 0.98),
        ("int8", "auto", 0.96, 0.8, 0.95),
    ],
)
def test_all_minilm_l6_v2(tmp_path, precision, via, cosine, agreement, ranking):
    sae = random_sae(resolve_embedder("minilm"), 384, n_latents=2048, k=32)
    manifest = export_bundle(sae, tmp_path / "bundle", precision=precision, via=via)
    assert read_manifest(tmp_path / "bundle") == manifest
    assert (manifest.d_in, manifest.max_length) == (384, 256)
    assert manifest.parity["embedder_min_cosine"] > cosine
    assert manifest.parity["end_to_end_agreement"] > agreement
    assert manifest.parity["ndcg10_of_torch_ranking"] > ranking
    limit = {"fp32": 92e6, "w8": 26e6, "small": 21e6, "int8": 24e6}[precision]
    assert sum(manifest.files[name]["bytes"] for name in manifest.files if name.startswith("embedder.onnx")) < limit
    assert manifest.embedder["id"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert "apache-2.0" in (tmp_path / "bundle" / "LICENSES").read_text()
    lean, fast = (Bundle.load(tmp_path / "bundle", profile=profile, threads=1) for profile in ("lean", "fast"))
    texts = [text for text in parity.parity_texts([]) if text.strip()][::3]
    alone = np.concatenate([fast.embed([text]) for text in texts])
    for together in (fast.embed(texts), fast.embed(texts[::-1])[::-1], lean.embed(texts)):
        np.testing.assert_allclose(together, alone, atol=1e-6)  # no text changes its embedding because of its batch
