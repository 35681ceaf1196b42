"""The second output of embedder graphs: vectors of tokens that add up to the embedding, where there are such."""

import json

import numpy as np
import onnx
import pytest
from onnxruntime import InferenceSession

from steersearch.export.embedder import embedder_graph, load_embedder, write_tokenizer
from steersearch.export.onnx_files import write_model
from steersearch.export.own_graph import completed
from steersearch.export.quantize import quantize
from steersearch.export.token_vectors import tail_of
from steersearch.runtime.bundle.onnx_embedder import OnnxEmbedder
from steersearch.runtime.bundle.onnx_session import open_session
from steersearch.runtime.bundle.static_embedder import StaticEmbedder
from steersearch.runtime.bundle.token_parts import parts_of_mean
from steersearch.static_table import Layer, Rule, StaticTable
from steersearch.training.embedding import resolve_embedder

from ..tiny_architectures import build_architecture
from ..tiny_graph import token_graph
from ..tiny_model import MAX_LENGTH, build_tiny_embedder
from ..tiny_static import word_table, word_tokenizer

TEXTS = [
    "",
    "x",
    "open the file and read its lines",
    " An  ÀÉÎ naïve 漢字 🎉 text\n",
    "file " * 200,
    "a class, a module.",
]
IDENTITY, TANH = "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Tanh"


def opened(graph, model, folder, d_in=32, **how):
    write_tokenizer(model, folder / "tokenizer.json")
    write_model(graph, folder / "embedder.onnx")
    session = open_session(folder / "embedder.onnx", threads=1)
    return OnnxEmbedder(session, folder / "tokenizer.json", MAX_LENGTH, d_in, **how)


def exported(folder, scratch, via="optimum", precision="fp32", cut=None, **how):
    scratch.mkdir(exist_ok=True)
    model = load_embedder(resolve_embedder(folder, truncate_dim=cut))
    graph = quantize(embedder_graph(model, via, scratch), precision, scratch)
    return opened(graph, model, scratch, int(model.get_sentence_embedding_dimension()), **how)


def check(embedder, texts=TEXTS, tolerance=1e-6):
    """The parts of each text add up to its embedding, whatever else is in the batch, and stand where the tokens are."""
    parts, expected = embedder.document_parts(texts), embedder.embed_documents(texts)
    assert len(parts) == len(texts)
    for text, one, row in zip(texts, parts, expected, strict=True):
        np.testing.assert_allclose(one.vectors.sum(0), row, atol=tolerance)
        assert one.vectors.dtype == np.float32
        assert len(one.spans) == len(one.vectors)
        assert (one.spans[:, 0] <= one.spans[:, 1]).all()
        assert one.spans.min() >= 0
        assert one.spans.max() <= len(text)
        (alone,) = embedder.document_parts([text])
        np.testing.assert_allclose(alone.vectors, one.vectors, atol=tolerance)
    return parts


@pytest.mark.parametrize("via", ["optimum", "torch"])
@pytest.mark.parametrize("cut", [None, 16])
def test_parts_add_up(tiny_embedder_folder, tmp_path, via, cut):
    embedder = exported(tiny_embedder_folder, tmp_path, via, cut=cut)
    parts = check(embedder)
    text, spans = TEXTS[5], parts[5].spans.tolist()
    assert spans[0] == spans[-1] == [0, 0]  # [CLS] and [SEP]
    assert [text[a:b] for a, b in spans[1:-1]] == ["a", "class", ",", "a", "module", "."]
    # Blanks at the beginning are not read, and characters are code points.
    inside = [TEXTS[3][a:b] for a, b in parts[3].spans.tolist() if a < b]
    assert "".join(inside) == "AnÀÉÎnaïve漢字🎉text"
    assert len(parts[4].vectors) == MAX_LENGTH
    assert embedder.document_parts([]) == []


@pytest.mark.parametrize("via", ["optimum", "torch"])
@pytest.mark.parametrize("pooling", ["cls", "max"])
def test_another_pooling_has_none(tmp_path, via, pooling):
    embedder = exported(build_tiny_embedder(tmp_path / "model", pooling=pooling), tmp_path / "out", via)
    assert embedder.document_parts(TEXTS) is None
    assert [each.name for each in embedder.session.get_outputs()] == ["sentence_embedding"]


@pytest.mark.parametrize("via", ["optimum", "torch"])
def test_linear_layers_are_done_to_each_token(tmp_path, via):
    folder = build_architecture(tmp_path / "model", "distilbert", dense=((32, 24, IDENTITY), (24, 16, IDENTITY)))
    embedder = exported(folder, tmp_path / "out", via, document_prefix="passage: ")
    parts = check(embedder, TEXTS, 2e-6)
    # Tokens of the prompt are of no word of the text.
    outside = [np.diff(one.spans)[:, 0] == 0 for one in parts]
    assert all(np.count_nonzero(each) > 3 for each in outside)


