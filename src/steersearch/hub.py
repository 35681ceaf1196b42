"""The Hugging Face hub: named files of one revision of a repository, and new ones. Used only by what asks for it.

Searching, indexing and `Bundle.load` never come here. A repository is somebody else's: only the files that the caller
names are taken, each with the size that the hub states, and what is in them is for the caller to check.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import ConfigError, MissingExtraError, SteersearchError
from .extras import installed
from .text import first_line, shown

logger = logging.getLogger(__name__)

TIMEOUT = 10
"""Seconds that the hub has for each answer before it counts as out of reach."""
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,95}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})


def is_repository(name: str) -> bool:
    """Return whether a text has the form ``owner/name`` of a repository."""
    return bool(_REPO.fullmatch(name)) and ".." not in name and "--" not in name


class Repository:
    """One revision of a repository. It is found when the object is made: by the hub, offline by its local cache.

    Args:
        name: ``owner/name``.
        revision: Branch, tag or commit; ``main`` by default. Whatever it is, all files are of one commit.
        first: A file that the repository must have, by which the revision is found offline.
        error: Class of the errors.

    Raises:
        ConfigError: `name` or `revision` has another form.
        MissingExtraError: huggingface_hub is not installed.
        SteersearchError: Of the class `error`: the hub cannot be reached, or has no such repository or revision.
    """

    def __init__(
        self, name: str, revision: str | None = None, *, first: str, error: type[SteersearchError] = SteersearchError
    ) -> None:
        _check_name(name)
        self.name, self._asked, self._error = name, revision or "main", error
        if not _REVISION.fullmatch(self._asked) or ".." in self._asked:
            raise ConfigError(f"revision is {shown(self._asked)}: expected a branch, a tag or a commit of the hub")
        _require()
        self._sizes: dict[str, int] = {}
        if is_offline():
            self.commit = self._cached(first, self._asked).parent.name
            """The revision's commit, 40 hexadecimal digits."""
            return
        with self._reached("read"):
            found = _api().model_info(name, revision=self._asked, files_metadata=True, timeout=TIMEOUT)
            self.commit = str(found.sha)
            self._sizes = {file.rfilename: file.size for file in found.siblings or () if type(file.size) is int}
        if not _COMMIT.fullmatch(self.commit):
            raise self._error(f"the hub gives {shown(self.commit)} as the commit of {name}, which is none")

    def has(self, name: str) -> bool:
        """Return whether a file is there; offline, whether it was downloaded before."""
        if is_offline():
            with suppress(SteersearchError):
                return self._cached(name, self.commit).is_file()
            return False
        return name in self._sizes

    def fetch(self, name: str, *, most: int, exactly: int | None = None) -> Path:
        """Return a file in the local cache of the hub, downloaded unless it is there.

        Args:
            name: A plain file name.
            most: Bytes that it may have.
            exactly: Bytes that it must have, where they are known.

        Raises:
            SteersearchError: It is not there, has another size, or the hub cannot be reached.
        """
        if is_offline():
            path = self._cached(name, self.commit)
        else:
            if name not in self._sizes:
                raise self._error(f"{self.name} at {self.commit[:12]} has no {name}")
            # Before it is downloaded: a repository may hold anything.
            self._check_size(name, self._sizes[name], most, exactly)
            logger.info("downloading %s of %s at %s", name, self.name, self.commit)
            # By the name of the branch, if it is one: so the cache learns which commit that is, for work offline.
            path = self._download(name, self._asked)
            if path.parent.name != self.commit:
                path = self._download(name, self.commit)
        self._check_size(name, path.stat().st_size, most, exactly)
        return path

    def _check_size(self, name: str, size: int, most: int, exactly: int | None) -> None:
        if size > most or (exactly is not None and size != exactly):
            expected = f"at most {most:,}" if exactly is None else f"{exactly:,}"
            raise self._error(f"{name} of {self.name} has {size:,} bytes, expected {expected}: it was not taken")

    def _download(self, name: str, revision: str, *, local: bool = False) -> Path:
        from huggingface_hub import hf_hub_download

        with self._reached("read"), _no_bars():
            return Path(
                hf_hub_download(
                    self.name,
                    name,
                    revision=revision,
                    endpoint=_endpoint(),
                    etag_timeout=TIMEOUT,
                    local_files_only=local,
                )
            )

    def _cached(self, name: str, revision: str) -> Path:
        try:
            return self._download(name, revision, local=True)
        except SteersearchError as error:
            raise self._error(
                f"{name} of {self.name} at {revision} is not in the local cache and HF_HUB_OFFLINE is set: "
                "unset it to download the file"
            ) from error

    @contextmanager
    def _reached(self, verb: str) -> Iterator[None]:
        """Turn what huggingface_hub raises into an error of the caller's class."""
        try:
            yield
        except SteersearchError:
            raise
        # requests, httpx and huggingface_hub have no common base class.
        except Exception as error:
            raise _unreached(self.name, verb, error, self._error) from error


