import os
import subprocess
import sys

import pytest
import torch

from steersearch.training.threads import limit_threads


@pytest.mark.parametrize(("usable", "left"), [(1, 1), (2, 2), (64, 3)])
def test_torch_has_no_more_threads_than_usable_cpus(monkeypatch, usable, left):
    had = torch.get_num_threads()
    monkeypatch.setattr("steersearch.training.threads.usable_cpus", lambda: usable)
    try:
        torch.set_num_threads(3)
        limit_threads()
        assert torch.get_num_threads() == left
    finally:
        torch.set_num_threads(had)


@pytest.mark.parametrize("room", ["training", "export"])
def test_openmp_is_told_to_sleep_before_torch_is_loaded(room):
    code = f"""
import builtins, os, sys
plain = builtins.__import__
def imported(name, *rest):
    if name == "torch":
        print(os.environ.get("OMP_WAIT_POLICY"))
        os._exit(0)
    return plain(name, *rest)
builtins.__import__ = imported
import steersearch.{room}
"""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-u", "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "PASSIVE\n", done.stderr
