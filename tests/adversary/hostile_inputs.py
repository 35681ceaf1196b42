"""Makes hostile files, folders, bundles and indexes, and gives them to the product."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from .hostile import BUNDLE, Ended, sae

GOOD = "the moon and a rocket"


# Documents


def indexed(name: str, content: bytes | str) -> Callable[[Path], dict[str, Any]]:
    """Index a folder of a good file and this one; give the ids that are there, and the files named as unread."""

    def run(folder: Path) -> dict[str, Any]:
        data = folder / "data"
        data.mkdir()
        (data / "good.txt").write_text(GOOD)
        (data / name).write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
        return index_folder(data)

    return run


def index_folder(data: Path) -> dict[str, Any]:
    from steersearch.corpus import Corpus

    with new_index(data.parent / "index") as index:
        corpus = Corpus.open(data)
        index.add_from(corpus)
        ids, texts, _ = index.documents()
        return {"ids": ids, "texts": texts, "problems": dict(corpus.problems)}


def read_or_named(name: str) -> Callable[[dict[str, Any]], bool]:
    """Return whether the good file was read, and the other one too or it is named at the end."""

    def met(found: dict[str, Any]) -> bool:
        read = {id.partition("#")[0] for id in found["ids"]}
        return "good.txt" in read and (name in read) != (name in found["problems"])

    return met


def named(name: str) -> Callable[[dict[str, Any]], bool]:
    """Return whether the good file was read, and the other one is named at the end."""
    return lambda found: "good.txt" in found["ids"] and name in found["problems"]


def rows_of(name: str, content: bytes | str, text_column: str | None = None) -> Callable[[Path], list[Any]]:
    """Read a file of rows as (id, text, metadata)."""

    def run(folder: Path) -> list[Any]:
        from steersearch.corpus import Corpus

        path = folder / name
        path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
        return [(d.id, d.text, dict(d.metadata)) for d in Corpus.open(path, text_column=text_column).documents()]

    return run


def metadata_of(name: str, content: bytes | str, text_column: str | None = None) -> Callable[[Path], list[Any]]:
    """Read a file of rows and give their metadata."""
    return lambda folder: [metadata for _, _, metadata in rows_of(name, content, text_column)(folder)]


def parquet(columns: Callable[[], dict[str, Any]]) -> Callable[[Path], list[Any]]:
    """Write columns as Parquet, read them as metadata."""

    def run(folder: Path) -> list[Any]:
        import pyarrow as pa
        from pyarrow import parquet as pq

        from steersearch.corpus import Corpus

        pq.write_table(pa.table(columns()), folder / "rows.parquet")
        return [dict(document.metadata) for document in Corpus.open(folder / "rows.parquet").documents()]

    return run


def gzip_bomb(gigabytes: float, piece: bytes, head: bytes = b"", tail: bytes = b"") -> bytes:
    """Return a small gzip file of one repeated piece: members follow each other and are unpacked as one stream."""
    block = piece * (2**24 // len(piece))
    return gzip.compress(head) + gzip.compress(block, 1) * round(gigabytes * 64) + gzip.compress(tail)


def with_files(folder: Path, files: dict[bytes, bytes]) -> Path:
    data = folder / "data"
    data.mkdir()
    (data / "good.txt").write_text(GOOD)
    for name, content in files.items():
        with open(os.fsencode(data) + b"/" + name, "wb") as file:
            file.write(content)
    return data


# Indexes


def new_index(path: Path, **options: Any) -> Any:
    from steersearch.runtime import Bundle, SteerableIndex

    return SteerableIndex.create(path, Bundle.load(BUNDLE, threads=1), **options)


def open_index(path: Path, **options: Any) -> Any:
    from steersearch.runtime import Bundle, SteerableIndex

    return SteerableIndex.open(path, bundle=Bundle.load(BUNDLE, threads=1), **options)


def with_index(act: Callable[[Any], Any], **options: Any) -> Callable[[Path], Any]:
    """Do something with an open index of 12 documents, d0 to d11."""

    def run(folder: Path) -> Any:
        with filled(folder / "index", **options) as index:
            return act(index)

    return run


def filled(path: Path, count: int = 12, **options: Any) -> Any:
    words = "moon planet star rocket orbit piano guitar violin bread cheese apple soup".split()
    texts = [f"{words[i % 12]} {words[(i * 5 + i // 12) % 12]} {words[i // 144 % 12]}" for i in range(count)]
    index = new_index(path, **options)
    index.add(texts, [f"d{i}" for i in range(count)], [{"n": i, "tag": "ab"[i % 2]} for i in range(count)])
    return index


def spoilt_index(
    spoil: Callable[[Path], object], count: int = 12, **options: Any
) -> Callable[[Path], list[tuple[str, float]]]:
    """Spoil a closed index with its caches, open it, and give what four searches find."""

    def run(folder: Path) -> list[tuple[str, float]]:
        path = folder / "index"
        with filled(path, count, **options) as index:
            searches(index)
        spoil(path)
        with open_index(path) as index:
            return searches(index)

    return run


def searches(index: Any) -> list[tuple[str, float]]:
    found = []
    for view in ("dense", "latent", "words", "hybrid"):
        found += [(hit.id, hit.score) for hit in index.search("moon rocket bread", 5, view=view)]
    return found


def same_as_before(count: int = 12, **options: Any) -> Callable[[list[Any]], bool]:
    """Return whether the searches of `spoilt_index` found what those of a whole index find."""

    def met(found: list[Any]) -> bool:
        with filled(Path("whole"), count, **options) as index:
            return found == searches(index)

    return met


def execute(path: Path, *statements: str) -> None:
    """Run SQL in the database of a closed index."""
    database = sqlite3.connect(path / "documents.sqlite", isolation_level=None)
    for statement in statements:
        database.execute(statement)
    database.close()


def reseal_cache(folder: Path, sidecar: str, **facts: Any) -> None:
    """Write the checksums of a cache again, as somebody can who may write the files."""
    values = json.loads((folder / sidecar).read_text())
    del values["crc32"]
    values |= facts
    values["sha256"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in values["sha256"]}
    values["crc32"] = zlib.crc32(json.dumps(values, sort_keys=True).encode())
    (folder / sidecar).write_text(json.dumps(values))


# Bundles


def with_bundle(change: Callable[[Path], object], use: Callable[[Path], Any] | None = None) -> Callable[[Path], Any]:
    """Copy the tiny bundle, change it, give every file its new checksum, and use it."""

    def run(folder: Path) -> Any:
        copy = copied_bundle(folder)
        change(copy)
        reseal(copy)
        return (use or use_bundle)(copy)

    return run


def copied_bundle(folder: Path) -> Path:
    return Path(shutil.copytree(BUNDLE, folder / "bundle"))


def use_bundle(path: Path) -> Any:
    """Do with a bundle what an index and a person do with it."""
    from steersearch.runtime import Bundle, SteerableIndex

    bundle = Bundle.load(path, threads=1)
    with SteerableIndex.create(path.parent / "index", bundle) as index:
        index.add([GOOD, "bread and cheese in the kitchen"], ["a", "b"])
        hits = index.search("star", 2, boost={3: 1.0}, view="hybrid", compare=True)
        index.explain("star", "a", boost={"a phrase of moons": 1.0})
        assert bundle.interpretation is None or bundle.interpretation.entries
        assert all(str(feature) for feature in bundle.features)
        return [hit.id for hit in hits]


def reseal(bundle: Path, **changes: Any) -> None:
    """Write the manifest again for the files that are in the folder, and with other values."""
    path = bundle / "manifest.json"
    values = json.loads(path.read_text()) if path.exists() else json.loads((BUNDLE / "manifest.json").read_text())
    values.pop("manifest_sha256", None)
    listed = set(values["files"]) | {"interpretation.jsonl.gz", "tokens.npz"}
    values["files"] = {
        file.name: {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "bytes": file.stat().st_size}
        for file in sorted(bundle.iterdir())
        if file.name in listed
    }
    values |= changes
    values["manifest_sha256"] = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(values))


def manifest(**changes: Any) -> Callable[[Path], Any]:
    """Use a bundle whose manifest has other values."""

    def run(folder: Path) -> Any:
        copy = copied_bundle(folder)
        reseal(copy, **changes)
        return use_bundle(copy)

    return run


def features(edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], Any]:
    """Use a bundle whose features.json was edited."""

    def change(bundle: Path) -> None:
        body = json.loads((bundle / "features.json").read_text())
        edit(body)
        (bundle / "features.json").write_text(json.dumps(body))

    return with_bundle(change)


def replaced(name: str, content: Callable[[], bytes] | bytes) -> Callable[[Path], Any]:
    """Use a bundle one of whose files is another."""
    return with_bundle(lambda bundle: (bundle / name).write_bytes(content() if callable(content) else content))


def tokenizer(edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], Any]:
    """Use a bundle whose tokenizer.json was edited."""

    def change(bundle: Path) -> None:
        body = json.loads((bundle / "tokenizer.json").read_text())
        edit(body)
        (bundle / "tokenizer.json").write_text(json.dumps(body))

    return with_bundle(change)


def graph(name: str, edit: Callable[[Any], object], **save: Any) -> Callable[[Path], Any]:
    """Use a bundle one of whose graphs was edited with onnx."""

    def change(bundle: Path) -> None:
        import onnx

        model = onnx.load(bundle / name)
        edit(model)
        onnx.save(model, bundle / name, **save)

    return with_bundle(change)


def huge_constant(model: Any) -> None:
    """Let a graph make 4 GB out of a shape of 8 bytes."""
    from onnx import helper, numpy_helper

    shape = numpy_helper.from_array(np.array([2**30], np.int64), "huge_shape")
    model.graph.initializer.append(shape)
    nodes = [
        helper.make_node("ConstantOfShape", ["huge_shape"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["huge_sum"], keepdims=0),
        helper.make_node("Mul", ["huge_sum", model.graph.node[-1].output[0] + "_"], [model.graph.node[-1].output[0]]),
    ]
    last = model.graph.node[-1]
    last.output[0] += "_"
    model.graph.node.extend(nodes)


def other_k(model: Any) -> None:
    """Let the encoder give five latents where the manifest says six."""
    from onnx import numpy_helper

    for constant in model.graph.initializer:
        if constant.name == "k":
            constant.CopyFrom(numpy_helper.from_array(np.array([5], np.int64), "k"))


def ids_beyond(model: Any) -> None:
    """Let the encoder give latents that the bundle does not have."""
    from onnx import helper, numpy_helper

    model.graph.initializer.append(numpy_helper.from_array(np.array(1000, np.int64), "far"))
    for node in model.graph.node:
        for place, output in enumerate(node.output):
            if output == "sae_indices":
                node.output[place] = "near"
    model.graph.node.append(helper.make_node("Add", ["near", "far"], ["sae_indices"]))


def external_weights(bundle: Path) -> None:
    """Keep the weights of the encoder in a file that the manifest does not list."""
    import onnx

    model = onnx.load(bundle / "encoder.onnx")
    onnx.save(model, bundle / "encoder.onnx", save_as_external_data=True, location="weights.bin", size_threshold=100)


def swapped_graph(folder: Path) -> Any:
    """Replace a graph after the bundle was opened and before its first use."""
    from steersearch.runtime import Bundle

    copy = copied_bundle(folder)
    bundle = Bundle.load(copy, threads=1)
    shutil.copyfile(copy / "decoder.onnx", copy / "new")
    os.replace(copy / "new", copy / "encoder.onnx")
    return [len(part) for part in bundle.encode(np.eye(16, dtype=np.float32))]


def altered_graph(folder: Path) -> Any:
    """Replace the encoder of an opened bundle by one with other weights."""
    import onnx
    from onnx import numpy_helper

    from steersearch.runtime import Bundle

    copy, rows = copied_bundle(folder), np.eye(16, dtype=np.float32)
    before = Bundle.load(copy, threads=1).encode(rows)
    bundle = Bundle.load(copy, threads=1)
    model = onnx.load(copy / "encoder.onnx")
    for constant in model.graph.initializer:
        if constant.name == "W_enc":
            constant.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(constant), "W_enc"))
    onnx.save(model, copy / "new.onnx")
    os.replace(copy / "new.onnx", copy / "encoder.onnx")
    after = bundle.encode(rows)
    return all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def edits(content: Callable[[dict[str, Any]], object] | bytes) -> Callable[[Path], Any]:
    """Use a bundle with a file of edits beside it: altered values, or these bytes."""

    def run(folder: Path) -> Any:
        from steersearch.runtime import Bundle
        from steersearch.runtime.bundle.feature_edits import atoms_digest

        copy = copied_bundle(folder)
        if isinstance(content, bytes):
            folder.joinpath("bundle.edits.json").write_bytes(content)
        else:
            digest = atoms_digest(Bundle.load(copy, threads=1).atoms)
            body = {"format_version": 1, "n_latents": 48, "atoms_sha256": digest, "features": {"3": {"label": "sky"}}}
            content(body)
            folder.joinpath("bundle.edits.json").write_text(json.dumps(body))
        return use_bundle(copy)

    return run


def interpretation(content: Callable[[], bytes] | bytes) -> Callable[[Path], Any]:
    """Read the interpretation of a bundle that has this file as one."""

    def use(path: Path) -> Any:
        from steersearch.runtime import Bundle

        return Bundle.load(path, threads=1).interpretation

    return lambda folder: with_bundle(
        lambda bundle: listed(bundle, "interpretation.jsonl.gz", content() if callable(content) else content), use
    )(folder)


def listed(bundle: Path, name: str, content: bytes) -> None:
    (bundle / name).write_bytes(content)


def interpretation_lines() -> list[dict[str, Any]]:
    """Return the lines of the smallest interpretation of the tiny bundle."""
    from steersearch.runtime.bundle.interpretation import Entry, Interpretation, entry_to_json

    needed = {name: None for name in Interpretation.__dataclass_fields__ if name != "entries"}
    head = {"format_version": 1} | needed
    return [head, *(entry_to_json(Entry(latent)) for latent in range(48))]


def token_model(content: Callable[[], bytes]) -> Callable[[Path], Any]:
    """Read the token model of a bundle that has this file as one; its interpretation is taken as good."""

    def use(path: Path) -> Any:
        from steersearch.runtime import Bundle
        from steersearch.runtime.interpret.storage import read_graph

        bundle = Bundle.load(path, threads=1)
        bundle.__dict__["interpretation"] = SimpleNamespace(entries=[])
        return read_graph(bundle)

    return with_bundle(lambda bundle: listed(bundle, "tokens.npz", content()), use)


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npz_bomb(gigabytes: int) -> bytes:
    """Return an .npz file whose table is packed zeros."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("format_version.npy", "w") as member:
        head = io.BytesIO()
        np.save(head, np.int64(1))
        member.write(head.getvalue())
    with (
        zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as packed,
        packed.open("table.npy", "w", force_zip64=True) as member,
    ):
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": "|i1", "fortran_order": False, "shape": (gigabytes * 2**26, 16)}
        )
        member.write(head.getvalue())
        block = bytes(2**22)
        for _ in range(gigabytes * 256):
            member.write(block)
    return file.getvalue()


