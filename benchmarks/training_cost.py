"""What training costs: time of a step against two other implementations, and memory against the size of the corpus.

    python -m benchmarks.training_cost [--repeats 9] [--sizes 50000 500000]

One step: d_in 384, 8,192 latents, k 32, batch 1,024, CPU: forward, loss, backward, Adam. All sides take turns within
one run and the medians are compared, so that a busy machine slows all of them. Random unit vectors: only their shape
matters here. Writes benchmarks/results/training_cost.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from steersearch.training import SaeConfig, SparseAutoencoder, TrainConfig, fit_embeddings
from steersearch.training.batches import Batch
from steersearch.training.distributed import ProcessGroup, product_dtype
from steersearch.training.losses import Objective

RESULTS = Path(__file__).parent / "results" / "training_cost.json"
D_IN, N_LATENTS, K, BATCH = 384, 8192, 32, 1024
Step = Callable[[], None]


def main() -> None:
    """Time the steps, then measure memory in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--sizes", type=int, nargs="*", default=[50_000, 500_000])
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        print(json.dumps(peak_memory(args.memory_of)))
        return
    report: dict[str, object] = {"threads": torch.get_num_threads(), "steps": time_steps(args.repeats)}
    report["encoder"] = encoder_share(args.repeats)
    report["memory"] = {str(size): memory_of(size) for size in args.sizes}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def unit(n: int, seed: int) -> torch.Tensor:
    """Random unit rows."""
    return F.normalize(torch.randn(n, D_IN, generator=torch.Generator().manual_seed(seed)), dim=1)


def ours(depth: int, dtype: torch.dtype, *, whole: bool) -> Step:
    """Our step: reconstruction only, or with L(4k) and AuxK on dead latents as other trainers have them."""
    sae = SparseAutoencoder(SaeConfig(n_latents=N_LATENTS, k=K, d_in=D_IN, encoder_depth=depth), mean=torch.zeros(D_IN))
    sae.product_dtype = dtype
    config = TrainConfig(loss="mse", multi_topk_weight=0.125 if whole else 0.0, aux_weight=0.25 if whole else 0.0)
    objective = Objective(sae, config, 1.0, ProcessGroup(torch.device("cpu")))
    optimiser = torch.optim.Adam(sae.parameters(), lr=1e-3, fused=True)
    none, own = torch.zeros(0, D_IN), torch.zeros(0, 0, dtype=torch.int64)
    batch, dead, count = Batch(none, unit(BATCH, 1), own, none), torch.zeros(N_LATENTS, dtype=torch.bool), [0]
    dead[: N_LATENTS // 20] = True

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        objective(batch, count[0], dead).total.backward()
        sae.remove_parallel_gradient()
        optimiser.step()
        sae.normalise_atoms()
        count[0] += 1

    return step


def sentence_transformers_step() -> Step:
    """sentence-transformers' SparseAutoEncoder with its own reconstruction loss: L(k) + L(4k) / 8 + AuxK."""
    from sentence_transformers.sparse_encoder.losses import CSRReconstructionLoss
    from sentence_transformers.sparse_encoder.models import SparseAutoEncoder

    model = SparseAutoEncoder(input_dim=D_IN, hidden_dim=N_LATENTS, k=K)
    loss = CSRReconstructionLoss(model=model)
    optimiser, x = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True), unit(BATCH, 1)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        out = model({"sentence_embedding": x})
        found = loss.compute_loss_from_embeddings([out])
        (sum(found.values()) if isinstance(found, dict) else found).backward()
        optimiser.step()

    return step


def dense_decoder_step() -> Step:
    """A plain TopK autoencoder: torch's topk, scatter into a dense code, a dense decoder; reconstruction only."""
    encoder, decoder = nn.Linear(D_IN, N_LATENTS), nn.Linear(N_LATENTS, D_IN)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True)
    x = unit(BATCH, 1)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        values, indices = encoder(x - decoder.bias).topk(K, dim=1)
        code = torch.zeros(BATCH, N_LATENTS).scatter(1, indices, values.relu())
        (decoder(code) - x).pow(2).sum(1).mean().backward()
        optimiser.step()

    return step


