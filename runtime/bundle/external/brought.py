"""`BroughtEmbedder`: an embedder from outside as the embedder of one bundle, checked, counted and cached."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from threading import RLock

import numpy as np

from ....arrays import FloatArray, IntArray
from ....errors import EmbedderError
from ....forks import renew_after_fork
from ..embedder import Progress, add_prefix, check_texts
from ..manifest import Manifest
from ..probes import read_probes
from .calls import Calls, Usage
from .external_embedder import ExternalEmbedder
from .plain_words import PlainWords
from .sources import Side, Source, source_of
from .vector_cache import DAY, key_of

logger = logging.getLogger(__name__)

SAME_MODEL = 0.98
"""Lowest median cosine of the probes and their vectors of old. On SciFact other models are below .2; half of each
text gives .94 with all-MiniLM-L6-v2, .98 with multilingual-e5-small (`drift` of benchmarks/own_vectors.py)."""
SUSPECT = 0.995
"""Below it there is a warning. Weights of 8 bits give .999; texts cut at 1,000 characters .994, an instruction in front
of them .984 and .9949. A short prompt gives .998 and more, which no limit tells from rounding."""


class BroughtEmbedder:
    """Implements `Embedder` for a bundle without one. Safe to use from several threads.

    At the first use the probes of the bundle are embedded, and compared with the vectors that they had when the model
    was trained. A check that succeeded is remembered for a day where vectors are kept on the disk.
    """

    def __init__(self, settings: ExternalEmbedder, manifest: Manifest, folder: Path) -> None:
        self._manifest, self._folder = manifest, folder
        self.source: Source = source_of(settings.embedder, manifest.embedder["id"])
        self._words = PlainWords()
        theirs = settings.embedder
        self._own_tokens = theirs if hasattr(theirs, "tokenise") and hasattr(theirs, "token_text") else self._words
        width = manifest.d_in
        expected = f"{folder} was made with {width:,}{self._made_by()}"
        # The probes belong to it: a model that changed under its name must not find the vectors of the one before.
        self._calls = Calls(settings, self.source, width, manifest.embedder_digest, expected)
        self._checked = False
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Replace the lock, which another thread may have held."""
        self._checking = RLock()

    @property
    def name(self) -> str:
        """What embeds, for messages."""
        return self.source.name

    @property
    def usage(self) -> Usage:
        """What was asked of it in this process."""
        return self._calls.usage

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> FloatArray:
        """Embed texts as documents: unit rows, shape (n, d_in), float32.

        Raises:
            DataError: Not a list of valid texts.
            EmbedderError: The embedder fails, is another one than the bundle's, or would exceed a limit.
        """
        return self._embed("documents", texts, progress)

    def embed_queries(self, texts: Sequence[str], *, progress: Progress | None = None) -> FloatArray:
        """Embed texts as queries; see `embed_documents`."""
        return self._embed("queries", texts, progress)

    def prefetch(self, documents: Sequence[str] = (), queries: Sequence[str] = ()) -> None:
        """Embed texts that are needed in a moment by as few calls as possible, and keep their vectors.

        Errors as in `embed_documents`.
        """
        sides = {"documents": list(documents), "queries": list(queries)}
        if not self._two_sided:
            sides = {"documents": [*sides["documents"], *sides["queries"]]}
        for side, texts in sides.items():
            if texts:
                self._embed(side, texts, None)

    def tokenise(self, texts: Sequence[str]) -> list[IntArray]:
        """Return the token ids of texts, those of the embedder where it has any: else `PlainWords.tokenise`."""
        return self._own_tokens.tokenise(texts)

    def token_text(self, token: int) -> str:
        """Return the text of a token; empty for an unknown id."""
        return self._own_tokens.token_text(token)

    def calls_for(self, texts: int) -> int:
        """Return the calls that embedding so many texts of ordinary length takes, none of them cached."""
        return sum(1 for _ in self.source.batches([""] * texts))

    @property
    def _two_sided(self) -> bool:
        prefixes = self.source.prefixed and self._manifest.query_prefix != self._manifest.document_prefix
        return self.source.two_sides or prefixes

    def _embed(self, side: Side, texts: Sequence[str], progress: Progress | None) -> FloatArray:
        texts = check_texts(texts)
        if self.source.prefixed:
            manifest = self._manifest
            texts = list(add_prefix(manifest.query_prefix if side == "queries" else manifest.document_prefix, texts))
        place = side if self._two_sided else ""
        return self._calls.embed(texts, side, place, progress, self._check_model)

    def _check_model(self) -> None:
        """Compare the probes with their vectors of old, once."""
        if self._checked:
            return
        with self._checking:
            if self._checked:
                return
            probes = read_probes(self._folder, self._manifest.d_in)
            disk, key = self._calls.disk, key_of(self._calls.space, "probes", "")
            if disk is None or not disk.checked(key, DAY):
                texts = list(probes.texts)
                if self.source.prefixed:
                    texts = list(add_prefix(self._manifest.document_prefix, texts))
                cosines = np.einsum("ij,ij->i", self._calls.embed_anew(texts, "documents"), probes.vectors)
                median = float(np.median(cosines))
                if not median >= SAME_MODEL:
                    raise EmbedderError(
                        f"{self.name} embeds other than {self._folder} was made with{self._made_by()}: of its "
                        f"{len(cosines)} remembered texts the vectors agree by a median cosine of "
                        f"{median:.3f}, expected at least {SAME_MODEL}: bring that model, or train and "
                        "index again with this one"
                    )
                if median < SUSPECT:
                    logger.warning(
                        "%s embeds a little other than %s was made with%s: the vectors of %d remembered texts agree by "
                        "a median cosine of %.3f; check its revision, its prompt and where it cuts long texts",
                        self.name,
                        self._folder,
                        self._made_by(),
                        len(cosines),
                        median,
                    )
                if disk is not None:
                    disk.check(key)
            self._checked = True

    def _made_by(self) -> str:
        name = self._manifest.embedder["id"]
        return f" ({name})" if name else ""
