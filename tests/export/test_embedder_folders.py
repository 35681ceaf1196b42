"""What a sentence-transformers folder can say: pooling, modules behind it, dimensions, prompts and files of weights."""

import json
from pathlib import Path

import numpy as np
import pytest

from steersearch.errors import ConfigError, DataError
from steersearch.export import export_bundle
from steersearch.export.embedder import load_embedder, pooling_of
from steersearch.runtime import Bundle
from steersearch.training import SaeConfig, TrainConfig, train
from steersearch.training.embedding import Embedder, resolve_embedder

from ..tiny_architectures import D, build_architecture, write_json, write_modules, write_pooling
from .conftest import random_sae
from .test_architectures import TEXTS, cosines, runtime_embedder, sides_of

PLAIN = [("", "Transformer"), ("1_Pooling", "Pooling")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_architecture(tmp_path / "model", "bert")


def change(path: Path, **values) -> None:
    write_json(path, json.loads(path.read_text()) | values)


def write_layer_norm(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    write_json(folder / "2_LayerNorm" / "config.json", {"dimension": D})
    weights = {"norm.weight": torch.linspace(0.5, 2, D), "norm.bias": torch.linspace(-1, 1, D)}
    save_file(weights, folder / "2_LayerNorm" / "model.safetensors")


@pytest.mark.parametrize(
    "modes",
    [("weightedmean",), ("mean_sqrt_len_tokens",), ("lasttoken",), ("cls", "mean", "max")],
    ids=lambda modes: "+".join(modes),
)
def test_poolings(modes, folder, tmp_path):
    write_pooling(folder, *modes)
    queries, documents = sides_of(folder, TEXTS)
    exported = runtime_embedder(folder, tmp_path / "exported")
    assert exported.d_in == D * len(modes)
    assert cosines(exported.embed_queries(TEXTS), queries).min() > 0.99999
    assert cosines(exported.embed_documents(TEXTS), documents).min() > 0.99999
    assert pooling_of(load_embedder(resolve_embedder(folder))) == "+".join(modes)


def test_dense_layer_norm_and_truncation_behind_each_other(tmp_path):
    activation = "torch.nn.modules.activation.GELU"
    folder = build_architecture(tmp_path / "model", "bert", dense=((D, D, activation),), normalise=False)
    write_layer_norm(folder)
    (folder / "2_LayerNorm").rename(folder / "3_LayerNorm")
    write_modules(folder, [*PLAIN, ("2_Dense", "Dense"), ("3_LayerNorm", "LayerNorm")])
    queries, _ = sides_of(folder, TEXTS)
    assert cosines(runtime_embedder(folder, tmp_path / "all").embed_queries(TEXTS), queries).min() > 0.99999
    short = queries[:, :12] / np.linalg.norm(queries[:, :12], axis=1, keepdims=True)
    exported = runtime_embedder(folder, tmp_path / "short", truncate_dim=12)
    assert cosines(exported.embed_queries(TEXTS), short).min() > 0.99999
    in_torch = Embedder(resolve_embedder(folder, truncate_dim=12), device="cpu")
    assert in_torch.d_in == 12
    assert cosines(in_torch.embed_queries(TEXTS), short).min() > 0.99999
    assert in_torch.fingerprint != Embedder(folder, device="cpu").fingerprint
    change(folder / "config_sentence_transformers.json", truncate_dim=12)
    assert resolve_embedder(folder).truncate_dim == 12


def test_truncation_goes_from_training_into_the_bundle(folder, topic_texts, tmp_path):
    sae = train(
        *(topic_texts.texts, folder, SaeConfig(n_latents=32, k=4), TrainConfig(steps=3, device="cpu")),
        **{"truncate_dim": 16, "document_prompt": "doc: ", "query_prompt": "query", "cache_dir": tmp_path / "cache"},
    )
    about = sae.info.embedder
    assert (about["truncate_dim"], about["document_prefix"]) == (16, "doc: ")
    assert about["query_prefix"] == "Represent this sentence for searching relevant passages: "
    sae.save(tmp_path / "model.pt")
    manifest = export_bundle(tmp_path / "model.pt", tmp_path / "bundle", query_prompt="find: ")
    assert (manifest.d_in, manifest.query_prefix, manifest.document_prefix) == (16, "find: ", "doc: ")
    bundle = Bundle.load(tmp_path / "bundle", threads=1)
    cut = Embedder(folder, device="cpu").embed([f"doc: {text}" for text in TEXTS])[:, :16]
    expected = cut / np.linalg.norm(cut, axis=1, keepdims=True)
    assert cosines(bundle.embed_documents(TEXTS), expected).min() > 0.99999
    for wrong in ({"document_prompt": ""}, {"truncate_dim": 8}):
        with pytest.raises(DataError, match=r"the autoencoder was trained with the .* train again"):
            export_bundle(tmp_path / "model.pt", tmp_path / "other", **wrong)
    assert not (tmp_path / "other").exists()


def test_prompts_as_bare_embeddings_had_them(folder, tmp_path):
    sae = random_sae(None, D)
    manifest = export_bundle(sae, tmp_path / "bundle", embedder=folder, query_prompt="", document_prompt="text: ")
    assert (manifest.query_prefix, manifest.document_prefix) == ("", "text: ")
    with pytest.raises(DataError, match=f"gives 8 numbers per text, the autoencoder was trained on {D}"):
        export_bundle(sae, tmp_path / "other", embedder=folder, truncate_dim=8)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_half_precision_weights_in_several_files(kind, folder, tmp_path):
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).to(getattr(torch, kind))
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    change(folder / "sentence_bert_config.json", model_args={"torch_dtype": "auto"})
    in_torch = Embedder(folder, device="cpu")
    expected = in_torch.embed_queries(TEXTS)
    assert {weight.dtype for weight in in_torch._model._model.parameters()} == {torch.float32}
    assert cosines(runtime_embedder(folder, tmp_path / "exported").embed_queries(TEXTS), expected).min() > 0.99999


def test_a_decoder_whose_length_nobody_says(tmp_path):
    folder = build_architecture(tmp_path / "model", "llama")
    (folder / "sentence_bert_config.json").unlink()
    change(folder / "tokenizer_config.json", model_max_length=10**30)
    assert resolve_embedder(folder).max_length == 512  # its positions
    change(folder / "config.json", max_position_embeddings=96)
    assert Embedder(folder, device="cpu").max_length == 96


def test_prompts_that_leave_no_doubt(folder):
    def prompts_of(**prompts) -> tuple[str, str]:
        change(folder / "config_sentence_transformers.json", prompts=prompts)
        source = resolve_embedder(folder)
        return source.query_prefix, source.document_prefix

    assert prompts_of() == ("", "")
    assert prompts_of(query="q: ", document="d: ", passage="p: ") == ("q: ", "d: ")
    assert prompts_of(query="q: ", document="", passage="p: ", corpus="c: ") == ("q: ", "p: ")
    assert prompts_of(query="q: ", corpus="c: ", sts="other: ") == ("q: ", "c: ")
    assert prompts_of(query="", document="") == ("", "")
    assert prompts_of(passage="p: ") == ("", "p: ")
    for given, expected in (("sts", "other: "), ("mine: ", "mine: "), ("", "")):
        change(folder / "config_sentence_transformers.json", prompts={"query": "q: ", "sts": "other: "})
        assert resolve_embedder(folder, query_prompt=given).query_prefix == expected


BAD = {
    "prompts without one for queries": (
        lambda f: change(f / "config_sentence_transformers.json", prompts={"query": "", "s2p": "a ", "s2s": "b "}),
        {},
        "prompts called 's2p, s2s' and none for queries: choose one with --query-prompt NAME",
    ),
    "prompts that are no texts": (
        lambda f: change(f / "config_sentence_transformers.json", prompts={"query": 3}),
        {},
        "has prompts {'query': 3}, expected texts by name",
    ),
    "a prompt that fills all": (
        lambda f: None,
        {"query_prompt": "find " * 70},
        "the query prompt .* alone fills the 64 tokens that model reads: shorten it with --query-prompt",
    ),
    "a prompt that is not pooled": (
        lambda f: write_pooling(f, "mean", include_prompt=False),
        {},
        "Pooling module with include_prompt false.* switch prompts off",
    ),
    "a pooling of another width": (
        lambda f: write_pooling(f, "mean", d=48),
        {},
        "1_Pooling/config.json has word_embedding_dimension 48, but the transformer gives 32 numbers",
    ),
    "a dense module of another width": (
        lambda f: (
            write_modules(f, [*PLAIN, ("2_LayerNorm", "LayerNorm")]),
            write_layer_norm(f),
            write_pooling(f, "cls", "mean"),
        ),
        {},
        "2_LayerNorm/config.json has dimension 32, but 1_Pooling .Pooling. gives 64 numbers",
    ),
    "more numbers than there are": (
        lambda f: None,
        {"truncate_dim": 33},
        "truncate_dim is 33, but model gives 32 numbers: choose at most 32",
    ),
    "no numbers, says the folder": (
        lambda f: change(f / "config_sentence_transformers.json", truncate_dim=0),
        {},
        "has truncate_dim 0: it must be a whole number of at least 1, or null",
    ),
    "two sides of different modules": (
        lambda f: write_modules(f, [("", "Router"), ("1_Pooling", "Pooling")]),
        {},
        "names the module Router, of which no bundle can be made.* sae train --vectors",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_folders_that_are_refused_before_anything_is_made(case, folder, topic_texts, tmp_path):
    alter, options, message = BAD[case]
    alter(folder)
    with pytest.raises(DataError, match=message) as refused:
        train(topic_texts.texts, folder, cache_dir=tmp_path / "cache", **options)
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "cache").exists()


def test_prompts_are_switched_off(folder):
    write_pooling(folder, "mean", include_prompt=False)
    both = Embedder(resolve_embedder(folder, query_prompt="", document_prompt=""), device="cpu")
    np.testing.assert_array_equal(both.embed_queries(TEXTS), both.embed_documents(TEXTS))


def test_options_that_fit_nothing(folder, tmp_path):
    with pytest.raises(ConfigError, match="truncate_dim is 0: it must be a whole number of at least 1"):
        resolve_embedder(folder, truncate_dim=0)
    with pytest.raises(ConfigError, match="the embedder is open already"):
        train(["a text"] * 9, Embedder(folder, device="cpu"), query_prompt="q: ", cache_dir=tmp_path)
    with pytest.raises(ConfigError, match="query_prompt: nothing here embeds texts"):
        train(np.eye(4, dtype=np.float32), query_prompt="q: ", cache_dir=tmp_path)