def test_a_bent_layer_has_none(tmp_path):
    folder = build_architecture(tmp_path / "model", "distilbert", dense=((32, 16, TANH),))
    assert exported(folder, tmp_path / "out").document_parts(TEXTS) is None


def test_a_bias_after_a_normalisation_has_none(tmp_path):
    folder = build_architecture(tmp_path / "model", "distilbert", dense=((32, 16, IDENTITY),))
    modules = json.loads((folder / "modules.json").read_text())
    assert tail_of(load_embedder(resolve_embedder(folder))) is not None
    at = next(i for i, module in enumerate(modules) if module["type"].endswith("Dense"))
    (folder / "9_Normalize").mkdir()
    modules.insert(at, {"path": "9_Normalize", "type": "sentence_transformers.models.Normalize"})
    (folder / "modules.json").write_text(json.dumps([{**m, "idx": i, "name": str(i)} for i, m in enumerate(modules)]))
    assert tail_of(load_embedder(resolve_embedder(folder))) is None


@pytest.mark.parametrize("precision", ["w8", "small", "int8"])
def test_quantised_graphs_have_them_too(tiny_embedder_folder, tmp_path, precision):
    check(exported(tiny_embedder_folder, tmp_path, precision=precision, batch_invariant=precision != "int8"))


def test_the_embedding_is_the_same_to_the_bit(tiny_model, tmp_path):
    both = embedder_graph(tiny_model, "optimum", tmp_path)
    names = [value.name for value in both.graph.output]
    assert names == ["sentence_embedding", "token_embeddings"]
    one = onnx.ModelProto()
    one.CopyFrom(both)
    del one.graph.output[1]
    folders = tmp_path / "one", tmp_path / "both"
    for folder in folders:
        folder.mkdir()
    rows = [opened(graph, tiny_model, folder).embed(TEXTS) for graph, folder in zip((one, both), folders, strict=True)]
    np.testing.assert_array_equal(*rows)
    assert len(both.SerializeToString()) - len(one.SerializeToString()) < 100


@pytest.mark.parametrize("width", [8, 4])
@pytest.mark.parametrize("name", ["last_hidden_state", "token_embeddings", "sentence_embedding"])
def test_graphs_of_somebody_else(width, name):
    made = completed(token_graph(output=name), name, "mean", width, truncated=width < 8)
    assert [value.name for value in made.graph.output] == ["sentence_embedding", "token_embeddings"]
    session = InferenceSession(made.SerializeToString())
    ids, mask = np.arange(10).reshape(2, 5), np.array([[1] * 5, [1, 1, 0, 0, 0]])
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    row, tokens = session.run(["sentence_embedding", "token_embeddings"], feeds)
    np.testing.assert_allclose(tokens, (word_table()[ids] + word_table()[0])[..., :width], atol=1e-6)
    np.testing.assert_allclose(
        [parts_of_mean(t[m > 0]).sum(0) for t, m in zip(tokens, mask, strict=True)], row, atol=1e-6
    )
    other = completed(token_graph(output=name), name, "max", 8)
    assert [value.name for value in other.graph.output] == ["sentence_embedding"]


NORMALIZED = [
    Layer("Identity", word_table(6), word_table(6)[:, 0]),
    Layer("Normalize"),
    Layer("Identity", None, np.ones(6)),
]


@pytest.mark.parametrize("layers", [[], [Layer("Normalize")], NORMALIZED], ids=["mean", "unit", "layers"])
@pytest.mark.parametrize("unknown", [None, 0])
def test_tables_of_token_vectors(layers, unknown):
    texts = ["", "a Whale,  the ship!", "zebra", "music " * 40, "court zebra law"]
    tokenizer = word_tokenizer()
    factors = np.linspace(0.5, 2, 13).astype(np.float32)
    table = StaticTable(tokenizer, word_table(), Rule(16, unknown=unknown), factors=factors, layers=layers)
    embedder = StaticEmbedder(table, tokenizer.id_to_token, document_prefix="the court: ")
    parts, rows = embedder.document_parts(texts), embedder.embed_documents(texts)
    for one, row in zip(parts, rows, strict=True):
        np.testing.assert_allclose(one.vectors.sum(0), row, atol=1e-6)
    words = [texts[1][a:b] for a, b in parts[1].spans.tolist() if a < b]
    assert words == (["a", "Whale", "the", "ship"] if unknown == 0 else ["a", "Whale", ",", "the", "ship", "!"])
    assert len(parts[3].vectors) == (15 if unknown == 0 else 16)  # ":" of the prompt has no vector


def test_a_table_with_a_bent_layer_has_none():
    table = StaticTable(word_tokenizer(), word_table(), Rule(16), layers=[Layer("Tanh")])
    assert StaticEmbedder(table, word_tokenizer().id_to_token).document_parts(["a whale"]) is None
