"""Which table for fast queries a new bundle gets."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from steersearch.catalogue import find_pretrained
from steersearch.errors import CheckpointError
from steersearch.export import export_bundle
from steersearch.export.fast_queries import add_fast_queries, add_to_checkpoint
from steersearch.export.query_tables import find_table
from steersearch.runtime import Bundle
from steersearch.runtime.bundle.manifest import FAST_QUERIES, Manifest
from steersearch.training.checkpoint import CheckpointInfo
from steersearch.training.embedder_source import EmbedderSource
from steersearch.training.sae import SparseAutoencoder

TINY = Path(__file__).parent.parent / "data" / "tiny_bundle"
SUBJECTS = ("stars", "cells", "music", "rivers", "engines", "gardens", "trains", "bread", "winter", "horses")
TEXTS = [f"The {a} are older than the {b}." for a in SUBJECTS for b in SUBJECTS if a != b]
NOWHERE = Path("nowhere")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables") / "bundle"
    shutil.copytree(TINY, folder)
    add_fast_queries(folder, TEXTS, pieces=200, cache_dir=folder.parent)
    return folder


@pytest.fixture
def source(fitted: Path) -> EmbedderSource:
    manifest = Bundle.load(fitted).manifest
    return EmbedderSource("tiny", "tiny", "", manifest.embedder["sha256"], manifest.max_length)


def minilm(d_in: int = 384, **others: object) -> tuple[EmbedderSource, Manifest]:
    model = find_pretrained("minilm")
    source = EmbedderSource("x", "x", "", model.embedder_sha256, model.max_length, **others)
    return source, replace(Bundle.load(TINY).manifest, d_in=d_in)


def test_the_table_of_a_replaced_bundle_goes_first(fitted: Path, source: EmbedderSource, caplog) -> None:
    manifest, kept = Bundle.load(fitted).manifest, Bundle.load(fitted).query_table.table
    other = replace(manifest, files=manifest.files | {"embedder.onnx": {"sha256": "0" * 64, "bytes": 1}})
    table, origin = find_table(CheckpointInfo(), source, other, fitted)
    assert (table.packed == kept.packed).all()
    assert origin == "the bundle that is replaced"
    assert find_table(CheckpointInfo(), source, other, fitted / "nothing") is None
    assert not caplog.records
    assert find_table(CheckpointInfo(), source, replace(other, query_prefix="query: "), fitted) is None
    assert "is not kept, since it belongs to another embedder or prompt" in caplog.text


def test_a_checkpoint_keeps_its_table_through_export(
    tiny_checkpoint: Path, topic_texts, tmp_path: Path, caplog
) -> None:
    ckpt = tmp_path / "model.pt"
    shutil.copyfile(tiny_checkpoint, ckpt)
    found = add_to_checkpoint(ckpt, topic_texts.texts, pieces=400, cache_dir=tmp_path)
    assert found.pieces + found.held_out <= 400
    sae = SparseAutoencoder.load(ckpt)
    assert sae.info.query_table.dtype == torch.uint8
    export_bundle(ckpt, tmp_path / "bundle", precision="w8")
    bundle = Bundle.load(tmp_path / "bundle", queries="fast")
    with np.load(io.BytesIO(sae.info.query_table.numpy().tobytes())) as stored:
        assert (bundle.query_table.table.packed == stored["packed"]).all()
        assert bundle.query_table.table.seen.sum() == stored["seen"].sum() > 1000
    assert np.linalg.norm(bundle.embed_query("integers")) == pytest.approx(1, abs=1e-5)
    caplog.clear()
    export_bundle(ckpt, tmp_path / "prompted", query_prompt="query: ")
    assert not (tmp_path / "prompted" / FAST_QUERIES).exists()
    assert "fitted to another embedder or prompt" in caplog.text


def test_published_weights_have_no_table_of_the_corpus(tiny_checkpoint: Path, tmp_path: Path) -> None:
    sae = SparseAutoencoder.load(tiny_checkpoint)
    sae.info.query_table = torch.zeros(3, dtype=torch.uint8)
    sae.save_pretrained(tmp_path / "out")
    assert SparseAutoencoder.from_pretrained(tmp_path / "out").info.query_table is None


@pytest.mark.parametrize("table", [torch.zeros(2), torch.zeros(0, dtype=torch.uint8), torch.zeros(2, 2).byte(), "x"])
def test_a_checkpoint_with_another_thing_for_a_table_is_refused(tiny_checkpoint: Path, tmp_path: Path, table) -> None:
    sae = SparseAutoencoder.load(tiny_checkpoint)
    sae.info.query_table = table
    sae.save(tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="query_table"):
        SparseAutoencoder.load(tmp_path / "model.pt")


def test_damaged_bytes_in_a_checkpoint_are_named(source: EmbedderSource) -> None:
    manifest = Bundle.load(TINY).manifest
    names = ("sha256", "max_length", "query_prefix", "pooling", "truncate_dim")
    known = {name: getattr(source, name) for name in names}
    info = CheckpointInfo(embedder=known, query_table=torch.from_numpy(np.frombuffer(b"PK nothing", np.uint8).copy()))
    with pytest.raises(CheckpointError, match="table for fast queries in the checkpoint is damaged"):
        find_table(info, source, manifest, NOWHERE)


def test_the_packages_own_table_serves_every_autoencoder_of_its_embedder() -> None:
    table, origin = find_table(CheckpointInfo(), *minilm(), NOWHERE)
    assert (table.d_in, len(table.seen), origin) == (384, 30522, "the package, for this embedder")


@pytest.mark.parametrize("others", [{"query_prefix": "query: "}, {"kind": "static"}, {"d_in": 256}])
def test_it_serves_no_other(others: dict) -> None:
    assert find_table(CheckpointInfo(), *minilm(**others), NOWHERE) is None
