"""Several processes that train one model: each encodes its share of a batch and all of them see every score.

Under ``torchrun --nproc-per-node N`` the batch of a step is the same as with one process, so the result is the same up
to the order of additions. Rows are encoded and decoded by one process each (the expensive part); the losses, which need
all queries and all documents of the batch, are computed by every process from the gathered rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function

from ..errors import ConfigError

Precision = Literal["auto", "fp32", "bf16"]


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, else MPS, else the CPU; under torchrun each process has its own GPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", _local_rank() % torch.cuda.device_count())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def product_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The number type of the encoder's dense product in training: `auto` takes bfloat16 where the hardware knows it."""
    if precision == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
        return torch.bfloat16 if device.type == "cpu" and _cpu_has_bf16() else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32


def _cpu_has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 itself; emulated it is slower than float32."""
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.9 and later
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", "0"))


class Ranks:
    """This process among all that train together; alone unless the program was started by ``torchrun``.

    Args:
        device: Where this process computes; NCCL between CUDA devices, gloo otherwise.

    Raises:
        ConfigError: The other processes cannot be reached.
    """

    def __init__(self, device: torch.device) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        if self.size > 1 and not distributed.is_initialized():
            try:
                distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
            except (RuntimeError, ValueError) as error:
                raise ConfigError(
                    f"WORLD_SIZE is {self.size} but the others cannot be reached ({error}): start with torchrun"
                ) from error

    @property
    def is_first(self) -> bool:
        """Whether this process reports and writes files."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """The rows that this process works on; the last process may have fewer than the others."""
        if self.size == 1:
            return rows
        each = -(-len(rows) // self.size)
        return rows[self.rank * each : (self.rank + 1) * each]

    def gather(self, share: Tensor, n: int) -> Tensor:
        """All `n` rows, from the share of every process, in order; gradients go back to the own share only."""
        if self.size == 1:
            return share
        out: Tensor = _Gather.apply(share, n, self.rank, self.size)  # type: ignore[no-untyped-call]
        return out

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up what every process found from its own rows."""
        if self.size > 1:
            for parameter in parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)

    def wait(self) -> None:
        """Until every process is here: the others read what the first one wrote."""
        if self.size > 1:
            distributed.barrier()


class _Gather(Function):
    """Concatenate the shares of all processes. Every process computes the same loss from the result, so the gradient of
    a share is its slice of the gradient here: nothing is communicated on the way back.
    """

    @staticmethod
    def forward(ctx: Any, share: Tensor, n: int, rank: int, size: int) -> Tensor:
        """Shapes: (own rows, ...) -> (n, ...)."""
        each = -(-n // size)
        padded = share.new_zeros((each, *share.shape[1:]))
        padded[: len(share)] = share
        parts = [torch.empty_like(padded) for _ in range(size)]
        distributed.all_gather(parts, padded)
        ctx.own = slice(rank * each, rank * each + len(share))
        return torch.cat(parts)[:n]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        """The own rows of the gradient."""
        return grad[ctx.own].contiguous(), None, None, None
