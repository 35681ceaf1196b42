"""Files: places, checksums, replacement that survives a power cut, and the check of a format's version."""

import errno
import hashlib
import os
import re
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

from .errors import FormatVersionError, SteersearchError, StorageError

LEFT = 3600.0
"""Seconds after which a temporary file is nobody's any more: one is written in seconds."""
# Windows has no such flags, and makes links for administrators only.
_NO_FOLLOW, _NO_WAIT = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)


def sha256_of(path: Path) -> str:
    """Return the hexadecimal sha256 of a file, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def nearby(path: Path) -> str:
    """Return a path as people read it: beside the working directory where it lies below that."""
    try:
        return str(path.relative_to(Path.cwd()))
    # Elsewhere, or the working directory is gone.
    except (ValueError, OSError):
        return str(path)


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return a path made absolute, with ``~`` as the home folder, so that it is the same place after a `chdir`.

    Raises:
        StorageError: The path is relative and the current folder was removed, so that it names no place.
    """
    expanded = Path(os.path.expanduser(path))
    try:
        return expanded.absolute()
    except FileNotFoundError as error:
        raise StorageError(
            f"{expanded} is relative to the current folder, which was removed: go to one that exists, or give an "
            "absolute path"
        ) from error


def make_temporary(path: Path) -> Path:
    """Make an empty file beside `path`, to be written and renamed to it, and return its path.

    Its name, ``.NAME.RANDOM.tmp``, cannot be guessed, and it is new: a file or link of that name is never written to.
    Its mode is what the umask leaves of 666. Those of killed runs, made for `path` more than `LEFT` seconds ago, are
    removed.

    Raises:
        OSError: The folder cannot be written, or `path` is a folder, a device or a pipe, which a rename would replace.
    """
    if path.exists() and not path.is_file():
        what, code = ("a folder", errno.EISDIR) if path.is_dir() else ("a device or a pipe", errno.EINVAL)
        raise OSError(code, f"it is {what}, not a file", str(path))
    for left in _temporaries(path):
        with suppress(OSError):
            if left.is_file(follow_symlinks=False) and time.time() - left.stat().st_mtime > LEFT:
                os.unlink(left)
    temporary = _random_name(path)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o666))
    return temporary


def check_place(path: Path) -> None:
    """Check that a file can be written, before the work whose result it is to hold; its folder is made.

    Raises:
        StorageError: It cannot be.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_temporary(path).unlink()
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}; choose another place") from error


def make_temporary_folder(path: Path) -> Path:
    """Make a folder beside `path` as `make_temporary` makes a file; its mode is what the umask leaves of 777."""
    temporary = _random_name(path)
    temporary.mkdir()
    return temporary


def temporary_folders(path: Path) -> list[Path]:
    """Return the folders that `make_temporary_folder` made for `path` and that are still there."""
    return [Path(entry.path) for entry in _temporaries(path) if entry.is_dir(follow_symlinks=False)]


def replace_file(path: Path, content: bytes) -> None:
    """Write a file by rename: after a kill or a power cut it is the old one or the new one, whole.

    Raises:
        OSError: It cannot be written. The old file is unchanged then.
    """
    temporary = make_temporary(path)
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


def overwrite(path: Path, content: bytes) -> None:
    """Write over the start of a file, in place and without flushing; a link of that name is an OSError."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | _NO_FOLLOW, 0o666)
    try:
        os.write(file, content)
    finally:
        os.close(file)


def read_small(path: Path, most: int) -> bytes:
    """Return the content of a small file, or of the one that a link names: model hubs keep their files as links.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no regular file, such as a device or a pipe, or it has more than `most` bytes.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | _NO_WAIT | getattr(os, "O_BINARY", 0)), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no regular file")
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most} bytes")
    return content


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


def _temporaries(path: Path) -> list[os.DirEntry[str]]:
    """Return what there is beside `path` under a name of `_random_name`."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.tmp")
    with suppress(OSError), os.scandir(path.parent) as entries:
        return [entry for entry in entries if pattern.fullmatch(entry.name)]
    return []


def _random_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
