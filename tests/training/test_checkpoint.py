import os
import pickle

import pytest
import torch

from steersearch.errors import CheckpointError, StorageError
from steersearch.training.checkpoint import FORMAT_VERSION, atomic_torch_save
from steersearch.training.config import SaeConfig
from steersearch.training.sae import SparseAutoencoder


@pytest.fixture
def saved(tmp_path):
    sae = SparseAutoencoder(SaeConfig(n_latents=8, k=2, d_in=4), generator=torch.Generator().manual_seed(0))
    sae.info.metrics = {"fvu": 0.5}
    sae.info.features = [{"id": 0, "label": "cats, dogs", "p95": 0.4}]
    return sae, sae.save(tmp_path / "model.pt")


def payload_of(path):
    return torch.load(path, weights_only=True)


def test_round_trip_is_bit_equal(saved):
    sae, path = saved
    loaded = SparseAutoencoder.load(path)
    assert loaded.config == sae.config
    assert loaded.info == sae.info
    for name, tensor in sae.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(CheckpointError, match="sae train"):
        SparseAutoencoder.load(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        SparseAutoencoder.load(tmp_path / "text.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="list"):
        SparseAutoencoder.load(tmp_path / "list.pt")
    torch.save({"a": 1}, tmp_path / "dict.pt")
    with pytest.raises(CheckpointError, match="format_version"):
        SparseAutoencoder.load(tmp_path / "dict.pt")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "hacked"),))

    with (tmp_path / "evil.pt").open("wb") as file:
        pickle.dump({"format_version": Evil()}, file)
    torch.save({"format_version": Evil()}, tmp_path / "evil2.pt")
    for name in ("evil.pt", "evil2.pt"):
        with pytest.raises(CheckpointError):
            SparseAutoencoder.load(tmp_path / name)
    assert not (tmp_path / "hacked").exists()


def test_every_flipped_byte_is_detected_or_harmless(saved):
    sae, path = saved
    original = path.read_bytes()
    for position in range(0, len(original), 97):
        damaged = bytearray(original)
        damaged[position] ^= 0xFF
        path.write_bytes(bytes(damaged))
        try:
            loaded = SparseAutoencoder.load(path)
        except CheckpointError:
            continue
        assert torch.equal(loaded.W_dec, sae.W_dec), position
        assert loaded.config == sae.config


def test_truncated(saved):
    _, path = saved
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="damaged"):
        SparseAutoencoder.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p | {"format_version": FORMAT_VERSION + 1}, "pip install -U steersearch"),
        (lambda p: p | {"config": p["config"] | {"n_latents": 9}}, "its config says"),
        (lambda p: p | {"config": p["config"] | {"unknown": 1}}, "unknown"),
        (lambda p: {k: v for k, v in p.items() if k != "state"}, "incomplete"),
        (lambda p: p | {"state": p["state"] | {"b_dec": torch.full((4,), torch.nan)}}, "NaN"),
    ],
)
def test_wrong_contents(saved, change, message):
    _, path = saved
    torch.save(change(payload_of(path)), path)
    with pytest.raises(CheckpointError, match=message):
        SparseAutoencoder.load(path)


def test_a_checkpoint_without_prefixes_is_read(saved):
    _, path = saved
    embedder = {"id": "tiny", "revision": "local", "sha256": "0" * 64, "max_length": 16, "path": "tiny"}
    old = payload_of(path)
    torch.save(old | {"format_version": 2, "info": old["info"] | {"embedder": embedder}}, path)
    assert SparseAutoencoder.load(path).info.embedder == embedder


def test_a_failed_write_keeps_the_older_file(saved, tmp_path):
    _, path = saved
    before = path.read_bytes()
    target = tmp_path / "file"
    target.write_text("not a folder")
    with pytest.raises(StorageError, match="cannot write"):
        atomic_torch_save({"a": 1}, target / "model.pt")
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "model.pt"]


@pytest.mark.parametrize(
    "wrong", [[1.0], torch.ones(4, dtype=torch.int64), torch.ones(4).to_sparse(), torch.ones(4, dtype=torch.complex64)]
)
def test_weights_that_are_no_numbers(saved, wrong):
    path = saved[1]
    payload = payload_of(path)
    payload["state"]["b_dec"] = wrong
    torch.save(payload, path)
    with pytest.raises(CheckpointError, match="b_dec is no dense tensor of floating-point numbers"):
        SparseAutoencoder.load(path)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (lambda p: p["config"].update(k=4.0), r"k is 4\.0, expected a whole number"),
        (lambda p: p["config"].update(k=True), "k is True, expected a whole number"),
        (lambda p: (p.update(format_version=1), p["config"].update(n_latents=-4)), "incomplete"),
        (lambda p: p["state"].update(W_enc=p["state"]["W_enc"].to("meta")), "fewer numbers than its shape"),
        (lambda p: p["info"].update(features=None), "features is None"),
        (lambda p: p["info"].update(reference_mean="abc"), "reference_mean is 'abc'"),
        (lambda p: p["info"].update(sample_texts=[1]), r"sample_texts is \[1\]"),
        (lambda p: p["info"].update(corpus=[1]), r"corpus is \[1\]"),
        (lambda p: p["info"].update(metrics={"l0": float("nan")}), None),
    ],
)
def test_odd_values_of_somebody_elses_checkpoint(change, refused, tiny_checkpoint, tmp_path):
    payload = torch.load(tiny_checkpoint, weights_only=True)
    change(payload)
    torch.save(payload, tmp_path / "odd.pt")
    if refused is None:
        SparseAutoencoder.load(tmp_path / "odd.pt")
    else:
        with pytest.raises(CheckpointError, match=refused):
            SparseAutoencoder.load(tmp_path / "odd.pt")


def test_a_number_that_stands_for_many_takes_no_memory(tiny_checkpoint, tmp_path):
    payload, many = torch.load(tiny_checkpoint, weights_only=True), 10**12
    config = payload["config"]
    config["n_latents"], one = many, torch.zeros(())
    shapes = {"W_enc": (config["d_in"], many), "b_enc": (many,), "W_dec": (many, config["d_in"])}
    shapes |= dict.fromkeys(("step_size", "b_step"), (config["encoder_depth"] - 1, many))
    payload["state"] |= {name: one.expand(shape) for name, shape in shapes.items()}
    torch.save(payload, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match="W_enc holds fewer numbers than its shape says"):
        SparseAutoencoder.load(tmp_path / "odd.pt")
