"""Bundles of somebody else, whose checksums fit: an error of ours, in bounded time and memory, whatever is inside."""

import contextlib
import gzip
import io
import json
import os
import random
import resource
import shutil
import time
import zipfile
from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from steersearch.errors import BundleError, ChecksumError, SteersearchError
from steersearch.files import sha256_of
from steersearch.runtime import Bundle
from steersearch.runtime.bundle.manifest import (
    DECODER,
    EMBEDDER,
    ENCODER,
    FEATURES,
    INTERPRETATION,
    MANIFEST,
    TOKEN_MODEL,
    TOKENIZER,
    _digest,
    read_manifest,
)
from steersearch.runtime.interpret.report import report_data
from steersearch.runtime.interpret.storage import read_graph

TINY = Path(__file__).parents[2] / "data" / "tiny_bundle"
D_IN, N_LATENTS, K = 16, 48, 6
SECONDS, MEGABYTES = 5.0, 400
FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "bundle"))


def sign(folder: Path, **changes) -> None:
    """Write the manifest again, as whoever makes a bundle can."""
    manifest = read_manifest(TINY)
    files = {p.name: {"sha256": sha256_of(p), "bytes": p.stat().st_size} for p in folder.iterdir()}
    files.pop(MANIFEST)
    (folder / MANIFEST).write_text(replace(manifest, files=files | changes.pop("files", {}), **changes).to_json())


def use(folder: Path) -> None:
    """Do what a search with a boost, a look at the features and a report do."""
    bundle = Bundle.load(folder)
    rows = bundle.embed_documents(["the moon and a star", "a ship", "", "a" * 60])
    indices, values = bundle.encode(rows)
    bundle.decode(indices, values)
    assert bundle.atoms.shape == (bundle.n_latents, bundle.d_in)
    bundle.features.similar("f1")
    if bundle.interpretation is not None:
        read_graph(bundle)


def write(path: Path, nodes, inputs, outputs, weights=(), **options) -> None:
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(weights).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    opsets = [helper.make_opsetid(domain, 17 if not domain else 1) for domain in options.pop("domains", [""])]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8, **options).SerializeToString())


def value(name, kind, *shape):
    return helper.make_tensor_value_info(name, kind, shape)


def encoder(folder: Path, *, ids, values, k=K, names=("sae_indices", "sae_values"), kind=INT) -> None:
    """An encoder that gives the same code for every row."""
    write(
        folder / ENCODER,
        [
            helper.make_node("Shape", ["embeddings"], ["n"], start=0, end=1),
            helper.make_node("Concat", ["n", "one"], ["repeats"], axis=0),
            helper.make_node("Tile", ["ids", "repeats"], [names[0]]),
            helper.make_node("Tile", ["values", "repeats"], [names[1]]),
        ],
        [value("embeddings", FLOAT, "n", D_IN)],
        [value(names[0], kind, "n", k), value(names[1], FLOAT, "n", k)],
        {
            "one": np.array([1]),
            "ids": np.array([ids], np.int64 if kind == INT else np.float32),
            "values": np.array([values], np.float32),
        },
    )


def outside(folder: Path, location: str, **more) -> None:
    """An encoder whose weights are in another file."""
    model = onnx.load(folder / ENCODER)
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "W_enc")
    content = bytes(weights.raw_data)
    (folder / "secret.bin").write_bytes(content)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, text in {"location": location, "length": str(len(content)), **more}.items():
        entry = weights.external_data.add()
        entry.key, entry.value = key, text
    (folder / ENCODER).write_bytes(model.SerializeToString())


def huge(folder: Path, *nodes, **weights) -> None:
    """An encoder that adds a sum of gigabytes out of nothing."""
    write(
        folder / ENCODER,
        [
            *nodes,
            helper.make_node("ReduceSum", ["c"], ["r"], keepdims=0),
            helper.make_node("Add", ["embeddings", "r"], ["s"]),
        ],
        [value("embeddings", FLOAT, "n", D_IN)],
        [value("s", FLOAT, "n", D_IN)],
        weights,
    )


def loop(folder: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [value("i", INT), value("go", TensorProto.BOOL), value("v", FLOAT, "n", D_IN)],
        [value("on", TensorProto.BOOL), value("w", FLOAT, "n", D_IN)],
    )
    write(
        folder / ENCODER,
        [helper.make_node("Loop", ["m", "c", "embeddings"], ["s"], body=body)],
        [value("embeddings", FLOAT, "n", D_IN)],
        [value("s", FLOAT, "n", D_IN)],
        {"m": np.array(2**62), "c": np.array(True)},
    )


