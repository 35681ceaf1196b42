"""What a document costs: embedding, encoding, merging, disk and memory; the figures of docs/scale.md.

    python -m benchmarks.scale --bundle demo/bundle [--small 10000] [--large 40000]

Embeds texts of Python's own documentation on one thread and counts CPU seconds, so that a busy machine hardly matters.
The large indexes hold those vectors with noise, each with a text of its own, since only their sizes and times count.
Writes benchmarks/results/scale.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from steersearch.corpus import python_documentation
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.ingest.documents import batches, chunker_for
from steersearch.runtime.ingest.shards import embed_shard

RESULTS = Path(__file__).parent / "results" / "scale.json"
TEXTS = 512
SEARCH = """
import json, sys, time
from pathlib import Path
import numpy as np
from steersearch.runtime import SteerableIndex
folder, bundle, backend = sys.argv[1:]
started = time.perf_counter()
with SteerableIndex.open(folder, bundle=bundle, backend=backend, readonly=True) as index:
    queries = index.sample(64)[0]
    index.search(queries[0], 10)
    opened = time.perf_counter() - started
    times = []
    for query in queries:
        begun = time.process_time()
        index.search(query, 10)
        times.append(1000 * (time.process_time() - begun))
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = int(status["VmHWM"].split()[0]) / 1024  # the peak that getrusage gives begins with the parent's
print(json.dumps({"open_s": opened, "search_ms": float(np.median(times)), "peak_mb": peak}))
"""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--small", type=int, default=10_000, help="documents of the smaller index")
    parser.add_argument("--large", type=int, default=40_000, help="documents of the larger index")
    args = parser.parse_args()
    bundle = Bundle.load(args.bundle, threads=1)
    documents = list(python_documentation().documents())[:: 5859 // TEXTS][:TEXTS]
    found = [d for batch in batches(((0, d) for d in documents), chunker_for(bundle)) for d in batch.documents]
    texts = [document.text for document in found]
    manifest = bundle.manifest
    report: dict[str, Any] = {
        "machine": platform.machine(),
        "model": {"d_in": bundle.d_in, "n_latents": bundle.n_latents, "k": bundle.k, "precision": manifest.precision},
        "chunks": len(texts),
        "characters": round(float(np.mean([len(text) for text in texts])), 1),
        "tokens": round(float(np.mean([len(row) for row in bundle.tokenise(texts)])), 1),
    }
    bundle.embed_documents(texts[:32])
    begun = time.process_time()
    vectors = bundle.embed_documents(texts)
    report["embed_chunks_per_core_second"] = round(len(texts) / (time.process_time() - begun), 2)
    begun = time.process_time()
    for _ in range(4):
        bundle.encode(vectors)
    report["encode_chunks_per_core_second"] = round(4 * len(texts) / (time.process_time() - begun))
    with tempfile.TemporaryDirectory() as folder:
        report |= shard_figures(Path(folder), bundle, texts)
        report["indexes"] = [
            index_figures(Path(folder), bundle, vectors, count, backend)
            for backend in ("exact", "hnsw")
            for count in (args.small, args.large)
        ]
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def shard_figures(folder: Path, bundle: Bundle, texts: list[str]) -> dict[str, float]:
    """Bytes per chunk in a shard and in a database, and how fast shards are merged."""
    source = folder / "docs.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    place, shard = embed_shard(source, bundle, folder / "shards", chunk_tokens=0)
    with SteerableIndex.create(folder / "merged", bundle) as index:
        begun = time.process_time()
        index.merge([place])
        seconds = time.process_time() - begun
        database = index.stats().database_bytes
    size = sum(path.stat().st_size for path in place.glob("*.npz"))
    return {
        "shard_bytes_per_chunk": round(size / shard.documents, 1),
        "database_bytes_per_chunk": round(database / shard.documents, 1),
        "merge_chunks_per_core_second": round(shard.documents / seconds),
    }


def index_figures(folder: Path, bundle: Bundle, vectors: np.ndarray, count: int, backend: Any) -> dict[str, Any]:
    """Sizes and times of an index of so many documents, searched by a process of its own."""
    rng = np.random.default_rng(0)
    rows = vectors[rng.integers(len(vectors), size=count)]
    rows = rows + 0.5 * rng.standard_normal(rows.shape, np.float32) / np.sqrt(bundle.d_in)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    path = folder / f"{backend}-{count}"
    with SteerableIndex.create(path, bundle, backend=backend) as index:
        begun = time.process_time()
        index.add([f"text {i}" for i in range(count)], [str(i) for i in range(count)], embeddings=rows)
        seconds = time.process_time() - begun
        stats = index.stats()
    command = [sys.executable, "-c", SEARCH, str(path), str(bundle.path), backend]
    searched = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {
        "documents": count,
        "backend": backend,
        "build_core_seconds": round(seconds, 1),
        "cache_bytes_per_document": round(stats.cache_bytes / count, 1),
        **{name: round(value, 2) for name, value in searched.items()},
    }


if __name__ == "__main__":
    main()
