import json

import numpy as np
import pytest

from steersearch.errors import ConfigError, DataError
from steersearch.training.embedding import Embedder, resolve_embedder

from ...tiny_static import WIDTH, WORDS, build_model2vec, build_static, word_table, word_tokenizer

TEXTS = ["a whale", "the court of the city", "Piano music, piano", "a ship at sea", "whale " * 700 + "tax"]


def unit(row):
    return row / np.linalg.norm(row)


def by_hand(table, *words):
    return unit(np.mean([table[WORDS.index(word)] for word in words], axis=0))


def test_the_mean_of_the_tokens_vectors(tmp_path):
    table = word_table()
    source = resolve_embedder(build_static(tmp_path / "model"))
    assert (source.kind, source.id, source.max_length) == ("static", "model", 10**6)
    embedder = Embedder(source)
    assert embedder.d_in == WIDTH
    rows = embedder.embed(["a whale", "The LAW", "a zebra"])
    expected = [by_hand(table, "a", "whale"), by_hand(table, "the", "law"), by_hand(table, "a", "[UNK]")]
    np.testing.assert_allclose(rows, expected, atol=1e-6)
    assert embedder.describe()["kind"] == "static"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_agrees_with_sentence_transformers(tmp_path, dtype):
    from sentence_transformers import SentenceTransformer

    rng = np.random.default_rng(1)
    dense = {
        "linear.weight": rng.normal(size=(5, WIDTH)).astype(np.float32),
        "linear.bias": rng.normal(size=5).astype(np.float32),
    }
    config = {"in_features": WIDTH, "out_features": 5, "bias": True, "activation_function": "torch.nn.Tanh"}
    modules = [("Normalize", None, None), ("Dense", config, dense), ("Normalize", None, None)]
    folder = build_static(tmp_path / "model", word_table().astype(dtype), modules=modules if dtype == "float32" else ())
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS).astype(np.float32)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    # sentence-transformers adds up half-precision vectors in half precision.
    tolerance = 1e-6 if dtype == "float32" else 5e-3
    np.testing.assert_allclose(Embedder(folder).embed(TEXTS), expected, atol=tolerance)


def test_model2vec_leaves_unknown_tokens_out_and_cuts(tmp_path):
    table = word_table()
    embedder = Embedder(build_model2vec(tmp_path / "model", config={"max_length": 3}))
    assert embedder.max_length == 3
    np.testing.assert_allclose(embedder.embed(["a sky sea"])[0], by_hand(table, "a", "sea"), atol=1e-6)
    # The cut at three tokens comes before the unknown ones are left out.
    np.testing.assert_allclose(embedder.embed(["a sky a sea"])[0], by_hand(table, "a"), atol=1e-6)
    # Three tokens of 4 characters, the median of the vocabulary, are the 12 characters "a  whale shi".
    assert np.median([len(word) for word in WORDS]) == 4
    np.testing.assert_allclose(embedder.embed(["a  whale ship"])[0], by_hand(table, "a", "whale"), atol=1e-6)
    assert resolve_embedder(build_model2vec(tmp_path / "other")).max_length == 512
    assert resolve_embedder(build_model2vec(tmp_path / "all", config={"max_length": None})).max_length == 10**6


def quantised():
    """Tokens that share rows, each with a weight of its own."""
    rows = np.array([0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4], np.int64)
    weights = np.linspace(0.5, 1.5, len(WORDS)).astype(np.float32)
    return word_table(5), rows, weights


def test_model2vec_with_a_mapping_and_weights(tmp_path):
    table, rows, weights = quantised()
    embedder = Embedder(build_model2vec(tmp_path / "model", table, mapping=rows, weights=weights))
    law, sea = WORDS.index("law"), WORDS.index("sea")
    expected = unit(table[2] * weights[law] + table[1] * weights[sea])
    np.testing.assert_allclose(embedder.embed(["law sea"])[0], expected, atol=1e-6)


@pytest.mark.parametrize("form", ["plain", "quantised", "int8"])
def test_agrees_with_model2vec(tmp_path, form):
    model2vec = pytest.importorskip("model2vec")
    table, rows, weights = quantised()
    tensors = {
        "plain": {},
        "quantised": {"table": table, "mapping": rows, "weights": weights},
        "int8": {"table": np.round(word_table() * 40).astype(np.int8)},
    }[form]
    folder = build_model2vec(tmp_path / "model", config={"max_length": 20}, **tensors)
    texts = [*TEXTS, "a zebra and the unknown whale", "sea " * 19 + "zebra tax law"]
    expected = model2vec.StaticModel.from_pretrained(folder).encode(texts)
    np.testing.assert_allclose(Embedder(folder).embed(texts), expected, atol=1e-6)