def functions(folder: Path) -> None:
    model = onnx.load(folder / ENCODER)
    add = helper.make_node("Add", ["a", "a"], ["b"])
    model.functions.append(helper.make_function("own", "f", ["a"], ["b"], [add], [helper.make_opsetid("", 17)]))
    (folder / ENCODER).write_bytes(model.SerializeToString())


def nested(folder: Path) -> None:
    content = b""
    # A graph is field 6 of an attribute, which is field 5 of a node, which is field 1 of a graph, field 7 of the model.
    for field in [*(6, 5, 1) * 60, 7]:
        content = bytes([field << 3 | 2]) + varint(len(content)) + content
    (folder / ENCODER).write_bytes(content)


def varint(number: int) -> bytes:
    high = number >> 7
    return bytes([number & 127 | (128 if high else 0)]) + (varint(high) if high else b"")


def change_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def latent(folder: Path, **changes) -> None:
    change_json(folder / FEATURES, lambda all_: all_["latents"][1].update(changes))


def tokenizer(folder: Path, **changes) -> None:
    change_json(folder / TOKENIZER, lambda content: content.update(changes))


def replacing(content: str, times: int = 1) -> dict:
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": content}
    return {"type": "Sequence", "normalizers": [step] * times}


def interpreted(folder: Path, lines: list, arrays: dict | None = None) -> None:
    with gzip.open(folder / INTERPRETATION, "wb", compresslevel=9) as file:
        for line in lines:
            file.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
    np.savez(folder / TOKEN_MODEL, **ARRAYS | (arrays or {}))


HEAD = {"format_version": 1, "corpus": "docs", "documents": 1, "covered": [0, 0, 0], "families": [], "positions": []}
WELL = reduce(lambda inner, _: {"name": "a", "children": [inner]}, range(90), {"name": "a"})
ENTRIES = [{"latent": number} for number in range(N_LATENTS)]
GOOD = [HEAD, *ENTRIES]
ARRAYS = {
    "format_version": np.int64(1),
    "tokens": np.arange(3, dtype=np.int32),
    "idf": np.ones(3, np.float32),
    "table": np.ones((3, D_IN), np.int8),
    "scale": np.ones(3, np.float32),
    "slope": np.ones(N_LATENTS, np.float32),
    "offset": np.ones(N_LATENTS, np.float32),
}


