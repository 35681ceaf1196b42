"""`MissingEmbedder`: what a bundle without an embedder has until somebody brings one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ....arrays import FloatArray, IntArray
from ....errors import ConfigError
from ..embedder import Progress
from ..manifest import Manifest
from ..onnx_session import MemoryProfile
from .plain_words import PlainWords


class MissingEmbedder:
    """Tokenises texts and refuses to embed them, with the cure."""

    def __init__(self, folder: Path, name: str | None) -> None:
        self._folder, self._name = folder, name
        self._words = PlainWords()

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> FloatArray:
        """Raise a ConfigError that says how to bring an embedder."""
        self._refuse()

    def embed_queries(self, texts: Sequence[str], *, progress: Progress | None = None) -> FloatArray:
        """Raise a ConfigError that says how to bring an embedder."""
        self._refuse()

    def tokenise(self, texts: Sequence[str]) -> list[IntArray]:
        """Return the token ids of texts: `PlainWords.tokenise`."""
        return self._words.tokenise(texts)

    def token_text(self, token: int) -> str:
        """Return the text of a token: `PlainWords.token_text`."""
        return self._words.token_text(token)

    def _refuse(self) -> NoReturn:
        made = f" ({self._name})" if self._name else ""
        raise ConfigError(
            f"{self._folder} has no embedder, so it embeds no texts: bring the one that made its vectors{made}, with "
            "embedder= in Python or --embedder-url on the command line; or give vectors"
        )


def open_missing(folder: Path, manifest: Manifest, threads: int | None, profile: MemoryProfile) -> MissingEmbedder:
    """Open what a bundle of the kind `none` has in the place of an embedder."""
    return MissingEmbedder(folder, manifest.embedder["id"])
