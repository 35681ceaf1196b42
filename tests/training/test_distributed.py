"""Two processes give what one gives."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

SCRIPT = """
import sys
import numpy as np
import torch
from steersearch.training import SaeConfig, TrainConfig, fit_embeddings

data = np.load(sys.argv[1])
training = TrainConfig(
    steps=12, queries_per_step=9, random_documents=7, extra_documents=5, warmup_steps=2, dead_steps=2, device="cpu",
    eval_every=5, save_every=4, precision="fp32", loss=sys.argv[3],
)
sae = fit_embeddings(data["documents"], data["queries"], SaeConfig(n_latents=40, k=3), training)
import os
np.savez(sys.argv[2] + os.environ.get("RANK", "0"), **{name: value.numpy() for name, value in sae.state_dict().items()})
"""


def run(arguments, processes):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(processes),
        "OMP_NUM_THREADS": "1",
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *arguments],
            env=os.environ | common | {"RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(processes)
    ]
    assert [process.wait(timeout=120) for process in started] == [0] * processes


@pytest.mark.parametrize("loss", ["ranking", "paper"])
def test_two_gloo_processes_give_the_single_process_result(tmp_path, loss):
    rng = np.random.default_rng(0)

    def unit(n):
        rows = rng.standard_normal((n, 12)) + 0.5
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    np.savez(tmp_path / "data.npz", documents=unit(90), queries=unit(41))
    for name, processes in (("one", 1), ("two", 2)):
        run([str(tmp_path / "data.npz"), str(tmp_path / name), loss], processes)
    one, first, second = (np.load(tmp_path / f"{name}.npz") for name in ("one0", "two0", "two1"))
    assert set(one) == {"W_enc", "b_enc", "W_dec", "b_dec", "step_size", "b_step"}
    for name in one:
        assert np.array_equal(first[name], second[name]), name
        assert np.allclose(one[name], first[name], atol=2e-4), name
    assert not torch.equal(torch.tensor(one["b_enc"]), torch.zeros(40))
