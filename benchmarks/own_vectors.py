"""What wide vectors cost, and how far a drifted model is from a service's noise.

Run ``python benchmarks/own_vectors.py --help``.

`search`: an index of vectors alone, at each width and size, with each backend, in a process of its own. The vectors are
those of a file (float32, 384 numbers a row), turned into more dimensions by a random rotation, which changes no angle,
or random ones. `drift`: the median cosine of texts under one model in other precisions and batches, and under others.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent / "results" / "own_vectors.json"
QUERIES = 50
INSTRUCTION = "Represent this sentence for searching relevant passages: "


def rows_of(file: Path | None, count: int, width: int) -> np.ndarray:
    """Return unit rows, shape (count, width), float32."""
    chance = np.random.default_rng(0)
    if file is None:
        rows = chance.standard_normal((count, width), np.float32)
    else:
        flat = np.fromfile(file, "<f4", count * 384).reshape(-1, 384)
        if len(flat) < count:  # of what is missing, mixtures of two neighbours in the file
            mixed = flat[chance.integers(len(flat) - 1, size=count - len(flat))]
            mixed = mixed + 0.7 * flat[chance.integers(len(flat), size=len(mixed))]
            flat = np.concatenate([flat, mixed])
        rotation = np.linalg.qr(chance.standard_normal((width, 384)))[0].T.astype(np.float32)
        rows = flat if width == 384 else flat @ rotation
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def one(file: Path | None, count: int, width: int, backend: str, folder: Path) -> dict[str, float]:
    """Make an index, open it again, search it; return seconds, milliseconds and megabytes."""
    from steersearch.runtime import SteerableIndex

    rows = rows_of(file, count + QUERIES, width)
    start = time.perf_counter()
    with SteerableIndex.create(folder / "index", None, d_in=width, backend=backend) as index:
        for at in range(0, count, 4096):
            part = range(at, min(at + 4096, count))
            index.add([f"text {i}" for i in part], [str(i) for i in part], embeddings=rows[at : part.stop])
        index.save()
    added = time.perf_counter() - start
    queries = rows[count:].copy()
    exact = [set(np.argsort(-(rows[:count] @ query))[:10].tolist()) for query in queries]
    size = sum(path.stat().st_size for path in (folder / "index").rglob("*") if path.is_file())
    np.save(folder / "queries.npy", queries)
    done = subprocess.run([sys.executable, __file__, "read", str(folder), backend], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    read = json.loads(done.stdout)
    found = [{int(id) for id in ids} for ids in read.pop("ids")]
    recall = float(np.mean([len(a & b) / 10 for a, b in zip(exact, found, strict=True)]))
    return {"add_s": added, "disk_mb": size / 1e6, "recall": recall, **read}


def read(folder: Path, backend: str) -> dict[str, object]:
    """Open an index and search it, as a process of its own does."""
    from steersearch.runtime import SteerableIndex

    queries = np.load(folder / "queries.npy")
    before = {name: _memory(name) for name in ("VmRSS", "RssAnon")}
    start = time.perf_counter()
    with SteerableIndex.open(folder / "index", backend=backend, readonly=True) as index:
        index.search(queries[0], 10)
        first = time.perf_counter() - start
        times, ids = [], []
        for query in queries:
            start = time.perf_counter()
            hits = index.search(query, 10)
            times.append(time.perf_counter() - start)
            ids.append([hit.id for hit in hits])
        # Resident while it is open. Pages of mapped files are in it, which the system may take back; own memory is not.
        resident, own = (_memory(name) - at for name, at in before.items())
    times_ms = 1e3 * float(np.median(times))
    return {"first_s": first, "search_ms": times_ms, "resident_mb": resident, "own_mb": own, "ids": ids}


def _memory(name: str) -> float:
    """Return a figure of this process in MB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(name))


def drift(bundles: list[Path], data: Path) -> dict[str, dict[str, float]]:
    """Return the median and lowest cosine of 64 documents under the first bundle and with noise or under the others."""
    from steersearch.corpus import Corpus
    from steersearch.runtime import Bundle

    texts = [document.text for document in Corpus.open(data).documents()][:3200:50]
    first = Bundle.load(bundles[0], threads=1)
    rows = first.embed_documents(texts)
    kinds = {
        "one by one": np.concatenate([first.embed_documents([text]) for text in texts]),
        "16 bits": rows.astype(np.float16).astype(np.float32),
        "8 bits": np.round(rows * 127 / np.abs(rows).max()) / 127,
        "cut to 1,000 characters": first.embed_documents([text[:1000] for text in texts]),
        "first half of each text": first.embed_documents([text[: len(text) // 2] for text in texts]),
        "in lower case": first.embed_documents([text.lower() for text in texts]),
        "'passage: ' before each text": first.embed_documents([f"passage: {text}" for text in texts]),
        "an instruction before each text": first.embed_documents([f"{INSTRUCTION}{text}" for text in texts]),
    }
    for path in bundles[1:]:
        other = Bundle.load(path, threads=1)
        if other.d_in == first.d_in:
            kinds[path.name] = other.embed_documents(texts)
    found = {}
    for name, theirs in kinds.items():
        cosines = np.einsum("ij,ij->i", rows, theirs / np.linalg.norm(theirs, axis=1, keepdims=True))
        found[name] = {"median": round(float(np.median(cosines)), 4), "lowest": round(float(cosines.min()), 4)}
    return found


def main() -> None:
    """Run what the command line asks for, and add the figures to the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("search", "drift", "read"))
    parser.add_argument("rest", nargs="*", help="drift: bundles, the first one is compared with the others")
    parser.add_argument("--vectors", type=Path, help="search: float32 rows of 384 numbers; random ones by default")
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--widths", type=int, nargs="+", default=[384, 1536, 3072])
    parser.add_argument("--backends", nargs="+", default=["exact", "usearch-i8"])
    parser.add_argument("--data", type=Path, help="drift: documents")
    args = parser.parse_args()
    if args.what == "read":
        print(json.dumps(read(Path(args.rest[0]), args.rest[1])))
        return
    results = json.loads(OUT.read_text()) if OUT.exists() else {}
    if args.what == "drift":
        found = drift([Path(path) for path in args.rest], args.data)
        results.setdefault("drift", {})[Path(args.rest[0]).name] = found
        print(json.dumps(found, indent=2))
    else:
        kind = "real" if args.vectors else "random"
        print(f"{kind:7} {'backend':11} rows   width   add s  first s  search ms  MB held  disk MB  recall")
        for backend in args.backends:
            for size in args.sizes:
                for width in args.widths:
                    with tempfile.TemporaryDirectory() as folder:
                        made = one(args.vectors, size, width, backend, Path(folder))
                    results[f"{kind} {backend} {size} {width}"] = {k: round(v, 3) for k, v in made.items()}
                    figures = f"{made['add_s']:7.1f} {made['first_s']:8.2f} {made['search_ms']:10.2f}"
                    tail = f"{made['resident_mb']:8.0f} {made['disk_mb']:8.0f} {made['recall']:7.3f}"
                    print(f"{'':7} {backend:11} {size:6} {width:5} {figures} {tail}", flush=True)
                    OUT.parent.mkdir(exist_ok=True)
                    OUT.write_text(json.dumps(results, indent=1) + "\n")
    OUT.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
