"""What is fuzzed: a maker of inputs, and a look that gives one to the product and checks what comes of it.

``python -m tests.adversary.fuzz_targets NAME FOLDER`` fuzzes one, as `test_parsers.py` does.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from steersearch.corpus import Corpus
from steersearch.corpus.formats import read_document
from steersearch.runtime import Bundle, Concept, SteerableIndex
from steersearch.runtime.bundle.feature_edits import atoms_digest, read_edits
from steersearch.runtime.bundle.features import read_features
from steersearch.runtime.bundle.manifest import Manifest, _digest
from steersearch.runtime.store.cache_files import UNREADABLE, read_sidecar

from ..corpus.making import pdf
from .fuzzing import BYTES, VALUES, Look, altered_bytes, altered_value, any_value, fuzz
from .hostile import BUNDLE
from .hostile_inputs import interpretation_lines, npz, reseal, reseal_cache


@dataclass(frozen=True)
class Place:
    """What a target works with: an opened bundle, an open index of three documents, an empty folder."""

    bundle: Bundle
    index: SteerableIndex
    folder: Path


@contextmanager
def opened_place(folder: Path) -> Iterator[Place]:
    bundle = Bundle.load(BUNDLE, threads=1)
    folder.mkdir(exist_ok=True)
    with SteerableIndex.create(folder / "documents", bundle) as index:
        index.add(["moon and star", "bread and cheese", "piano"], ["a", "b", "c"], [{"n": 1}, {"tag": ["x"]}, {}])
        yield Place(bundle, index, folder)


class Made(NamedTuple):
    """A target, ready to be fuzzed."""

    make: Callable[[random.Random], Any]
    look: Look
    valid: Any = None
    """What `make` alters."""


TARGETS: dict[str, Callable[[Place], Made]] = {}


def target(name: str) -> Callable[[Callable[[Place], Made]], Callable[[Place], Made]]:
    def add(made: Callable[[Place], Made]) -> Callable[[Place], Made]:
        TARGETS[name] = made
        return made

    return add


# Files of documents.

MARKDOWN = (
    b"---\ndate: 2024-05-01\n---\n# One #\n\n- a [link](x) and `code`\n\nTwo\n---\n> quote\n\n```py\n# no\n```\n"
    b"## Three\n| a | b |\n"
)
HTML = (
    b"<!DOCTYPE html><html><head><meta charset=utf-8><title>T &amp; U</title><style>x</style></head><body><h1>One"
    b"</h1><p>a <b>c</b> &eacute; &#233;<br>d</p><!-- no --><ul><li>e<li>f</ul><pre>g\n h</pre><script>if (a<b) {}"
    b"</script><![CDATA[x]]><?php x ?><table><tr><td>1</table><a href='x' b=\"c\">i</a></body></html>"
)
CSV = b'id,title,text,n\na,One,"moon, and ""star""",1\nb,,bread,2.5\nc,"x\ny",piano,007\n'
JSONL = b'{"id": "a", "title": "1", "text": "m", "metadata": {"n": 1}}\n\n{"_id": 2,"text": "bread", "x": [1, null]}\n'
FILES = {"md": MARKDOWN, "html": HTML, "txt": b"moon and star\nbread\n", "csv": CSV, "jsonl": JSONL}


def valid_file(suffix: str, folder: Path) -> bytes:
    if suffix.endswith(".gz"):
        return gzip.compress(FILES[suffix.removesuffix(".gz")])
    if suffix == "pdf":
        return pdf("moon and star", "bread\nsoup")
    if suffix == "parquet":
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        table = pa.table({"id": ["a", "b"], "text": ["moon", "bread"], "n": [1, 2]})
        parquet.write_table(table, folder / "valid.parquet")
        return (folder / "valid.parquet").read_bytes()
    return FILES[suffix]