def bomb(folder: Path, name: str) -> None:
    """Arrays of a gigabyte of zeros, in a megabyte."""
    interpreted(folder, GOOD)
    with zipfile.ZipFile(folder / TOKEN_MODEL, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, array in ARRAYS.items():
            file = io.BytesIO()
            np.save(file, array)
            archive.writestr(f"{each}.npy", file.getvalue() + (bytes(2**26) if each == name else b""))


def announced(folder: Path) -> None:
    """An array whose header says 8 TB."""
    interpreted(folder, GOOD)
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|i1", "fortran_order": False, "shape": (2**39, D_IN)})
    with zipfile.ZipFile(folder / TOKEN_MODEL, "w") as archive:
        for each, array in ARRAYS.items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(f"{each}.npy", file.getvalue() if each == "table" else content.getvalue())


SCORE = dict.fromkeys(("auc", "auc_near", "auc_random", "p_value", "precision", "recall"), 0.5) | {"positives": 3}
PASSAGE = {"document": "d", "text": "the moon", "activation": 1.0, "spans": [[0, 3, 0.5]], "minimal": [0, 3]}
GROWING = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def entry(folder: Path, **values) -> None:
    """An interpretation whose first latent has these values."""
    interpreted(folder, [HEAD, {"latent": 0, "label": "x", "score": SCORE} | values, *ENTRIES[1:]])


def gives_texts(folder: Path, name: str, output: str, column: str, kind: int, *inputs: str) -> None:
    """A graph that gives texts like "1" in the place of numbers."""
    nodes = [
        helper.make_node("Cast", [column], ["c"], to=FLOAT),
        helper.make_node("ReduceMean", ["c"], ["m"], axes=[1]),
        helper.make_node("Mul", ["m", "row"], ["r"]),
        helper.make_node("Cast", ["r"], [output], to=TensorProto.STRING),
    ]
    kinds = [value(each, FLOAT if each == "sae_values" else INT, "n", "m") for each in inputs]
    # Not used, but a decoder has as many weights as the manifest says.
    weights = {"row": np.zeros((1, D_IN), np.float32), "more": np.zeros((N_LATENTS, D_IN), np.float32)}
    write(folder / name, nodes, kinds, [value(output, kind, "n", D_IN)], weights)


TOO_WIDE = [*range(K), 0]
CASES = {
    # Graphs.
    "another k": lambda f: encoder(f, ids=TOO_WIDE, values=[1.0] * 7, k=7),
    "another k, unsaid": lambda f: encoder(f, ids=TOO_WIDE, values=[1.0] * 7, k="k"),
    "an id beyond the table": lambda f: encoder(f, ids=[0, 1, 2, 3, 4, N_LATENTS], values=[1.0] * K),
    "a negative id": lambda f: encoder(f, ids=[0, 1, 2, 3, 4, -1], values=[1.0] * K),
    "ids that are no integers": lambda f: encoder(f, ids=[0.0] * K, values=[1.0] * K, kind=FLOAT),
    "a negative activation": lambda f: encoder(f, ids=range(K), values=[-1.0] * K),
    "an activation that is no number": lambda f: encoder(f, ids=range(K), values=[float("nan")] * K),
    "an infinite activation": lambda f: encoder(f, ids=range(K), values=[float("inf")] * K),
    "other names": lambda f: encoder(f, ids=range(K), values=[1.0] * K, names=("indices", "values")),
    "the decoder as encoder": lambda f: shutil.copyfile(f / DECODER, f / ENCODER),
    "the encoder as decoder": lambda f: shutil.copyfile(f / ENCODER, f / DECODER),
    "the encoder as embedder": lambda f: shutil.copyfile(f / ENCODER, f / EMBEDDER),
    "no graph": lambda f: (f / ENCODER).write_bytes(b"\x00" * 4000),
    "another format": lambda f: (f / ENCODER).write_bytes(b"\x18\x00\x00\x00ORTM" + bytes(5000)),
    "an empty file": lambda f: (f / ENCODER).write_bytes(b""),
    "weights in a file that is not listed": lambda f: outside(f, "other.bin"),
    "weights in a file of another name": lambda f: outside(f, "secret.bin"),
    "weights outside": lambda f: outside(f, "../secret.bin"),
    "weights at an absolute path": lambda f: outside(f, "/etc/passwd"),
    "two places of weights": lambda f: outside(f, f"{ENCODER}.data", LOCATION="x"),
    "4 GB of a constant": lambda f: huge(
        f, helper.make_node("ConstantOfShape", ["size"], ["c"]), size=np.array([10**9])
    ),
    "4 GB by expansion": lambda f: huge(
        f,
        helper.make_node("Expand", ["one", "size"], ["c"]),
        size=np.array([10**5, 10**4]),
        one=np.ones((1, 1), np.float32),
    ),
    "4 GB by a constant node": lambda f: huge(
        f,
        helper.make_node("Constant", [], ["size"], value_ints=[10**9]),
        helper.make_node("ConstantOfShape", ["size"], ["c"]),
    ),
    "4 GB of noise": lambda f: huge(f, helper.make_node("RandomNormal", [], ["c"], shape=[10**9])),
    "an endless loop": loop,
    "functions": functions,
    "graphs in graphs": nested,
    "an embedder that gives texts": lambda f: gives_texts(
        f, EMBEDDER, "sentence_embedding", "input_ids", TensorProto.STRING, "input_ids", "attention_mask"
    ),
    "a decoder that gives texts": lambda f: gives_texts(
        f, DECODER, "reconstruction", "sae_values", TensorProto.STRING, "sae_indices", "sae_values"
    ),
    # The manifest.
    "max_length 1": lambda f: sign(f, max_length=1),
    "max_length 2": lambda f: sign(f, max_length=2),
    "more latents than weights": lambda f: sign(f, n_latents=2**20),
    "wider than the weights": lambda f: sign(f, d_in=2**15),
    "a k of all latents": lambda f: sign(f, k=N_LATENTS),
    "absurd figures": lambda f: sign(f, n_latents=2**60, d_in=2**60),
    "a parity that is no number": lambda f: sign(f, parity={"texts": float("nan")}),
    "another width": lambda f: sign(f, d_in=8),
    # The tokenizer.
    "no tokenizer": lambda f: (f / TOKENIZER).write_text("[]"),
    "a nested tokenizer": lambda f: (f / TOKENIZER).write_text("[" * 100_000),
    "a regex that gives up": lambda f: tokenizer(
        f,
        normalizer={"type": "Replace", "pattern": {"Regex": r"(a+)+\1z"}, "content": ""},
    ),
    "a replacement of a gigabyte": lambda f: tokenizer(f, normalizer=replacing("a" * 1000)),
    "replacements that multiply": lambda f: tokenizer(f, normalizer=replacing("aa", 40)),
    "ids beyond the table": lambda f: change_json(
        f / TOKENIZER,
        lambda c: c["model"]["vocab"].update({word: i + 10**6 for word, i in c["model"]["vocab"].items()}),
    ),
    "special tokens only": lambda f: change_json(
        f / TOKENIZER,
        lambda c: c.update(
            post_processor={
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}] * 40
                + [{"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}},
            }
        ),
    ),
    "100,000 added tokens": lambda f: tokenizer(
        f,
        added_tokens=[
            {"id": i, "content": f"t{i}", "special": False}
            | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
            for i in range(100_000)
        ],
    ),
    "a beginning of a megabyte": lambda f: tokenizer(f, normalizer={"type": "Prepend", "prepend": "x" * 10**6}),
    "bytes of bytes": lambda f: tokenizer(f, pre_tokenizer={"type": "Sequence", "pretokenizers": [GROWING] * 20}),
    # Features.
    "a version that is no number": lambda f: change_json(f / FEATURES, lambda c: c.update(format_version=float("nan"))),
    "p95 below 0": lambda f: latent(f, p95=-1),
    "an infinite p95": lambda f: latent(f, p95=float("inf")),
    "a p95 beyond float32": lambda f: latent(f, p95=1e300),
    "a p95 of 400 digits": lambda f: latent(f, p95=10**400),
    "a density above 1": lambda f: latent(f, density=1.5),
    "an id that is infinite": lambda f: latent(f, id=float("inf")),
    "a mean of words": lambda f: change_json(f / FEATURES, lambda c: c["reference"].update(mean=["a"] * D_IN)),
    "a mean beyond float32": lambda f: change_json(f / FEATURES, lambda c: c["reference"].update(mean=[1e300] * D_IN)),
    "nested features": lambda f: (f / FEATURES).write_text("[" * 10**6),
    "features of 100 MB": lambda f: (f / FEATURES).write_bytes(b" " * 10**8 + b"{}"),
    # The interpretation.
    "no latent": lambda f: interpreted(f, [HEAD]),
    "a version of infinity": lambda f: interpreted(f, [HEAD | {"format_version": float("inf")}, *ENTRIES]),
    "one endless line": lambda f: interpreted(f, [b" " * 10**8]),
    "an endless latent": lambda f: interpreted(f, [HEAD, b" " * 10**8]),
    "endless lines": lambda f: interpreted(f, [HEAD, *ENTRIES, *[b"{}\n"] * 10**5]),
    "a nested latent": lambda f: interpreted(f, [HEAD, b"[" * 10**5 + b"\n", *ENTRIES[1:]]),
    "a companion beyond the table": lambda f: interpreted(
        f, [HEAD, {"latent": 0, "companions": [[N_LATENTS, 2.0]]}, *ENTRIES[1:]]
    ),
    "companions that are no pairs": lambda f: interpreted(f, [HEAD, {"latent": 0, "companions": [1]}, *ENTRIES[1:]]),
    "a cosine that is no number": lambda f: interpreted(
        f, [HEAD, {"latent": 0, "similar": [[1, float("nan")]]}, *ENTRIES[1:]]
    ),
    "families of words": lambda f: interpreted(f, [HEAD | {"families": [["a", "b"]]}, *ENTRIES]),
    "a tree of words": lambda f: interpreted(f, [HEAD | {"tree": ["a", "b"]}, *ENTRIES]),
    "a branch without a name": lambda f: interpreted(f, [HEAD | {"tree": [{"latents": [0]}]}, *ENTRIES]),
    "a feature in two families": lambda f: interpreted(
        f, [HEAD | {"tree": [{"name": "a", "latents": [0, 0]}]}, *ENTRIES]
    ),
    "a tree of latents that are not there": lambda f: interpreted(
        f, [HEAD | {"tree": [{"name": "a", "latents": [N_LATENTS]}]}, *ENTRIES]
    ),
    "a tree as deep as a well": lambda f: interpreted(f, [HEAD | {"tree": [WELL]}, *ENTRIES]),
    "one position": lambda f: interpreted(f, [HEAD | {"positions": [[0.5, 0.5]]}, *ENTRIES]),
    "a label that is a list": lambda f: entry(f, label=["x"]),
    "no phrases": lambda f: entry(f, phrases=None),
    "a score of words": lambda f: entry(f, score=SCORE | {"auc": "high"}),
    "a score that is no number": lambda f: entry(f, score=SCORE | {"p_value": float("nan")}),
    "a count of words": lambda f: entry(f, fires="many"),
    "one quantile": lambda f: entry(f, active=3, quantiles=[1.0]),
    "a passage that is a number": lambda f: entry(f, top=[PASSAGE | {"text": 7}]),
    "a span of words": lambda f: entry(f, top=[PASSAGE | {"spans": [["a", "b", "c"]]}]),
    "half a minimal span": lambda f: entry(f, near_misses=[PASSAGE | {"minimal": [1]}]),
    "a saliency of 400 digits": lambda f: entry(f, top=[PASSAGE | {"spans": [[0, 3, 10**400]]}]),
    "a query without an activation": lambda f: entry(f, queries=[["q"]]),
    "a pattern of numbers": lambda f: entry(f, patterns=[{"tokens": [[1]], "weight": 1.0, "support": 1}]),
    "a corpus that is an object": lambda f: interpreted(f, [HEAD | {"corpus": {}}, *ENTRIES]),
    "one share": lambda f: interpreted(f, [HEAD | {"covered": [0.5]}, *ENTRIES]),
    "settings that are a list": lambda f: interpreted(f, [HEAD | {"settings": [1]}, *ENTRIES]),
    "latents that are no whole numbers": lambda f: interpreted(f, [HEAD, *({"latent": float(n)} for n in range(48))]),
    "no gzip": lambda f: (interpreted(f, GOOD), (f / INTERPRETATION).write_bytes(b"\x1f\x8b" + bytes(99))),
    "half a gzip": lambda f: (interpreted(f, GOOD), os.truncate(f / INTERPRETATION, 60)),
    "no zip": lambda f: (interpreted(f, GOOD), (f / TOKEN_MODEL).write_bytes(b"PK\x03\x04" + bytes(99))),
    "compressed arrays": lambda f: bomb(f, "table"),
    "an array of 8 TB": announced,
    "objects": lambda f: interpreted(f, GOOD, {"idf": np.array([{}, {}, {}], object)}),
    "an array less": lambda f: (interpreted(f, GOOD), np.savez(f / TOKEN_MODEL, table=ARRAYS["table"])),
    "arrays of another shape": lambda f: interpreted(f, GOOD, {"slope": np.ones((N_LATENTS, 2), np.float32)}),
    "arrays of other lengths": lambda f: interpreted(f, GOOD, {"tokens": np.arange(2, dtype=np.int32)}),
    "an array that is no number": lambda f: interpreted(f, GOOD, {"scale": np.full(3, np.nan, np.float32)}),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_an_error_of_ours_in_bounded_time_and_memory(case, folder):
    CASES[case](folder)
    if not case.startswith(("max_length", "more latents", "wider", "a k of", "absurd", "a parity", "another width")):
        sign(folder)
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BundleError) as refused:
        use(folder)
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 1500
    assert time.process_time() - started < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < MEGABYTES


def test_the_bundle_itself_is_used(folder):
    """Otherwise the cases above could fail for another reason."""
    entry(folder, active=3, top=[PASSAGE], quantiles=[1, 1.0, 1.0, 1.0, 2], queries=[["q", 1.0]])
    sign(folder)
    use(folder)
    opened = Bundle.load(folder)
    assert opened.interpretation is not None
    # It has no positions.
    assert report_data(opened.interpretation, opened.features)["features"][0]["at"] == [0.5, 0.5]


@pytest.mark.parametrize("name", [ENCODER, DECODER, EMBEDDER, TOKENIZER, INTERPRETATION, TOKEN_MODEL])
def test_a_file_that_is_replaced_before_its_first_use(name, folder):
    interpreted(folder, GOOD)
    sign(folder)
    bundle = Bundle.load(folder)
    content = (folder / name).read_bytes()
    vars(bundle).pop("features", None)
    bundle.autoencoder.__dict__.pop("_decoder", None)
    times = (folder / name).stat()
    (folder / "new").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(folder / "new", ns=(times.st_atime_ns, times.st_mtime_ns))
    (folder / "new").replace(folder / name)

    def use_all() -> None:
        bundle.embed_documents(["a"])
        bundle.encode(np.eye(1, D_IN, dtype=np.float32))
        bundle.decode(np.zeros((1, 1), np.int64), np.ones((1, 1), np.float32))
        read_graph(bundle)

    with pytest.raises(ChecksumError, match=rf"{name} was replaced after the bundle was opened: open the bundle again"):
        use_all()


def test_a_copy_of_the_same_content_is_the_same_file(folder):
    bundle = Bundle.load(folder)
    for path in list(folder.iterdir()):
        path.with_name("copy").write_bytes(path.read_bytes())
        path.with_name("copy").replace(path)
    assert bundle.embed_documents(["a"]).shape == (1, D_IN)
    assert bundle.encode(np.eye(1, D_IN, dtype=np.float32))[0].shape == (1, K)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe")
@pytest.mark.parametrize("name", [MANIFEST, FEATURES, ENCODER])
def test_a_pipe_is_not_read(name, folder):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(BundleError):
        Bundle.load(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe")
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_edits_that_would_be_read_for_ever(kind, folder):
    path = folder.with_name("bundle.edits.json")
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(BundleError, match=r"bundle\.edits\.json cannot be read .*it is no regular file"):
        Bundle.load(folder)


def test_a_relative_path_stays_the_same_folder(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    bundle = Bundle.load("bundle")
    monkeypatch.chdir("/")
    assert bundle.embed_documents(["a"]).shape == (1, D_IN)
    assert bundle.path == folder


ODD = [None, -1, 0, 1.5, True, "", "x", [], {}, [[]], 2**63, 10**400, float("nan"), float("inf"), -1e300, "\ud800"]


def damage(content: bytes, chance: random.Random) -> bytes:
    """Change, remove or repeat a few bytes."""
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 8])):
        at, length = chance.randrange(len(changed) or 1), chance.randrange(1, 60)
        kind = chance.randrange(3)
        changed[at : at + (1 if kind == 0 else length)] = [
            bytes([chance.choice([0, 127, 128, 255, *b'"-[{09'])]),
            b"",
            bytes(changed[at : at + length]) * 2,
        ][kind]
    return bytes(changed)


