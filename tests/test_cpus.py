import os

import pytest

from steersearch.cpus import cpu_quota, let_threads_sleep, usable_cpus


@pytest.fixture
def groups(tmp_path):
    """Return a function that writes control groups, path -> content, and the groups of the process."""

    def write(own: str, files: dict[str, str]):
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        (tmp_path / "own").write_text(own)
        return tmp_path, tmp_path / "own"

    return write


def test_the_quota_of_a_container(groups):
    assert cpu_quota(*groups("0::/\n", {"cpu.max": "150000 100000\n"})) == 1.5


def test_the_smallest_of_the_groups_above_counts(groups):
    files = {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n", "a/c/cpu.max": "50000 100000\n"}
    assert cpu_quota(*groups("0::/a/b\n", files)) == 2.0
    assert cpu_quota(*groups("0::/a/c\n", {})) == 0.5


def test_the_first_version_of_control_groups(groups):
    files = {"cpu,cpuacct/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}
    assert cpu_quota(*groups("8:pids:/\n4:cpu,cpuacct:/gone\n", files)) == 3.0
    files = {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n"}
    assert cpu_quota(*groups("4:cpu,cpuacct:/\n", files)) is None


@pytest.mark.parametrize("content", ["", "max 100000", "1", "x y", "100000 0", "-5 100000"])
def test_no_or_a_damaged_quota_is_no_limit(groups, content):
    assert cpu_quota(*groups("0::/../..\nodd", {"cpu.max": content})) is None


def test_no_control_groups_are_no_limit(tmp_path):
    assert cpu_quota(tmp_path / "none", tmp_path / "own") is None


@pytest.mark.parametrize(("quota", "cpus"), [(0.5, 1), (1.2, 2), (1000.0, None), (None, None)])
def test_usable_cpus_follow_the_quota(monkeypatch, quota, cpus):
    monkeypatch.setattr("steersearch.cpus.cpu_quota", lambda: quota)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert usable_cpus() == (allowed if cpus is None else min(cpus, allowed))


def test_threads_sleep_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    let_threads_sleep()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    let_threads_sleep()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
