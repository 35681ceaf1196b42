"""A limit of the address space that is too low is said, before a library fails in the middle."""

import subprocess
import sys
from pathlib import Path

import pytest

BUNDLE = Path(__file__).parent.parent.parent / "data" / "tiny_bundle"
CODE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]) * 10**6,) * 2)
from steersearch.errors import ConfigError
from steersearch.runtime import Bundle
try:
    print(Bundle.load(sys.argv[1], profile="lean").embed(["a text"]).shape)
except ConfigError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
@pytest.mark.parametrize(("megabytes", "says"), [(300, "may take 300 MB of address space"), (700, "(1, 16)")])
def test_too_little_is_said(megabytes, says):
    done = subprocess.run(
        [sys.executable, "-c", CODE, BUNDLE, str(megabytes)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(says if megabytes > 300 else f"this process {says}")
    assert len(done.stdout.splitlines()) == 1
