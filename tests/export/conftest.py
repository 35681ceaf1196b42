"""A random autoencoder over the tiny embedder: export does not ask whether it was trained."""

from pathlib import Path

import pytest
import torch

from steersearch.export.embedder import embedder_graph, load_embedder
from steersearch.training.config import SaeConfig
from steersearch.training.embedding import EmbedderSource, resolve_embedder
from steersearch.training.sae import SparseAutoencoder


def random_sae(source: EmbedderSource | None, d_in: int, n_latents: int = 96, k: int = 8) -> SparseAutoencoder:
    generator = torch.Generator().manual_seed(0)
    sae = SparseAutoencoder(
        SaeConfig(n_latents=n_latents, k=k, d_in=d_in),
        mean=torch.randn(d_in, generator=generator) * 0.05,
        generator=generator,
    )
    sae.b_enc.data.normal_(0, 0.02, generator=generator)
    sae.info.corpus = {"name": "nothing", "n_documents": 3}
    sae.info.reference_mean = sae.b_dec.tolist()
    sae.info.sample_texts = ["import a module", "open a file", "the value of a name"]
    if source is not None:
        names = ("id", "revision", "sha256", "max_length")
        sae.info.embedder = {name: getattr(source, name) for name in names} | {"path": source.path_or_name}
    return sae


@pytest.fixture(scope="session")
def tiny_source(tiny_embedder_folder: Path) -> EmbedderSource:
    return resolve_embedder(tiny_embedder_folder)


@pytest.fixture(scope="session")
def tiny_model(tiny_source: EmbedderSource):
    return load_embedder(tiny_source)


@pytest.fixture
def tiny_sae(tiny_source: EmbedderSource) -> SparseAutoencoder:
    return random_sae(tiny_source, 32)


@pytest.fixture(scope="session")
def tiny_graphs(tiny_model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The embedder graph of each exporter, serialised."""
    scratch = tmp_path_factory.mktemp("scratch")
    graphs = {via: embedder_graph(tiny_model, via, scratch).SerializeToString() for via in ("optimum", "torch")}
    assert list(scratch.iterdir()) == []
    return graphs