def replace_a_value(content: str, chance: random.Random) -> str:
    """Put an odd value in the place of one in a JSON text."""
    value = json.loads(content)
    place = value
    while isinstance(place, dict | list) and place:
        key = chance.choice(list(place)) if isinstance(place, dict) else chance.randrange(len(place))
        if chance.random() < 0.3 or not (isinstance(place[key], dict | list) and place[key]):
            place[key] = chance.choice(ODD)
            break
        place = place[key]
    return json.dumps(value)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_random_damage(seed, folder):
    """Ten seconds of each: it is used, or it is an error of ours."""
    interpreted(
        folder, [HEAD, *({"latent": n, "similar": [[0, 0.5]], "companions": [[1, 2.0]]} for n in range(N_LATENTS))]
    )
    chance, until = random.Random(seed), time.monotonic() + 10
    good = {p.name: p.read_bytes() for p in folder.iterdir()}
    names = [name for name in good if name not in (MANIFEST, "LICENSES")]
    while time.monotonic() < until:
        for name, content in good.items():
            (folder / name).write_bytes(content)
        name = chance.choice([*names, MANIFEST])
        if name == INTERPRETATION:
            lines = gzip.decompress(good[name]).decode().splitlines()
            row = chance.randrange(len(lines))
            lines[row] = replace_a_value(lines[row], chance)
            (folder / name).write_bytes(gzip.compress("\n".join(lines).encode()))
        elif name.endswith(".json") and chance.random() < 0.7:
            (folder / name).write_text(replace_a_value(good[name].decode(), chance))
        else:
            (folder / name).write_bytes(damage(good[name], chance))
        if name != MANIFEST:
            sign(folder)
        else:
            values = json.loads(good[name])
            text = replace_a_value(json.dumps(values | {"manifest_sha256": ""}), chance)
            values = json.loads(text)
            values.pop("manifest_sha256", None)
            values["manifest_sha256"] = _digest(values)
            (folder / name).write_text(json.dumps(values))
        started = time.process_time()
        with contextlib.suppress(SteersearchError):
            use(folder)
        assert time.process_time() - started < SECONDS
