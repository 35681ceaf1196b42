"""Files: checksums, replacement that survives a power cut, and the check of a format's version."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from .errors import FormatVersionError, SteersearchError


def sha256_of(path: Path) -> str:
    """Return the hexadecimal sha256 of a file, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def replace_file(path: Path, content: bytes) -> None:
    """Write a file by rename: after a kill or a power cut it is the old one or the new one, whole.

    Raises:
        OSError: It cannot be written. The old file is unchanged then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable. Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_format(
    path: Path | str, found: int, known: int, *, error: type[SteersearchError] = FormatVersionError
) -> None:
    """Check that a file's `format_version`, `found`, is not newer than `known`, the newest that can be read.

    Raises:
        FormatVersionError: It is newer. Files that are not part of a bundle have another class, `error`.
    """
    if found > known:
        cure = "pip install -U steersearch"
        raise error(f"{path} has format_version {found}, this steersearch reads up to {known}: {cure}")