# The command line and the terminal


def searched(*arguments: object, texts: Sequence[str] = (GOOD,), **more: Any) -> Callable[[Path], Ended]:
    """Run `sae search` on an index of these texts."""
    options = {name: more.pop(name) for name in ("encoding", "stdout") if name in more}

    def run(folder: Path) -> Ended:
        made_index(folder, texts, **more)
        return sae("search", *arguments, "-i", folder / "index", **options)

    return run


def made_index(
    folder: Path,
    texts: Sequence[str] = (GOOD,),
    ids: Sequence[str] | None = None,
    metadata: Sequence[dict[str, Any]] | None = None,
) -> Path:
    with new_index(folder / "index") as index:
        index.add(list(texts), [f"d{i}" for i in range(len(texts))] if ids is None else ids, metadata)
    return folder / "index"


CONTROLS = "\x1b]0;title\x07\x1b]52;c;YQ==\x07\x1b[2J\x9b2J\x1b]8;;http://x\x1b\\link\u202egnp.exe\u2066\x08\x7f\r"
"""Sets the title and the clipboard, clears the screen, a C1 control, a link, overrides the direction, goes back."""


def harmless(text: str) -> bool:
    """Return whether a text can be shown: no control characters but line ends and tabs, no overrides of direction."""
    bad = {*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)} - {0x0A, 0x09}
    return not any(ord(character) in bad for character in text)


def shown_harmlessly(code: int | None = 0) -> Callable[[Ended], bool]:
    """Return whether a command ended well, and printed nothing that controls a terminal."""
    return lambda ended: (code is None or ended.code == code) and all(map(harmless, (ended.out, ended.err)))


# Agents


def tool(name: str, allow_write: bool = False, **arguments: Any) -> Callable[[Path], Any]:
    """Call a tool of the MCP server over an index of 12 documents; give its text, or the error as the agent sees it."""

    def run(folder: Path) -> Any:
        import asyncio

        from steersearch.integrations.mcp_server import make_server

        with filled(folder / "index") as index:
            server = make_server(index, allow_write=allow_write)
            try:
                answer = asyncio.run(server.call_tool(name, arguments))
            except Exception as error:
                return f"{type(error).__name__}: {error}"
            return json.dumps(answer, default=str)[:4000]

    return run
