"""Devices, and several processes that train one model.

Under ``torchrun --nproc-per-node N`` the batch of a step is the same as with one process, so the result is the same up
to the order of additions. Every process encodes and decodes its share of the rows, which is the expensive part. The
losses need all queries and documents of the batch; every process computes them from the gathered rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function

from ..errors import ConfigError
from .config import Precision


class ProcessGroup:
    """This process and the others that train the same model; a group of one unless ``torchrun`` started the program.

    Args:
        device: Device of this process. CUDA devices communicate by NCCL, others by gloo.

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
        """Tell whether this process reports and writes files."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """Return the rows that this process encodes. The last process may have fewer than the others."""
        if self.size == 1:
            return rows
        each = -(-len(rows) // self.size)
        return rows[self.rank * each : (self.rank + 1) * each]

    def gather(self, share: Tensor, n: int) -> Tensor:
        """Return all `n` rows in order from the shares of all processes. Gradients go back to the own share only."""
        if self.size == 1:
            return share
        out: Tensor = _Gather.apply(share, n, self.rank, self.size)  # type: ignore[no-untyped-call]
        return out

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients that every process computed from its own rows."""
        if self.size > 1:
            for parameter in parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)


def choose_device(name: str) -> torch.device:
    """Return a device by name. `auto` is CUDA, else MPS, else the CPU; under torchrun each process has its own GPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def product_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the number type of the encoder's dense product; `auto` is bfloat16 where the hardware supports it."""
    if precision == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
        return torch.bfloat16 if device.type == "cpu" and _cpu_has_bf16() else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32


class _Gather(Function):
    """Concatenates the shares of all processes, which compute the same loss: the backward pass communicates nothing."""

    @staticmethod
    def forward(ctx: Any, share: Tensor, n: int, rank: int, size: int) -> Tensor:
        each = -(-n // size)
        padded = share.new_zeros((each, *share.shape[1:]))
        padded[: len(share)] = share
        parts = [torch.empty_like(padded) for _ in range(size)]
        distributed.all_gather(parts, padded)
        ctx.own = slice(rank * each, rank * each + len(share))
        return torch.cat(parts)[:n]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return grad[ctx.own].contiguous(), None, None, None


def _cpu_has_bf16() -> bool:
    """Tell whether the processor multiplies bfloat16 itself; emulated it is slower than float32."""
    # torch 2.9 and later.
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