def file_target(suffix: str) -> None:
    @target(f"file.{suffix}")
    def made(place: Place) -> Made:
        content, path = valid_file(suffix, place.folder), place.folder / f"a.{suffix}"

        def make(rng: random.Random) -> bytes:
            if suffix.endswith(".gz") and rng.random() < 0.7:
                return gzip.compress(altered_bytes(rng, gzip.decompress(content)), 1)
            return altered_bytes(rng, content)

        def look(given: bytes) -> None:
            path.write_bytes(given)
            assert all(document.text.strip() for document in Corpus.open(path).documents())
            place.index.add_from(path)

        return Made(make, look)


def token_target(suffix: str) -> None:
    """Add files put together from what parsers look for, and nothing else."""
    tokens = [*BYTES, b"<p>", b"<div>", b"</p>", b"<script>", b"<title>", b"=", b" ", b"\t", b"a", b"# ", b"* ", b"> "]
    tokens += [b"|", b"](", b"<table>", b"<svg>", b"<plaintext>", b"<textarea>", b"&", b";", b"--", b"]]>"]

    @target(f"tokens.{suffix}")
    def made(place: Place) -> Made:
        path = place.folder / f"a.{suffix}"

        def make(rng: random.Random) -> bytes:
            return b"".join(rng.choice(tokens) * rng.choice([1, 1, 2, 200]) for _ in range(rng.randint(1, 12)))

        def look(given: bytes) -> None:
            path.write_bytes(given)
            read_document(path, "a")

        return Made(make, look)


for suffix in (*FILES, "jsonl.gz", "csv.gz", "parquet", "pdf"):
    file_target(suffix)
for suffix in ("md", "html", "txt"):
    token_target(suffix)


# Bundles, with the right checksums.


@target("manifest")
def _manifest(place: Place) -> Made:
    valid = json.loads((BUNDLE / "manifest.json").read_text())
    del valid["manifest_sha256"]

    def look(given: Any) -> None:
        sealed = {**given, "manifest_sha256": _digest(given)} if isinstance(given, dict) else given
        Manifest.from_json(json.dumps(sealed))

    return Made(lambda rng: altered_value(rng, valid), look)


def bundle_target(name: str) -> None:
    @target(name)
    def made(place: Place) -> Made:
        folder = Path(shutil.copytree(BUNDLE, place.folder / "bundle"))
        valid = json.loads((BUNDLE / name).read_text())

        def look(given: Any) -> None:
            (folder / name).write_text(json.dumps(given))
            reseal(folder)
            opened = Bundle.load(folder, threads=1)
            opened.embed_query("moon and star")
            assert all(str(feature) for feature in opened.features)
            opened.features.search("moon", 3)
            Concept.from_text("a phrase of moons").resolve(opened)

        return Made(lambda rng: altered_value(rng, valid), look)


bundle_target("features.json")
bundle_target("tokenizer.json")


@target("features bytes")
def _features(place: Place) -> Made:
    content, path = (BUNDLE / "features.json").read_bytes(), place.folder / "features.json"

    def look(given: bytes) -> None:
        path.write_bytes(given)
        read_features(path, n_latents=48, d_in=16)

    return Made(lambda rng: altered_bytes(rng, content), look, content)


@target("edits")
def _edits(place: Place) -> Made:
    folder = Path(shutil.copytree(BUNDLE, place.folder / "bundle"))
    features = {"3": {"label": "sky", "hidden": True, "note": "n", "family": "f"}, "5": {"label": "sea"}}
    digest = atoms_digest(place.bundle.atoms)
    valid = {"format_version": 1, "n_latents": 48, "atoms_sha256": digest, "features": features}

    def look(given: Any) -> None:
        (place.folder / "bundle.edits.json").write_text(json.dumps(given))
        read_edits(folder, place.bundle.autoencoder)

    return Made(lambda rng: altered_value(rng, valid), look)


