"""Messages of errors are read at a terminal."""

import pytest

from steersearch.errors import BundleError, ConfigError, StorageError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConfigError("keep is \x1b[2J\u202e"), r"keep is \x1b[2J\u202e"),
        (BundleError("one\ntwo"), "one\ntwo"),
        (StorageError(28, "full", "a\x9b"), r"[Errno 28] full: 'a\x9b'"),
        (ConfigError(), ""),
    ],
)
def test_a_message_is_harmless(error, message):
    assert str(error) == message
