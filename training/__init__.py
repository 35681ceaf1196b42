"""Fit a sparse autoencoder over sentence embeddings (extra ``train``).

Read in this order: `config`; `sae` (the model) and `sparse_ops` (its products); `batches` (what a step sees), `losses`
and `trainer` (the loop), with `dev_set` (held-out queries), `distributed` (devices and processes) and `metrics_log`;
`sentence_model`, `embedder_source`, `embedding` and `queries` (from texts to embeddings); `latent_statistics` (what
each latent responds to); `checkpoint` (the file); `fit` (from documents to a checkpoint).
"""

from ..cpus import let_threads_sleep
from ..extras import require

require("train", "torch", "sentence_transformers", "ir_measures")
let_threads_sleep()  # before torch is loaded

from ..embedding_cache import default_cache_dir, embed_cached  # noqa: E402  the line above says what to install
from .config import SaeConfig, TrainConfig  # noqa: E402
from .embedding import Embedder  # noqa: E402
from .fit import fit_embeddings, train  # noqa: E402
from .sae import SparseAutoencoder  # noqa: E402

__all__ = [
    "Embedder",
    "SaeConfig",
    "SparseAutoencoder",
    "TrainConfig",
    "default_cache_dir",
    "embed_cached",
    "fit_embeddings",
    "train",
]