@target("interpretation")
def _interpretation(place: Place) -> Made:
    folder, lines = Path(shutil.copytree(BUNDLE, place.folder / "bundle")), interpretation_lines()

    def look(given: Any) -> None:
        text = "".join(json.dumps(line) + "\n" for line in given) if isinstance(given, list) else json.dumps(given)
        (folder / "interpretation.jsonl.gz").write_bytes(gzip.compress(text.encode(), 1))
        reseal(folder)
        Bundle.load(folder, threads=1).interpretation  # noqa: B018

    return Made(lambda rng: altered_value(rng, lines), look)


@target("token model")
def _token_model(place: Place) -> Made:
    from steersearch.runtime.interpret.storage import read_graph

    rows = {"tokens": np.arange(5, dtype=np.int32), "idf": np.ones(5), "table": np.ones((5, 16), np.int8)}
    valid = npz(format_version=np.int64(1), **rows, scale=np.ones(5, np.float32), slope=np.ones(48), offset=np.ones(48))
    facts: dict[str, Any] = {
        "interpretation": SimpleNamespace(entries=()),
        "manifest": SimpleNamespace(files=["tokens.npz"]),
    }
    bundle: Any = SimpleNamespace(path=place.folder, d_in=16, n_latents=48, **facts)

    def look(given: bytes) -> None:
        (place.folder / "tokens.npz").write_bytes(given)
        read_graph(bundle)

    return Made(lambda rng: altered_bytes(rng, valid), look, valid)


# What people and agents ask for.


def concept_target(kind: str) -> None:
    @target(f"concept {kind}")
    def made(place: Place) -> Made:
        path = place.folder / "concept.json"
        valid = {
            **{
                "name": "space",
                "source": "examples",
                "weights": {"f3 (rocket)": 1.0, "moon": -0.5},
                "phrase": "the sky",
            },
            **{"more_like": ["moon and star"], "less_like": ["bread"], "fit": 0.5, "evidence": None, "model": None},
        }
        content = json.dumps(valid).encode()

        def make(rng: random.Random) -> Any:
            return altered_bytes(rng, content) if kind == "bytes" else altered_value(rng, valid)

        def look(given: Any) -> None:
            path.write_bytes(given if isinstance(given, bytes) else json.dumps(given).encode())
            read = Concept.load(path, place.bundle)
            assert str(read.resolve(place.bundle))
            place.index.search("moon", 2, boost={read: 1.0}, view="hybrid", compare=True)

        return Made(make, look)


concept_target("values")
concept_target("bytes")


@target("filters")
def _filters(place: Place) -> Made:
    valid = {"$and": [{"n": {"$gte": 1, "$lt": 3}}, {"$or": [{"tag": "x"}, {"$not": {"tag": {"$in": ["a", 1]}}}]}]}

    def look(given: Any) -> None:
        hits = place.index.search("moon", 3, filter=given)
        if given:
            rest = place.index.search("moon", 3, filter={"$not": given})
            assert sorted(hit.id for hit in [*hits, *rest]) == ["a", "b", "c"]

    return Made(lambda rng: altered_value(rng, valid) if rng.random() < 0.5 else any_value(rng), look)


@target("requests")
def _requests(place: Place) -> Made:
    keys = ["moon", "f3", 3, "a phrase", "", "f99", -1, 10**30, None, True, 1.5, ("x",), "\ud800", "f" + "9" * 30, b"x"]

    def make(rng: random.Random) -> Any:
        request: dict[str, Any] = {}
        for name in rng.sample(["boost", "clamp", "keep", "protect", "steering"], rng.randint(1, 3)):
            some = {rng.choice(keys): rng.choice([1.0, *VALUES]) for _ in range(rng.randint(0, 3))}
            request[name] = some if name in ("boost", "clamp") and rng.random() < 0.8 else rng.choice(VALUES)
        if rng.random() < 0.4:
            name = rng.choice(["k", "view", "fusion", "text", "filter"])
            request[name] = rng.choice([*VALUES, "hybrid", {"dense": 1}])
        return {"query": rng.choice(["moon", "", *VALUES]), **request}

    def look(given: Any) -> None:
        options = dict(given)
        hits = place.index.search(options.pop("query", "moon"), **options)
        assert all(np.isfinite(hit.score) for hit in hits)

    return Made(make, look)