def push(
    folder: Path,
    repo: str,
    names: Iterable[str],
    *,
    revision: str | None = None,
    private: bool = True,
    message: str,
    error: type[SteersearchError] = SteersearchError,
) -> str:
    """Put files of a folder into a repository, in one commit, and return the commit; the repository is made if needed.

    Args:
        folder: Where the files are.
        repo: ``owner/name``.
        names: The files; others are not sent.
        revision: A branch that is there; ``main`` by default.
        private: Of a repository that is made now.
        message: Of the commit.
        error: Class of the errors.

    Raises:
        ConfigError: `repo` has another form, or huggingface_hub is offline.
        MissingExtraError: huggingface_hub is not installed.
        SteersearchError: The hub cannot be reached, or does not allow it.
    """
    _check_name(repo)
    _require()
    if is_offline():
        raise ConfigError(f"HF_HUB_OFFLINE is set, so nothing is sent to {repo}: unset it")
    try:
        with _no_bars():
            api = _api()
            api.create_repo(repo, private=private, exist_ok=True)
            found = api.upload_folder(
                repo_id=repo,
                folder_path=str(folder),
                revision=revision,
                commit_message=message,
                allow_patterns=sorted(names),
            )
    except Exception as raised:
        raise _unreached(repo, "written", raised, error) from raised
    return str(found.oid)


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the content of `source`, which may be a link of the cache, without a second copy where possible."""
    real = source.resolve()
    # A file of another user cannot be flushed to disk later.
    if os.access(real, os.W_OK):
        with suppress(OSError):
            os.link(real, target)
            return
    shutil.copyfile(real, target)


def is_offline() -> bool:
    """Return whether the user has forbidden the network to huggingface_hub."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in _TRUE for name in names)


def _check_name(name: str) -> None:
    if not is_repository(name):
        raise ConfigError(f"{shown(name)} is no folder, and no repository of the form owner/name")


def _require() -> None:
    if not installed("huggingface_hub"):
        raise MissingExtraError("huggingface_hub is not installed: pip install huggingface_hub")


def _endpoint() -> str | None:
    """Return the address that the user chose, also after huggingface_hub was imported; None for its own."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def _api() -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=_endpoint(), library_name="steersearch")


def _unreached(
    name: str, verb: str, raised: Exception, error: type[SteersearchError] = SteersearchError
) -> SteersearchError:
    status = getattr(getattr(raised, "response", None), "status_code", None)
    cure = "check the name and the network"
    if status in (401, 403):
        cure = "log in with `hf auth login`, or check the name"
    return error(f"{name} could not be {verb} on the Hugging Face hub ({_reason(raised)}): {cure}")


def _reason(raised: Exception) -> str:
    return first_line(str(raised).strip() or type(raised).__name__)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep progress bars of huggingface_hub off the terminal."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    were_off = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not were_off:
            enable_progress_bars()
