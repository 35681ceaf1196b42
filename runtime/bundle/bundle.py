"""A bundle: the exported folder, opened for use without torch."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from ...arrays import FloatArray, IntArray
from ...files import absolute, nearby
from ...forks import never_free, renew_after_fork, renew_cached_properties
from ...text import described, shown
from .address_space import check_address_space
from .autoencoder import Autoencoder
from .embedder import Embedder, Progress
from .embedder_kinds import find_opener
from .external.bring import bring, check_brought
from .fast_queries.storage import check_table, read_table
from .fast_queries.table import Queries, QueryTable, check_queries
from .feature_edits import read_edits, with_edits
from .features import Features, read_features
from .interpretation import Interpretation, read_interpretation_file
from .manifest import FEATURES, INTERPRETATION, NO_EMBEDDER, TOKENIZER, Manifest, check_size, read_manifest
from .onnx_session import MemoryProfile, check_profile, check_threads
from .passage_words import PassageWords
from .reading import OpenedFiles
from .token_parts import TokenParts
from .write import recover

CACHED_QUERIES = 128
"""Queries whose embeddings are kept in memory, 200 kB at 384 dimensions."""


class Bundle:
    """Embedder, encoder, decoder and features of one exported model. Opened with `load`.

    Safe to use from several threads. Graphs are opened on first use.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        threads: int | None = None,
        profile: MemoryProfile = "fast",
        *,
        files: OpenedFiles | None = None,
        embedder: Any = None,
        queries: Queries = "transformer",
    ) -> None:
        self._brought = check_brought(embedder, manifest, path)
        self.path, self.manifest = path, manifest
        """Facts about the model, its files and its parity with torch, as recorded by export."""
        self.d_in, self.n_latents, self.k = manifest.d_in, manifest.n_latents, manifest.k
        self.profile: MemoryProfile = profile
        self.queries: Queries = queries
        """What embeds one query: see `load`."""
        self.files = (files or OpenedFiles(path)).listed(manifest)
        """The files as they were when the bundle was opened."""
        self.autoencoder = Autoencoder(
            path, d_in=self.d_in, n_latents=self.n_latents, k=self.k, threads=threads, profile=profile, files=self.files
        )
        self._open_embedder, self._threads = find_opener(manifest, path), threads
        self._embed_query = lru_cache(CACHED_QUERIES)(self._embed_one_query)
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Open the graphs again in a forked child, which has no threads of the parent's sessions."""
        for owner, name in ((self, "embedder"), (self.autoencoder, "_encoder"), (self.autoencoder, "_decoder")):
            if name in vars(owner):
                never_free(vars(owner).pop(name))
        for kind in (Bundle, Autoencoder):
            renew_cached_properties(kind)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by path: the copy is opened again, where it is used."""
        return _load, (self.path, self._threads, self.profile, self._brought, self.queries)

    def __repr__(self) -> str:
        # The cached features only: a repr opens no file.
        features = vars(self).get("features")
        labels = f"{sum(1 for f in features if f.label):,} labelled" if features is not None else ""
        model = self.manifest.embedder.get("id") or f"{self.d_in} dimensions"
        return described("Bundle", shown(nearby(self.path), 90), f"{self.n_latents:,} latents of {model}", labels)

    def _repr_html_(self) -> str:
        from ...display.places import facts_html

        embedder = self.manifest.embedder.get("id") or "unknown"
        labelled = f"{sum(1 for f in self.features if f.label):,} with a label"
        facts = {
            "folder": nearby(self.path),
            "embedder": f"{embedder}, {self.d_in} dimensions, {self.manifest.precision}",
            "latents": f"{self.n_latents:,}, of which a text has {self.k}; {labelled}",
        }
        return facts_html("Bundle", facts)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        verify: bool = True,
        threads: int | None = None,
        profile: MemoryProfile = "fast",
        embedder: Any = None,
        queries: Queries = "transformer",
    ) -> Bundle:
        """Open a bundle.

        Args:
            path: The folder that ``sae-export`` wrote.
            verify: Compare the checksum of every file; False opens faster and compares only sizes. With
                ``queries="fast"`` files that a plain search does not open are compared when they are opened.
            threads: CPU threads per graph; by default all usable ones, or one when `lean`.
            profile: ``fast``, or ``lean`` for the least memory; embeddings are the same up to rounding.
            embedder: What embeds texts for a bundle without an embedder: an address like
                ``https://api.openai.com/v1``, embeddings of LangChain, a function from texts to vectors, or one of
                these with limits; see `ExternalEmbedder`.
            queries: What `embed_query` takes: ``transformer``, the embedder; ``fast``, the table of `sae fast-queries`,
                which needs no onnxruntime; ``auto``, the table where it knows all words and expects to be close to
                the embedder. Documents and phrases are always embedded by the embedder.

        Raises:
            ConfigError: An unknown profile or `queries`, no table for fast queries, `threads` is below 1, an embedder
                for a bundle that has one, or a limit of the address space (``ulimit -v``) that is too low for it.
            BundleError: The folder is missing or incomplete, or its embedder is of an unknown kind.
            FormatVersionError: It was written by a newer steersearch.
            ChecksumError: A file was altered.
        """
        # Graphs are opened later, perhaps in another working directory.
        folder = absolute(path)
        check_profile(profile)
        check_threads(threads)
        check_queries(queries)
        recover(folder)
        files = OpenedFiles(folder)
        # A plain search with the table opens neither graphs nor labels: what is not opened is not read.
        unread = _not_searched if queries == "fast" else None
        manifest = read_manifest(folder, verify=verify, later=unread)
        if unread and verify:
            files.compare_when_opened([name for name in manifest.files if unread(name)])
        if queries != "transformer":
            check_table(folder, manifest)
        if queries != "fast":
            check_address_space(manifest)
        bundle = cls(folder, manifest, threads, profile, files=files, embedder=embedder, queries=queries)
        check_size(folder, manifest)
        # A damaged bundle fails here and not in the first search.
        if queries != "fast":
            bundle.features  # noqa: B018
        return bundle

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        revision: str | None = None,
        *,
        out: str | Path | None = None,
        threads: int | None = None,
        profile: MemoryProfile = "fast",
    ) -> Bundle:
        """Open a bundle of the Hugging Face hub: download it the first time. Nothing else in the runtime downloads.

        Files that the manifest lists are taken and no others, and each is compared with its checksum.

        Args:
            name: ``owner/name`` of a repository, or a folder, which is opened as by `load`.
            revision: Branch, tag or commit; ``main`` by default. Give a commit to get the same bundle for ever.
            out: A new folder for it; by default one in the cache of steersearch. After an error it is not there.
            threads: As for `load`.
            profile: As for `load`.

        Raises:
            ConfigError: `name` is neither a folder nor ``owner/name``, or `revision` is none.
            MissingExtraError: huggingface_hub is not installed.
            BundleError: The hub cannot be reached or has no such bundle, or it is malformed; `out` is there already.
            ChecksumError: A file is not the one that the manifest lists.
        """
        from .sharing import fetch_bundle

        local = Path(name).expanduser()
        folder = local if local.is_dir() else fetch_bundle(str(name), revision, out)
        return cls.load(folder, threads=threads, profile=profile)

    def save_pretrained(self, folder: str | Path, *, passages: bool = False, overwrite: bool = False) -> Path:
        """Write a copy for others, with a model card, and return its folder.

        Args:
            folder: A new folder.
            passages: Keep passages of your documents and queries, which are examples of features. Words stay anyway. A
                bundle without an embedder cannot do without: it knows its embedder by a few texts.
            overwrite: Replace a bundle that is there.

        Raises:
            ConfigError: The bundle has no embedder, and `passages` is False.
            BundleError: `folder` must not be replaced.
            StorageError: The disk is full or cannot be written.
        """
        from .sharing import copy_bundle

        with self.files.unchanged(*self.manifest.files):
            return copy_bundle(self.path, self.manifest, folder, passages=passages, overwrite=overwrite)

    def push_to_hub(
        self,
        repo: str,
        *,
        passages: bool = False,
        private: bool = True,
        revision: str | None = None,
        message: str = "A steersearch bundle",
    ) -> str:
        """Send a copy to the Hugging Face hub in one commit, which is returned; you must be logged in there.

        Args:
            repo: ``owner/name``; made when it is not there.
            passages: As for `save_pretrained`.
            private: Of a repository that is made now.
            revision: A branch that is there; ``main`` by default.
            message: Of the commit.

        Raises:
            ConfigError: `repo` has another form, HF_HUB_OFFLINE is set, or as for `save_pretrained`.
            MissingExtraError: huggingface_hub is not installed.
            BundleError: The hub cannot be reached, or does not allow it.
        """
        from .sharing import push_bundle

        with self.files.unchanged(*self.manifest.files):
            return push_bundle(
                self.path,
                self.manifest,
                repo,
                passages=passages,
                private=private,
                revision=revision,
                message=message,
            )

    @property
    def origin(self) -> dict[str, str] | None:
        """`repo`, `commit` and `revision` of a bundle of the hub; None for another one."""
        from .sharing import read_origin

        return read_origin(self.path, self.manifest)

    def embed_documents(self, texts: list[str], *, progress: Progress | None = None) -> FloatArray:
        """Embed texts as documents: unit rows, shape (n, d_in), float32; see `Embedder`."""
        return self.embedder.embed_documents(texts, progress=progress)

    def embed_queries(self, texts: list[str], *, progress: Progress | None = None) -> FloatArray:
        """Embed texts as queries: unit rows, shape (n, d_in), float32; see `Embedder`."""
        return self.embedder.embed_queries(texts, progress=progress)

    def embed_query(self, text: str) -> FloatArray:
        """Embed one query, shape (d_in,), read-only; the last ones are cached, since queries are often repeated.

        Raises:
            DataError: Not a valid text.
        """
        return self._embed_query(text)

    def prefetch(self, documents: list[str], queries: list[str]) -> None:
        """Embed texts that are needed in a moment by as few calls of an embedder from outside as possible."""
        prefetch = getattr(self.embedder, "prefetch", None)
        if prefetch is not None:
            prefetch(documents, queries)

    def document_parts(self, texts: list[str]) -> list[TokenParts] | None:
        """Return what each token of documents adds to their embeddings, as `embed_documents` makes them.

        None where an embedding is not known as a sum over tokens: with another pooling than the mean, with an embedder
        from outside, and in a bundle whose graph has no second output (`export/token_vectors.py`).
        """
        parts = getattr(self.embedder, "document_parts", None)
        found: list[TokenParts] | None = None if parts is None else parts(texts)
        return found

    embed = embed_documents
    """Short name of `embed_documents`. For a model without prefixes, documents and queries are embedded alike."""

    def clear_cache(self) -> None:
        """Empty the cache of `embed_query`, for a measurement of its time."""
        self._embed_query.cache_clear()

    def tokenise(self, texts: list[str]) -> list[IntArray]:
        """Return the token ids of texts, cut at the embedder's maximal length: `Embedder.tokenise`."""
        return self.embedder.tokenise(texts)

    def token_text(self, token: int) -> str:
        """Return the text of a token; empty for an unknown id."""
        return self.embedder.token_text(token)

    def encode(self, embeddings: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the sparse codes of unit embeddings, strongest latents first: `Autoencoder.encode`."""
        return self.autoencoder.encode(embeddings)

    def decode(self, indices: IntArray, values: FloatArray) -> FloatArray:
        """Reconstruct embeddings, shape (n, d_in), float32, from sparse codes: `Autoencoder.decode`."""
        return self.autoencoder.decode(indices, values)

    @property
    def embeds(self) -> bool:
        """Whether texts can be embedded: the bundle has an embedder, or one was brought."""
        return self.manifest.embedder_kind != NO_EMBEDDER or self._brought is not None

    def uses(self, embedder: object) -> bool:
        """Whether texts are embedded by this object, which was brought."""
        return self._brought is not None and (embedder is self._brought or embedder is self._brought.embedder)

    def with_embedder(self, embedder: Any) -> Bundle:
        """Open a bundle without an embedder once more, with one; see `load`."""
        how: dict[str, Any] = {"threads": self._threads, "profile": self.profile, "queries": self.queries}
        return Bundle.load(self.path, embedder=embedder, **how)

    @property
    def brings(self) -> bool:
        """Whether the embedder is one from outside, for which every call may cost money and a tenth of a second."""
        return self._brought is not None

    @property
    def b_dec(self) -> FloatArray:
        """The decoder's bias, shape (d_in,): the reconstruction of an empty code."""
        return self.autoencoder.b_dec

    @property
    def atoms(self) -> FloatArray:
        """W_dec, unit rows, shape (n_latents, d_in), float32: one direction per latent."""
        return self.autoencoder.atoms

    @cached_property
    def features(self) -> Features:
        """Label and statistics of each latent, with the users' edits; a BundleError when either cannot be used."""
        with self.files.unchanged(FEATURES):
            features, mean = read_features(self.path / FEATURES, n_latents=self.n_latents, d_in=self.d_in)
        model = (self.embed_documents, self.autoencoder, self._companions)
        unedited = Features(features, mean, *model, passages=self._passages, by_meaning=self.embeds)
        edits = read_edits(self.path, self.autoencoder)
        return with_edits(unedited, edits) if edits else unedited

    @cached_property
    def interpretation(self) -> Interpretation | None:
        """Interpretation of each latent by `sae features label`; None without one, a BundleError for a damaged one."""
        if INTERPRETATION not in self.manifest.files:
            return None
        with self.files.unchanged(INTERPRETATION):
            return read_interpretation_file(self.path / INTERPRETATION, self.n_latents)

    def _companions(self, latent: int) -> dict[int, float]:
        return dict(self.interpretation.entries[latent].companions) if self.interpretation else {}

    def _passages(self) -> PassageWords | None:
        return self._passage_words

    @cached_property
    def _passage_words(self) -> PassageWords | None:
        return PassageWords(self.interpretation.entries) if self.interpretation else None

    def _embed_one_query(self, text: str) -> FloatArray:
        row = self._fast_row(text) if self.queries != "transformer" else None
        if row is None:
            row = self.embed_queries([text])[0]
        row.flags.writeable = False
        return row

    def _fast_row(self, text: str) -> FloatArray | None:
        """Return the table's vector of a query; None where the embedder is to be asked."""
        row, cosine = self.query_table.embed_sure(text)
        return row if self.queries == "fast" or self.query_table.is_sure(text, cosine) else None

    @cached_property
    def query_table(self) -> QueryTable:
        """The table of fast queries; a ConfigError without one, a BundleError for a damaged one."""
        return read_table(self.path, self.manifest, self.files)

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder, opened on first use; a BundleError when it cannot be opened.

        One that refuses texts in a bundle without an embedder to which none was brought.
        """
        # Its own files, which begin with this, and the tokenizer.
        names = (TOKENIZER, *(name for name in self.manifest.files if name.startswith("embedder.")))
        with self.files.unchanged(*names):
            if self._brought is not None:
                return bring(self._brought, self.manifest, self.path)
            return self._open_embedder(self.path, self.manifest, self._threads, self.profile)


def _not_searched(name: str) -> bool:
    """Return whether a plain search with the table of fast queries does without a file; all are checked when opened."""
    return name.startswith(("embedder.", "encoder.", "decoder.")) or name in (FEATURES, INTERPRETATION)


def _load(path: Path, threads: int | None, profile: MemoryProfile, embedder: Any, queries: Queries) -> Bundle:
    return Bundle.load(path, threads=threads, profile=profile, embedder=embedder, queries=queries)