@target("documents in memory")
def _memory(place: Place) -> Made:
    def make(rng: random.Random) -> Any:
        some = [*VALUES, ["a", "b"], ["a"], [{}], [{"n": 1}, {}], {"n": 1}, np.eye(16, dtype=np.float32)[:2], np.eye(3)]
        names = rng.sample(["texts", "ids", "metadata", "embeddings"], rng.randint(1, 4))
        return {"texts": ["moon", "star"], **{name: rng.choice(some) for name in names}}

    def look(given: Any) -> None:
        before = len(place.index)
        try:
            ids = place.index.add(**given) if "texts" in given else []
        except Exception:
            assert len(place.index) == before, "refused, and yet something was added"
            raise
        place.index.delete(ids)

    return Made(make, look)


# Indexes.


def answers(index: SteerableIndex) -> list[Any]:
    return [
        (hit.id, hit.score, hit.text, hit.metadata)
        for view in ("dense", "latent", "words", "hybrid")
        for query in ("moon bread", "rose")
        for hit in index.search(query, 3, view=view)
    ]


@target("sidecars")
def _sidecars(place: Place) -> Made:
    """A sidecar with other values under the right checksum leaves every answer as it was, or is not used."""
    path = place.folder / "index"
    with SteerableIndex.create(path, place.bundle, backend="hnsw") as index:
        index.add([f"moon {word} star {i}" for i, word in enumerate("bread soup piano rose".split() * 20)])
        before = answers(index)
        index.save()
    files = {file.name: file.read_bytes() for file in (path / "cache").iterdir()}

    def make(rng: random.Random) -> Any:
        name = rng.choice([name for name in files if name.endswith(".json")])
        facts = json.loads(files[name])
        return [name, rng.choice([key for key in facts if key not in ("crc32", "sha256")]), rng.choice(VALUES)]

    def look(given: Any) -> None:
        if not isinstance(given, list) or len(given) != 3 or given[0] not in files:
            return
        name, key, value = given
        for other, content in files.items():
            (path / "cache" / other).write_bytes(content)
        reseal_cache(path / "cache", name, **{key: value})
        with SteerableIndex.open(path, bundle=place.bundle, readonly=True) as index:
            assert answers(index) == before

    return Made(make, look)


@target("sidecar bytes")
def _sidecar_bytes(place: Place) -> Made:
    content = json.dumps({"format_version": 3, "generation": 1, "sha256": {"a": "b"}, "crc32": 5}).encode()
    path = place.folder / "cache.json"

    def look(given: bytes) -> None:
        path.write_bytes(given)
        try:
            read_sidecar(path)
        except UNREADABLE:
            return

    return Made(lambda rng: altered_bytes(rng, content), look, content)


@target("database bytes")
def _database(place: Place) -> Made:
    """A database with altered bytes is refused, or answers as before."""
    with SteerableIndex.create(place.folder / "valid", place.bundle) as index:
        index.add([f"moon {i} star" for i in range(20)], [str(i) for i in range(20)], [{"n": i} for i in range(20)])
        before = answers(index)
    content, folder = (place.folder / "valid" / "documents.sqlite").read_bytes(), place.folder / "index"

    def look(given: bytes) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "documents.sqlite").write_bytes(given)
        with SteerableIndex.open(folder, bundle=place.bundle, readonly=True) as index:
            assert answers(index) == before

    return Made(lambda rng: altered_bytes(rng, content), look, content)


def main(name: str, folder: Path) -> None:
    with opened_place(folder / "place") as place:
        made = TARGETS[name](place)
        fuzz(name, made.make, made.look, folder / "counter")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
