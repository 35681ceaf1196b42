"""The number of torch's threads."""

import torch

from ..cpus import usable_cpus


def limit_threads() -> None:
    """Let torch use no more threads than there are usable CPUs; fewer, of the user or OMP_NUM_THREADS, stay.

    torch counts the CPUs of the machine or of its affinity, and does not know the bounds of a container.
    """
    if torch.get_num_threads() > usable_cpus():
        torch.set_num_threads(usable_cpus())
