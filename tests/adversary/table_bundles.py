"""Rows of the table: bundles of strangers. The manifest always has the right checksums."""

from __future__ import annotations

import json
import math
import shutil
from typing import Any

import numpy as np

from .hostile import SLOW, anything, error, gives, gives_or_error, row
from .hostile_inputs import (
    altered_graph,
    edits,
    external_weights,
    features,
    graph,
    gzip_bomb,
    huge_constant,
    ids_beyond,
    interpretation,
    interpretation_lines,
    manifest,
    npz,
    npz_bomb,
    other_k,
    replaced,
    swapped_graph,
    token_model,
    tokenizer,
    with_bundle,
)

MB = 10**6

# Bundles of strangers: the manifest always has the right checksums.

row("bundle: the whole one", lambda folder: manifest()(folder), gives(["a", "b"]))
row("bundle: another k in the manifest", manifest(k=5), error("BundleError"))
row("bundle: another k in the encoder", graph("encoder.onnx", other_k), error("BundleError"))
row("bundle: latents beyond the table", graph("encoder.onnx", ids_beyond), error("BundleError"))
row("bundle: more latents in the manifest", manifest(n_latents=49), error("BundleError"))
row("bundle: a billion latents", manifest(n_latents=10**9), error("BundleError"))
row("bundle: another width in the manifest", manifest(d_in=17), error("BundleError"))
row(
    "bundle: the decoder in the place of the encoder",
    with_bundle(lambda bundle: shutil.copyfile(bundle / "decoder.onnx", bundle / "encoder.onnx")),
    error("BundleError"),
)
row(
    "bundle: the encoder in the place of the embedder",
    with_bundle(lambda bundle: shutil.copyfile(bundle / "encoder.onnx", bundle / "embedder.onnx")),
    error("BundleError"),
)
row("bundle: texts of one token", manifest(max_length=1), error("BundleError"))
row("bundle: texts of 2**62 tokens", manifest(max_length=2**62), gives_or_error(anything))
row("bundle: texts of 2**70 tokens", manifest(max_length=2**70), error("BundleError"))
row("bundle: a graph of nonsense", replaced("encoder.onnx", b"\x08\x08\xff" * 100), error("BundleError"))
row("bundle: an empty graph", replaced("encoder.onnx", b""), error("BundleError"))
row("bundle: a graph that makes 4 GB", graph("encoder.onnx", huge_constant), error("BundleError"))
row("bundle: weights in a file that is not listed", with_bundle(external_weights), error("BundleError"))
row(
    "bundle: a graph swapped for another after opening",
    swapped_graph,
    gives_or_error(lambda sizes: sizes == [16, 16]),
)
row("bundle: a graph altered after opening", altered_graph, gives_or_error(lambda same: same))
row("bundle: a tokenizer of nonsense", replaced("tokenizer.json", b"{"), error("BundleError"))
row("bundle: a tokenizer nested 100,000 deep", replaced("tokenizer.json", b"[" * 100_000), error("BundleError"))
row(
    "bundle: tokens beyond the table",
    tokenizer(lambda body: body["model"]["vocab"].update(moon=10**6)),
    error("BundleError"),
)
row(
    "bundle: a tokenizer whose expression gives up",
    tokenizer(lambda body: body.update(pre_tokenizer=splitting("(?=(.+)+\\d)"))),
    error("BundleError"),
    seconds=6,
)
row(
    "bundle: a tokenizer with an expression that is none",
    tokenizer(lambda body: body.update(pre_tokenizer=splitting("("))),
    error("BundleError"),
)
row(
    "bundle: a tokenizer that replaces nothing by much",
    tokenizer(
        lambda body: body.update(normalizer={"type": "Replace", "pattern": {"Regex": ""}, "content": "x" * 10**6})
    ),
    gives_or_error(anything),
)
row(
    "bundle: a tokenizer that doubles 40 times",
    tokenizer(lambda body: body.update(normalizer={"type": "Sequence", "normalizers": [doubling()] * 40})),
    gives_or_error(anything),
    seconds=6,
)
row("bundle: features nested 100,000 deep", replaced("features.json", b"[" * 100_000), error("BundleError"))
row(
    "bundle: features with a format that is no number",
    features(lambda body: body.update(format_version=math.nan)),
    error("BundleError"),
)
row(
    "bundle: features with a format that is true",
    features(lambda body: body.update(format_version=True)),
    error("BundleError"),
)
row(
    "bundle: a typical activation of -1",
    features(lambda body: body["latents"][3].update(p95=-1)),
    error("BundleError"),
)
row(
    "bundle: a typical activation of 1e308",
    features(lambda body: body["latents"][3].update(p95=1e308)),
    gives_or_error(anything),
)
row(
    "bundle: an activation of 400 digits",
    features(lambda body: body["latents"][3].update(p95=10**400)),
    error("BundleError"),
)
row("bundle: a density of 7", features(lambda body: body["latents"][3].update(density=7)), gives_or_error(anything))
row(
    "bundle: a label of 10 MB",
    features(lambda body: body["latents"][3].update(label="x" * 10 * MB)),
    gives_or_error(anything),
    seconds=4,
)
row(
    "bundle: 100,000 keywords",
    features(lambda body: body["latents"][3].update(keywords=["a b"] * 100_000)),
    gives_or_error(anything),
    seconds=4,
)
row(
    "bundle: a mean of strings",
    features(lambda body: body["reference"].update(mean=["1"] * 16)),
    error("BundleError"),
)
row(
    "bundle: a mean with 400 digits",
    features(lambda body: body["reference"].update(mean=[10**400] * 16)),
    error("BundleError"),
)
row("bundle: edits nested 100,000 deep", edits(b"[" * 100_000), error("BundleError", "edits.json"))
row(
    "bundle: edits with a latent of 400 digits",
    edits(lambda body: body["features"].update({"9" * 400: {"label": "x"}})),
    error("BundleError"),
)
row(
    "bundle: edits with a latent of 5,000 digits",
    edits(lambda body: body["features"].update({"9" * 5000: {"label": "x"}})),
    error("BundleError"),
)
row(
    "bundle: edits with a label that is a list",
    edits(lambda body: body["features"].update({"3": {"label": ["x"]}})),
    error("BundleError"),
)
row(
    "bundle: edits whose format is Infinity",
    edits(lambda body: body.update(format_version=math.inf)),
    error("BundleError"),
)
row("bundle: an interpretation of nonsense", interpretation(b"\x1f\x8b" + b"\xff" * 50), error("BundleError"))
row(
    "bundle: an interpretation nested 100,000 deep",
    interpretation(lambda: packed_json("[" * 100_000)),
    error("BundleError"),
)
row(
    "bundle: an interpretation of 4 GB",
    interpretation(lambda: gzip_bomb(4, b" ")),
    error("BundleError"),
    seconds=4,
)
row(
    "bundle: an interpretation of 4 GB of lines",
    interpretation(lambda: gzip_bomb(4, b"{}\n" + b" " * 13)),
    error("BundleError"),
    SLOW,
)
row(
    "bundle: an interpretation with 400 digits",
    interpretation(lambda: odd_interpretation(fires=10**400)),
    gives_or_error(anything),
)
row(
    "bundle: an interpretation with lists for numbers",
    interpretation(lambda: odd_interpretation(quantiles=7)),
    error("BundleError"),
)
row(
    "bundle: a token model of nonsense",
    token_model(lambda: b"PK\x03\x04" + b"\xff" * 200),
    error("BundleError"),
)
row(
    "bundle: a token model that is a pickle",
    token_model(lambda: npz(table=np.array([{}], object))),
    error("BundleError"),
)
row("bundle: a token model of 1 GB", token_model(lambda: npz_bomb(1)), error("BundleError"), SLOW, seconds=12)
row("bundle: a token model that names a shape of 2**60", token_model(lambda: lying_npz()), error("BundleError"))
row("bundle: a token model without arrays", token_model(lambda: npz(format_version=1)), error("BundleError"))


def splitting(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def doubling() -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": "(a)"}, "content": "aa"}


def packed_json(text: str) -> bytes:
    import gzip

    return gzip.compress(text.encode())


def odd_interpretation(**changes: Any) -> bytes:
    lines = interpretation_lines()
    lines[4] |= changes
    return packed_json("".join(json.dumps(line) + "\n" for line in lines))


def lying_npz() -> bytes:
    import io
    import zipfile

    file, head = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|i1", "fortran_order": False, "shape": (2**56, 16)})
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("format_version.npy", one_npy())
        packed.writestr("table.npy", head.getvalue() + b"x")
    return file.getvalue()


def one_npy() -> bytes:
    import io

    file = io.BytesIO()
    np.save(file, np.int64(1))
    return file.getvalue()