def test_a_text_without_a_known_token_is_far_from_all_others(tmp_path):
    embedder = Embedder(build_model2vec(tmp_path / "model"))
    blank, zebra, *rows = embedder.embed(["", "zebra", *WORDS[1:]])
    np.testing.assert_array_equal(blank, zebra)
    assert np.linalg.norm(blank) == pytest.approx(1, abs=1e-6)
    cosines = np.abs(np.array(rows) @ blank)
    any_other = np.random.default_rng(0).normal(size=(200, WIDTH))
    any_other /= np.linalg.norm(any_other, axis=1, keepdims=True)
    least = np.sqrt(((np.array(rows) @ any_other.T) ** 2).mean(0)).min()
    assert np.sqrt((cosines**2).mean()) <= least


def test_a_text_longer_than_what_is_in_memory_at_once(tmp_path, monkeypatch):
    embedder = Embedder(build_static(tmp_path / "model"))
    whole = embedder.embed([*TEXTS, "whale sea " * 500])
    monkeypatch.setattr("steersearch.static_table._AT_ONCE", 64)
    np.testing.assert_allclose(embedder.embed([*TEXTS, "whale sea " * 500]), whole, atol=1e-6)


def nan_row():
    table = word_table()
    table[3, 2] = np.nan
    return {"table": table}


BAD = {
    "the table lacks tokens": ({"table": word_table(9)}, r"id 12 \(of 'piano'\).*table has 9 rows"),
    "NaN": (nan_row(), "NaN or infinite numbers in 1 rows of its table, first 3"),
    "a mapping that is too short": ({"mapping": np.zeros(4, np.int64)}, "mapping has 4 rows"),
    "a mapping out of range": ({"mapping": np.full(13, 13)}, "maps the token 0 to row 13, but its table has 13 rows"),
    "a negative mapping": ({"mapping": np.full(13, -1)}, "maps the token 0 to row -1"),
    "weights with NaN": ({"weights": np.full(13, np.nan, np.float32)}, "weights of float32"),
    "too few weights": ({"weights": np.ones(3, np.float32)}, "weights has 3 rows"),
    "a table of one dimension": ({"table": np.ones(13, np.float32)}, r"table of float32 \(13,\)"),
    "a table of whole numbers": ({"table": np.ones((13, 8), np.int32)}, "table of int32"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused(tmp_path, case):
    tensors, message = BAD[case]
    with pytest.raises(DataError, match=message):
        Embedder(build_model2vec(tmp_path / "model", **tensors))


def test_other_folders_are_refused(tmp_path):
    layer_norm = build_static(tmp_path / "norm", modules=[("LayerNorm", {"dimension": WIDTH}, None)])
    with pytest.raises(DataError, match="the module LayerNorm after its table"):
        Embedder(layer_norm)
    config = {"in_features": WIDTH, "out_features": 2, "bias": False, "activation_function": "torch.nn.GELU"}
    with pytest.raises(DataError, match="the activation GELU"):
        Embedder(build_static(tmp_path / "gelu", modules=[("Dense", config, {"linear.weight": word_table(2)})]))
    config["activation_function"] = "torch.nn.Identity"
    wrong = {"linear.weight": word_table(2, 5)}
    with pytest.raises(DataError, match=r"linear.weight of shape \(2, 5\), expected \(width, 8\)"):
        Embedder(build_static(tmp_path / "dense", modules=[("Dense", config, wrong)]))
    with pytest.raises(DataError, match="expected a table called embeddings"):
        Embedder(build_static(tmp_path / "name", name="vectors"))
    with pytest.raises(DataError, match="max_length '512'"):
        resolve_embedder(build_model2vec(tmp_path / "length", config={"max_length": "512"}))
    damaged = build_model2vec(tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="cannot be read"):
        Embedder(damaged)
    (damaged / "tokenizer.json").write_text("[]")
    with pytest.raises(DataError, match=r"tokenizer\.json cannot be used"):
        Embedder(damaged)


def test_options_of_other_kinds_are_refused(tmp_path):
    folder = build_static(tmp_path / "model")
    with pytest.raises(ConfigError, match="pooling is 'mean', but model is no ONNX graph"):
        resolve_embedder(folder, pooling="mean")
    with pytest.raises(ConfigError, match="no model of torch"):
        Embedder(folder, precision="bf16")


def test_truncation_of_the_tokenizer_counts(tmp_path):
    tokenizer = word_tokenizer()
    tokenizer.enable_truncation(2)
    embedder = Embedder(build_static(tmp_path / "model", tokenizer=tokenizer))
    assert embedder.max_length == 2
    np.testing.assert_allclose(*embedder.embed(["whale sea", "whale sea tax"]), atol=1e-6)


def test_the_files_decide_the_fingerprint(tmp_path):
    folder = build_model2vec(tmp_path / "model")
    before = resolve_embedder(folder).fingerprint()
    config = json.loads((folder / "config.json").read_text()) | {"max_length": 7}
    (folder / "config.json").write_text(json.dumps(config))
    assert resolve_embedder(folder).fingerprint() != before
