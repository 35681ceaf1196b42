"""Export of embedders that are no transformers: what is written, read again, and searched."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer

from steersearch.errors import BundleError, ConfigError, DataError
from steersearch.export import export_bundle
from steersearch.export.bundle import EXPORTS
from steersearch.export.own_graph import completed
from steersearch.export.static import compressed
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.bundle.embedder_kinds import EMBEDDERS
from steersearch.runtime.bundle.manifest import PARTS, RULE, TABLE, read_manifest
from steersearch.training import SaeConfig, TrainConfig, train
from steersearch.training.embedders.pooling import POOLINGS
from steersearch.training.embedding import Embedder, EmbedderSource, resolve_embedder

from ..tiny_graph import build_graph, token_graph
from ..tiny_static import WIDTH, WORDS, build_model2vec, build_static, word_table
from .conftest import random_sae

TINY = Path(__file__).parent.parent / "data" / "tiny_bundle"
TEXTS = ["", "a whale", "the court of the city", "zebra", "Piano music, piano", "whale " * 700 + "tax", "law\n sea "]


def exported(source, out, **how):
    embedder = Embedder(source)
    sae = random_sae(embedder.source, embedder.d_in, 24, 4)
    sae.info.embedder = embedder.describe()
    manifest = export_bundle(sae, out, **how)
    return manifest, Bundle.load(out), embedder


def dense_model(folder):
    weight = np.random.default_rng(3).normal(size=(6, WIDTH)).astype(np.float32)
    config = {"in_features": WIDTH, "out_features": 6, "bias": True, "activation_function": "torch.nn.Tanh"}
    tensors = {"linear.weight": weight, "linear.bias": weight[:, 0].copy()}
    return build_static(folder, modules=[("Normalize", None, None), ("Dense", config, tensors)])


def quantised(folder):
    rows = np.array([0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
    return build_model2vec(folder, word_table(5), mapping=rows, weights=np.linspace(0.5, 1.5, 13).astype(np.float32))


STATIC = {"plain": build_static, "model2vec": build_model2vec, "dense": dense_model, "quantised": quantised}


def written(source, folder, precision="fp32"):
    """Write the embedder's files alone, and open them as the runtime does."""
    source = source if isinstance(source, EmbedderSource) else resolve_embedder(source)
    made = EXPORTS[source.kind](source)
    folder.mkdir()
    made.write(folder, precision, "auto", lambda step: None)
    manifest = replace(read_manifest(TINY), d_in=made.d_in, max_length=source.max_length, embedder_kind=made.kind)
    return EMBEDDERS[made.kind](folder, manifest, 1, "fast"), Embedder(source), made


@pytest.mark.parametrize("precision", ["fp32", "fp16", "w8"])
@pytest.mark.parametrize("form", STATIC)
def test_a_table_embeds_as_in_training(tmp_path, form, precision):
    opened, embedder, _ = written(STATIC[form](tmp_path / "model"), tmp_path / "files", precision)
    assert {path.name for path in (tmp_path / "files").iterdir()} == {TABLE, PARTS, RULE, "tokenizer.json"}
    rows = opened.embed_documents(TEXTS)
    tolerance = {"fp32": 1e-6, "fp16": 2e-3, "w8": 2e-2}[precision]
    np.testing.assert_allclose(rows, embedder.embed(TEXTS), atol=tolerance)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(opened.embed_queries(["a whale"])[0], rows[1], atol=1e-6)
    [ids] = opened.tokenise(["a whale"])
    assert [opened.token_text(int(each)) for each in ids] == ["a", "whale"]