def time_steps(repeats: int) -> dict[str, dict[str, float]]:
    """Median milliseconds of each kind of step, and how many times slower it is than ours of the same kind."""
    fast = product_dtype("auto", torch.device("cpu"))
    sides = {
        "dense-decoder TopK, reconstruction only": dense_decoder_step(),
        "ours, reconstruction only, fp32": ours(1, torch.float32, whole=False),
        "ours, reconstruction only, auto": ours(1, fast, whole=False),
        "sentence-transformers, L(k) + L(4k) + AuxK": sentence_transformers_step(),
        "ours, L(k) + L(4k) + AuxK, fp32": ours(1, torch.float32, whole=True),
        "ours, L(k) + L(4k) + AuxK, auto": ours(1, fast, whole=True),
        "ours, encoder depth 2, L(k) + L(4k) + AuxK, auto": ours(2, fast, whole=True),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 2):
        for name, step in sides.items():
            started = time.perf_counter()
            step()
            if turn >= 2:
                times[name].append(1e3 * (time.perf_counter() - started))
    medians = {name: statistics.median(values) for name, values in times.items()}
    plain, theirs = (
        medians["dense-decoder TopK, reconstruction only"],
        medians[next(n for n in sides if "sentence" in n)],
    )
    return {
        name: {
            "median_ms": round(value, 1),
            "times_faster": round((plain if "only" in name else theirs) / value, 2),
        }
        for name, value in medians.items()
    }


def encoder_share(repeats: int) -> dict[str, float | str]:
    """What the encoder's product reaches of the best that this machine shows for a square product of the same type."""
    dtype = product_dtype("auto", torch.device("cpu"))
    square = torch.randn(2048, 2048).to(dtype)
    x, W, bias = unit(BATCH, 1).to(dtype), torch.randn(D_IN, N_LATENTS).to(dtype), torch.zeros(N_LATENTS).to(dtype)
    products: dict[str, tuple[Step, float]] = {
        "square": (lambda: torch.mm(square, square), 2.0 * 2048**3),
        "encoder": (lambda: torch.addmm(bias, x, W), 2.0 * BATCH * D_IN * N_LATENTS),
    }
    rates: dict[str, list[float]] = {name: [] for name in products}
    for _ in range(repeats + 2):
        for name, (product, work) in products.items():
            started = time.perf_counter()
            product()
            rates[name].append(work / (time.perf_counter() - started) / 1e9)
    best, reached = max(rates["square"]), statistics.median(rates["encoder"])
    return {
        "dtype": str(dtype).removeprefix("torch."),
        "peak_gflops": round(best, 1),
        "encoder_gflops": round(reached, 1),
        "share_of_peak": round(reached / best, 3),
    }


def memory_of(size: int) -> dict[str, float]:
    """Peak memory of a training on `size` embeddings that lie in a file, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "embeddings.npy"
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(size, D_IN))
        for start in range(0, size, 50_000):
            array[start : start + 50_000] = unit(min(50_000, size - start), start).numpy()
        array.flush()
        del array
        command = [sys.executable, "-m", "benchmarks.training_cost", "--memory-of", str(path)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    figures: dict[str, float] = json.loads(out)
    return figures


def peak_memory(path: Path) -> dict[str, float]:
    """Train a little; own memory (RssAnon) is what grows, pages of the mapped file can be dropped at any time."""
    peak, running = [0.0], [True]

    def watch() -> None:
        while running[0]:
            fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            peak[0] = max(peak[0], float(fields["RssAnon"].split()[0]) / 1024)
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        documents = np.load(path, mmap_mode="r")
        training = TrainConfig(steps=40, max_queries=1000, eval_every=20)
        fit_embeddings(documents, documents, SaeConfig(n_latents=4096, k=K), training)
    finally:
        running[0] = False
        watcher.join()
    return {"peak_own_mb": round(peak[0], 1), "file_mb": round(os.path.getsize(path) / 2**20, 1)}


if __name__ == "__main__":
    main()
