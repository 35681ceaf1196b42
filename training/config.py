"""What can be chosen about a sparse autoencoder and about its training."""

from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError

Loss = Literal["ranking", "paper", "mse"]


@dataclass(frozen=True)
class SaeConfig:
    """Shape of a TopK sparse autoencoder."""

    n_latents: int = 4096
    """Number of latents. 4 to 32 times `d_in` is usual for sentence embeddings (arXiv 2405.15164, section 4)."""

    k: int = 32
    """Latents that may be active per text."""

    d_in: int = 0
    """Width of the embeddings; 0 until training has seen them."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.n_latents < 1:
            raise ConfigError(f"n_latents is {self.n_latents}: it must be at least 1")
        if not 1 <= self.k <= self.n_latents:
            raise ConfigError(f"k is {self.k}: it must be between 1 and n_latents ({self.n_latents})")
        if self.d_in < 0:
            raise ConfigError(f"d_in is {self.d_in}: it must be the width of the embeddings, or 0 to take it from them")
