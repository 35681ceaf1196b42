"""Where and how precisely to compute."""

from __future__ import annotations

import os
from typing import Literal

import torch

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
