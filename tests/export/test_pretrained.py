import copy
import json

import pytest
import torch

from steersearch.errors import CheckpointError, ConfigError
from steersearch.export.pretrained import load_pretrained, pretrained_names, write_pretrained


def test_there_and_back(tiny_sae, tmp_path):
    path = write_pretrained(tiny_sae, tmp_path / "tiny.safetensors")
    back = load_pretrained(path)
    assert back.config == tiny_sae.config
    assert torch.allclose(back.W_dec, tiny_sae.W_dec, atol=1e-3)
    assert torch.allclose(back.W_dec.norm(dim=1), torch.ones(len(back.W_dec)), atol=1e-6)
    assert torch.allclose(back.W_enc, tiny_sae.W_enc, rtol=1e-3, atol=1e-4)
    assert [entry["label"] for entry in back.info.features] == [entry["label"] for entry in tiny_sae.info.features]


def test_no_text_of_the_corpus_is_in_the_file(tiny_sae, tmp_path):
    sae = copy.deepcopy(tiny_sae)
    sae.info.features = [{"id": 0, "label": "sea, ship", "examples": ["a secret passage"]}]
    sae.info.sample_texts = ["another secret"]
    path = write_pretrained(sae, tmp_path / "tiny.safetensors")
    back = load_pretrained(path)
    assert back.info.sample_texts == []
    assert back.info.features == [{"id": 0, "label": "sea, ship", "examples": []}]
    assert sae.info.features[0]["examples"] == ["a secret passage"]
    assert b"secret" not in path.read_bytes()


def test_unknown_names_and_damaged_files(tiny_sae, tmp_path):
    with pytest.raises(ConfigError, match="no pretrained model 'bge'"):
        load_pretrained("bge")
    path = write_pretrained(tiny_sae, tmp_path / "tiny.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        load_pretrained(path)
    path.write_bytes(whole.replace(b'\\"k\\":', b'\\"q\\":', 1))
    with pytest.raises(CheckpointError):
        load_pretrained(path)


@pytest.mark.parametrize("name", pretrained_names())
def test_what_is_shipped_can_be_read(name):
    sae = load_pretrained(name)
    assert len(sae.info.features) == sae.config.n_latents
    assert sae.info.embedder["sha256"]
    assert json.dumps(sae.info.features)