@pytest.mark.parametrize("form", STATIC)
def test_a_table_is_cut(tmp_path, form):
    """The first numbers of an embedding, which get unit length again."""
    folder = STATIC[form](tmp_path / "model")
    opened, embedder, made = written(resolve_embedder(folder, truncate_dim=3), tmp_path / "files")
    rows = opened.embed_documents(TEXTS)
    assert (made.d_in, embedder.d_in, rows.shape[1]) == (3, 3, 3)
    np.testing.assert_allclose(rows, embedder.embed(TEXTS), atol=1e-6)
    whole = Embedder(folder).embed(TEXTS[1:3])[:, :3]
    np.testing.assert_allclose(rows[1:3], whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "cls+mean"])
def test_a_graph_is_cut(tmp_path, pooling):
    folder = build_graph(tmp_path / "model")
    opened, embedder, made = written(resolve_embedder(folder, pooling=pooling, truncate_dim=3), tmp_path / "files")
    rows = opened.embed_documents(TEXTS)
    assert (made.d_in, embedder.d_in, rows.shape[1]) == (3, 3, 3)
    np.testing.assert_allclose(rows, embedder.embed(TEXTS), atol=1e-5)
    whole = Embedder(resolve_embedder(folder, pooling=pooling)).embed(TEXTS)[:, :3]
    np.testing.assert_allclose(rows, whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("build", [build_static, build_graph])
def test_more_numbers_than_there_are(tmp_path, build):
    source = replace(resolve_embedder(build(tmp_path / "model")), truncate_dim=999)
    source = replace(source, pooling="mean") if source.kind == "onnx" else source
    with pytest.raises(DataError, match=r"truncate_dim is 999, but model gives \d+ numbers: choose at most \d+"):
        Embedder(source)


def test_w8_by_hand():
    table = np.array([[127, -63.5, 0], [0, 0, 0], [0.5, 1, -1]], np.float32)
    rows, scales = compressed(table, "w8")
    np.testing.assert_array_equal(rows, [[127, -64, 0], [0, 0, 0], [64, 127, -127]])
    np.testing.assert_allclose(scales, [1, 1, 1 / 127])
    assert compressed(table, "fp32")[0].dtype == np.float16, "half precision loses nothing here"
    assert compressed(table + np.float32(1 / 3), "fp32")[0].dtype == np.float32
    large = table * np.float32(1000)
    assert np.isfinite(compressed(large, "fp16")[0]).all()
    assert compressed(np.ones((2, 2), np.int8), "w8")[1] is None


def test_precisions_of_the_other_kind(tmp_path):
    with pytest.raises(ConfigError, match="a table of token vectors: choose fp32, fp16 or w8"):
        exported(build_static(tmp_path / "model"), tmp_path / "bundle", precision="int8")
    with pytest.raises(ConfigError, match="this embedder is a graph: choose w8"):
        exported(
            resolve_embedder(build_graph(tmp_path / "graph"), pooling="mean"), tmp_path / "bundle", precision="fp16"
        )
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("pooling", [*POOLINGS, "cls+mean"])
@pytest.mark.parametrize("opset", [13, 18])
def test_every_pooling_is_added_to_a_graph(tmp_path, pooling, opset):
    folder = build_graph(tmp_path / "model", opset=opset, kind="int32" if opset == 13 else "int64")
    opened, embedder, made = written(resolve_embedder(folder, pooling=pooling), tmp_path / "files")
    assert made.pooling == pooling
    np.testing.assert_allclose(opened.embed_documents(TEXTS), embedder.embed(TEXTS), atol=1e-5)
    graph = onnx.load(tmp_path / "files" / "embedder.onnx").graph
    assert {value.type.tensor_type.elem_type for value in graph.input} == {onnx.TensorProto.INT64}
    more = ["token_embeddings"] if pooling == "mean" else []
    assert [value.name for value in graph.output] == ["sentence_embedding", *more]
    parts = opened.document_parts(TEXTS)
    assert (parts is not None) == (pooling == "mean")
    for one, row in zip(parts or [], opened.embed_documents(TEXTS), strict=pooling == "mean"):
        np.testing.assert_allclose(one.vectors.sum(0), row, atol=1e-5)


@pytest.mark.parametrize("how", [{"half": True}, {"inputs": ["input_ids"]}])
def test_graphs_of_other_forms(tmp_path, how):
    folder = build_graph(tmp_path / "model", **how)
    opened, embedder, _ = written(resolve_embedder(folder, pooling="mean"), tmp_path / "files")
    # onnxruntime computes half precision in another order when a graph goes on after it.
    tolerance = 1e-3 if how.get("half") else 1e-5
    np.testing.assert_allclose(opened.embed_documents(TEXTS), embedder.embed(TEXTS), atol=tolerance)


def test_a_graph_that_pools_itself(tmp_path):
    folder = build_graph(tmp_path / "model", inputs=["input_ids", "attention_mask"], mean="sentence_embedding")
    # Its mean counts padding, so texts must be of one length for a batch to change nothing.
    embedder = Embedder(folder)
    graph = completed(onnx.load(folder / "model.onnx"), "sentence_embedding", "", WIDTH)
    assert [value.name for value in graph.graph.output] == ["sentence_embedding"]
    session = __import__("onnxruntime").InferenceSession(graph.SerializeToString())
    ids = np.array([[8, 1, 7]])
    row = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
    np.testing.assert_allclose(row, embedder.embed(["whale"]), atol=1e-6)


def test_a_graph_that_is_too_old(tmp_path):
    with pytest.raises(DataError, match="of opset 10, from 11 on"):
        completed(token_graph(opset=10), "last_hidden_state", "mean", WIDTH)


def corpus():
    rng = np.random.default_rng(0)
    topics = (["whale", "sea", "ship"], ["tax", "law", "court"], ["music", "piano", "city"])
    return [" ".join(rng.choice([*topics[i % 3], "a", "the", "of"], 6)) + f" {WORDS[1 + i % 12]}" for i in range(120)]


@pytest.mark.parametrize("kind", ["static", "onnx"])
def test_from_training_to_a_steered_search(tmp_path, kind, tiny_embedder_folder, topic_texts):
    if kind == "static":
        folder, texts, boost, query = build_model2vec(tmp_path / "model"), corpus(), "law", "a city"
    else:
        # More words than a graph of `WORDS` has: the gate compares the ranking of other texts too.
        tokenizer = Tokenizer.from_file(str(tiny_embedder_folder / "tokenizer.json"))
        table = word_table(tokenizer.get_vocab_size(), 32)
        folder = build_graph(tmp_path / "model", tokenizer=tokenizer, table=table)
        texts, boost, query = topic_texts.texts, "exception error", "a module of a package"
    sae = train(
        texts,
        folder,
        SaeConfig(n_latents=24, k=4),
        TrainConfig(steps=30, device="cpu"),
        pooling="mean" if kind == "onnx" else "",
        cache_dir=tmp_path / "cache",
    )
    sae.save(tmp_path / "model.pt")
    assert (sae.info.embedder["kind"], sae.info.embedder["pooling"]) == (kind, "mean" if kind == "onnx" else "")
    export_bundle(tmp_path / "model.pt", tmp_path / "bundle")
    with SteerableIndex.create(tmp_path / "index", Bundle.load(tmp_path / "bundle")) as index:
        index.add([*texts, ""], [str(i) for i in range(len(texts) + 1)])
        hits = index.search(texts[3], 5)
        assert hits[0].text == texts[3]
        word = boost.split()[0]
        plain, steered = index.search(query, 5), index.search(query, 5, boost={boost: 2.0})
        assert sum(word in hit.text for hit in steered) > sum(word in hit.text for hit in plain)
    with SteerableIndex.open(tmp_path / "index") as index:
        assert [hit.id for hit in index.search(texts[3], 5)] == [hit.id for hit in hits]


def test_a_static_bundle_embeds_without_onnxruntime(tmp_path):
    exported(build_static(tmp_path / "model"), tmp_path / "bundle")
    code = """
import sys
from steersearch.runtime import Bundle
bundle = Bundle.load(sys.argv[1])
row = bundle.embed_query("a whale")
bundle.embed_documents(["the sea", ""])
assert "onnxruntime" not in sys.modules
bundle.encode(row[None])
assert "onnxruntime" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "bundle"], check=True)


def edited(bundle: Path, change) -> None:
    """Change a file of a bundle, and its manifest with it, as somebody could who makes one."""
    from steersearch.files import sha256_of

    manifest = read_manifest(bundle)
    change(bundle)
    files = {
        name: {"sha256": sha256_of(bundle / name), "bytes": (bundle / name).stat().st_size} for name in manifest.files
    }
    (bundle / "manifest.json").write_text(replace(manifest, files=files).to_json())


def save_table(table):
    return lambda bundle: np.save(bundle / TABLE, table)


def save_rule(**values):
    def change(bundle):
        rule = json.loads((bundle / RULE).read_text()) | values
        (bundle / RULE).write_text(json.dumps(rule))

    return change


def save_parts(**arrays):
    def change(bundle):
        with np.load(bundle / PARTS) as held:
            parts = dict(held) | arrays
        np.savez(bundle / PARTS, **parts)

    return change


HOSTILE = {
    "a table of objects": lambda b: np.save(b / TABLE, np.array([[{}]], object), allow_pickle=True),
    "a table of one dimension": save_table(np.ones(13, np.float32)),
    "a table of another width": save_table(np.ones((13, 3), np.float32)),
    "too few rows": save_table(np.ones((4, WIDTH), np.float32)),
    "double precision": save_table(np.ones((13, WIDTH))),
    "columns first": save_table(np.asfortranarray(np.ones((13, WIDTH), np.float32))),
    "no array": lambda b: (b / TABLE).write_bytes(b"nonsense"),
    "a rule that is a list": lambda b: (b / RULE).write_text("[]"),
    "characters without end": save_rule(characters=2**40),
    "an unknown activation": save_rule(layers=["Run"]),
    "a layer without its weights": save_rule(layers=["Tanh"], shapes={"weight_0": 8}),
    "a thousand layers": save_rule(layers=["Identity"] * 1000),
    "unknown is a text": save_rule(unknown="x"),
    "blank with NaN": save_parts(blank=np.full(WIDTH, np.nan, np.float32)),
    "blank of zeros": save_parts(blank=np.zeros(WIDTH, np.float32)),
    "blank of another width": save_parts(blank=np.ones(2, np.float32)),
    "an array too many": save_parts(more=np.ones(2)),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_malformed_tables_are_refused(static_bundle, tmp_path, case):
    import shutil

    folder = Path(shutil.copytree(static_bundle, tmp_path / "bundle"))
    edited(folder, HOSTILE[case])
    bundle = Bundle.load(folder)
    with pytest.raises(BundleError, match=r"the static embedder in .* cannot be used"):
        bundle.embed_query("a whale")


def test_a_newer_rule_and_nan_in_the_table(static_bundle, tmp_path):
    import shutil

    from steersearch.errors import FormatVersionError

    newer = Path(shutil.copytree(static_bundle, tmp_path / "newer"))
    edited(newer, save_rule(format_version=2))
    with pytest.raises(FormatVersionError, match=r"embedder\.json has format_version 2"):
        Bundle.load(newer).embed_query("a whale")
    broken = Path(shutil.copytree(static_bundle, tmp_path / "broken"))
    edited(broken, save_table(np.full((13, WIDTH), np.nan, np.float32)))
    with pytest.raises(BundleError, match="NaN or infinite numbers for text 0"):
        Bundle.load(broken).embed_query("a whale")


@pytest.fixture(scope="module")
def static_bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("static")
    exported(build_static(folder / "model"), folder / "bundle")
    return folder / "bundle"
