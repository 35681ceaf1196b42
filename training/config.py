"""Settings of a sparse autoencoder and of its training."""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from ..errors import ConfigError

Loss = Literal["ranking", "paper", "mse"]
Activation = Literal["topk", "batch_topk"]
Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class SaeConfig:
    """Shape of a TopK sparse autoencoder."""

    n_latents: int = 4096
    """Number of latents. 4 to 32 times `d_in` is usual for sentence embeddings (arXiv 2405.15164, section 4)."""
    k: int = 32
    """Latents that may be active per text."""
    encoder_depth: int = 2
    """1: one linear map, as in the paper. 2: the code is then corrected once by the error of its reconstruction, which
    costs one more small product and keeps more of the ranking at the same k. Up to 8."""
    d_in: int = 0
    """Width of the embeddings; 0 until training has seen them."""

    def __post_init__(self) -> None:
        if self.n_latents < 1:
            raise ConfigError(f"n_latents is {self.n_latents}: it must be at least 1")
        if not 1 <= self.k <= self.n_latents:
            raise ConfigError(f"k is {self.k}: it must be between 1 and n_latents ({self.n_latents})")
        if not 1 <= self.encoder_depth <= 8:
            raise ConfigError(f"encoder_depth is {self.encoder_depth}: it must be between 1 and 8")
        if self.d_in < 0:
            raise ConfigError(f"d_in is {self.d_in}: it must be the width of the embeddings, or 0 to take it from them")


@dataclass(frozen=True)
class TrainConfig:
    """A training recipe. The defaults keep the ranking; `paper()` is arXiv 2411.00786 as its code has it."""

    loss: Loss = "ranking"
    """`ranking`: MSE + softmax KL on reconstructed scores + the same on latent scores. `mse`: MSE only. `paper`: the
    paper's own KL at temperature 1 on each query's nearest documents, which is almost a squared error of the scores."""
    steps: int = 2000
    """Optimiser steps."""
    activation: Activation = "topk"
    """`topk`: k latents of every text. `batch_topk`: k per text on average during training, so that a text with much
    content may use more (arXiv 2412.06410, at most 2 k here). The finished model always takes k of every text."""
    queries_per_step: int = 128
    """Queries in a batch."""
    candidates: int = 4
    """Documents drawn for each query from its `pool` nearest ones; nearer ones are drawn more often."""
    pool: int = 64
    """Nearest documents kept per query."""
    random_documents: int = 64
    """Random documents that every query of the batch is also scored against."""
    extra_documents: int = 256
    """Further documents that are only reconstructed, so that training covers the whole corpus."""
    learning_rate: float = 4e-3
    """Peak rate of Adam. It is reached after `warmup_steps` and then falls to zero as a cosine."""
    real_share: float = 0.25
    """Least share of a batch's queries that come from pairs, where there are pairs. If pairs give a larger share of all
    queries, that share is used. The others are made from the documents: varied queries matter more than many real
    ones."""
    warmup_steps: int = 50
    """Steps of linear warm-up."""
    kl_weight: float = 0.1
    """Weight of the KL on reconstructed scores, against a variance-normalised MSE of weight 1."""
    latent_kl_weight: float = 0.1
    """Weight of the KL on latent dot products. The paper does not train them."""
    temperature: float = 0.05
    """Divides scores before the softmax. Cosines of embeddings differ by hundredths, so 1 would be nearly flat."""
    query_weight: float = 5.0
    """Weight of a query's row in the MSE. Queries are fewer and harder to reconstruct than documents, and an error in a
    query moves all of its scores."""
    aux_weight: float = 0.25
    """Weight of AuxK, the error predicted from dead latents (arXiv 2406.04093, section A.2). 0 turns it off."""
    k_aux: int = 64
    """Dead latents used by AuxK per text."""
    dead_steps: int = 50
    """Steps without firing on a document after which a latent counts as dead."""
    multi_topk_weight: float = 0.0
    """Weight of the MSE at 4 k. With 1/8 one model works well at several k (arXiv 2406.04093, section 6.2). Off, since
    a bundle has one k: latents then differ more between texts, and fewer die."""
    tied_init: bool = True
    """Start with W_enc = encoder_scale W_decᵀ and b_dec = data mean; otherwise as two independent linear layers."""
    encoder_scale: float = 0.35
    """Scale of a tied start for k up to 64; for larger k it shrinks as 64 / k. With 1 the sum of the k strongest of
    many random atoms is far too long when k is large (2.7 times at k = 256 of 4,096). A small scale also lets the
    encoder turn faster and keeps texts from sharing their latents."""
    unit_norm: bool = True
    """Keep every atom at unit length and remove the gradient along it."""
    max_queries: int = 20_000
    """Most training queries; taken from pairs first, then made from the documents."""
    seed: int = 0
    """Same seed, data and machine: same weights."""
    device: str = "auto"
    """`auto` (CUDA, else MPS, else CPU) or a torch device name."""
    precision: Precision = "auto"
    """Number type of the encoder's dense product in training. bf16 is several times faster than fp32 where the hardware
    supports it; `auto` uses it there. Everything else, and the finished model, is float32."""
    eval_every: int = 250
    """Steps between measurements on the held-out queries. The weights with the best retention there are kept."""
    patience: int = 0
    """Number of measurements in a row without improvement that ends training; 0 never stops early."""
    save_every: int = 250
    """Steps between resume points."""

    def __post_init__(self) -> None:
        for name, kind in (("loss", Loss), ("activation", Activation), ("precision", Precision)):
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(f"{name} is {getattr(self, name)!r}: choose {', '.join(get_args(kind))}")
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be at least 1")
        for name in _NOT_NEGATIVE:
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be 0 or more, and finite")
        for name in ("learning_rate", "temperature", "encoder_scale"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be above 0, and finite")
        if self.real_share > 1:
            raise ConfigError(f"real_share is {self.real_share}: it must be between 0 and 1")
        if self.candidates > self.pool:
            raise ConfigError(f"candidates is {self.candidates}: it must not exceed pool ({self.pool})")

    @classmethod
    def paper(cls, **changes: Any) -> "TrainConfig":
        """Return the recipe of arXiv 2411.00786 as its code has it (github.com/cxcscmu/esae, kld_x256_k*.py).

        16 nearest documents per query and nothing else, temperature 1, weights 1, two independent linear layers, no
        unit norm, no AuxK, no L(4k), Adam at 1e-3 with a cosine. `changes` are fields with other values.
        """
        recipe = cls(
            loss="paper",
            queries_per_step=512,
            candidates=16,
            pool=16,
            random_documents=0,
            extra_documents=0,
            learning_rate=1e-3,
            warmup_steps=0,
            kl_weight=1.0,
            latent_kl_weight=0.0,
            temperature=1.0,
            query_weight=1.0,
            aux_weight=0.0,
            multi_topk_weight=0.0,
            tied_init=False,
            unit_norm=False,
            precision="fp32",
        )
        return replace(recipe, **changes)


_AT_LEAST_ONE = (
    *("steps", "queries_per_step", "candidates", "pool", "max_queries"),
    *("dead_steps", "k_aux", "save_every", "eval_every"),
)
_NOT_NEGATIVE = (
    *("random_documents", "extra_documents", "warmup_steps", "patience", "seed", "real_share"),
    *("kl_weight", "latent_kl_weight", "query_weight", "aux_weight", "multi_topk_weight"),
)
