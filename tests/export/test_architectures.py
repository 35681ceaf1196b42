"""Each architecture that people use, from its folder to search, against sentence-transformers' own two sides."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from steersearch.export import export_bundle
from steersearch.export.embedder import embedder_graph, load_embedder, write_tokenizer
from steersearch.export.onnx_files import write_model
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.bundle.onnx_embedder import OnnxEmbedder
from steersearch.runtime.bundle.onnx_session import open_session
from steersearch.training import SaeConfig, TrainConfig, train
from steersearch.training.embedding import Embedder, resolve_embedder

from ..tiny_architectures import ARCHITECTURES, D, build_architecture

TEXTS = [
    *("", "word", " two  words ", "ÀÉÎ naïve ß", "漢字 한국어 🎉", "import " * 200),
    *("An exception is raised when an error occurs.", "The import statement finds a module and loads it."),
]


def sides_of(folder: Path, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """What sentence-transformers gives as queries and as documents, with its own padding: unit rows."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    if model.tokenizer.pad_token is None:
        model.tokenizer.pad_token = model.tokenizer.eos_token
    # Since version 5 an empty prompt called document hides the one called passage.
    name = {"prompt_name": "passage"} if "passage" in model.prompts else {}
    rows = model.encode_query(texts), model.encode_document(texts, **name)
    return tuple(np.asarray(row / np.linalg.norm(row, axis=1, keepdims=True)) for row in rows)  # type: ignore[return-value]


def cosines(rows: np.ndarray, expected: np.ndarray) -> np.ndarray:
    assert rows.shape == expected.shape
    return (rows * expected).sum(1)


def runtime_embedder(folder: Path, scratch: Path, via: str = "auto", **changes) -> OnnxEmbedder:
    """The embedder of a bundle, without the autoencoder."""
    source = resolve_embedder(folder, **changes)
    model = load_embedder(source)
    scratch.mkdir()
    write_tokenizer(model, scratch / "tokenizer.json")
    write_model(embedder_graph(model, via, scratch), scratch / "embedder.onnx")
    width = model.get_sentence_embedding_dimension()
    session = open_session(scratch / "embedder.onnx", threads=1)
    prompts = {"query_prefix": source.query_prefix, "document_prefix": source.document_prefix}
    return OnnxEmbedder(session, scratch / "tokenizer.json", source.max_length, width, **prompts)


@pytest.fixture(autouse=True)
def quiet():
    # Exporters and tokenizers of some architectures warn about themselves.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_both_sides_are_those_of_sentence_transformers(name, tmp_path):
    folder = build_architecture(tmp_path / "model", name)
    queries, documents = sides_of(folder, TEXTS)
    assert np.abs(queries - documents).max() > 0.01
    in_torch = Embedder(folder, device="cpu")
    assert cosines(in_torch.embed_queries(TEXTS), queries).min() > 0.99999
    assert cosines(in_torch.embed_documents(TEXTS), documents).min() > 0.99999
    exported = runtime_embedder(folder, tmp_path / "exported")
    assert cosines(exported.embed_queries(TEXTS), queries).min() > 0.99999
    assert cosines(exported.embed_documents(TEXTS), documents).min() > 0.99999


@pytest.mark.parametrize(
    "name",
    [
        each if each in ("xlm-roberta", "llama") else pytest.param(each, marks=pytest.mark.slow)
        for each in ARCHITECTURES
    ],
)
def test_from_the_folder_to_search(name, topic_texts, tmp_path):
    folder = build_architecture(tmp_path / "model", name)
    sae = train(
        *(topic_texts.texts, folder, SaeConfig(n_latents=64, k=8), TrainConfig(steps=5, device="cpu")),
        cache_dir=tmp_path / "cache",
    )
    sae.save(tmp_path / "model.pt")
    manifest = export_bundle(tmp_path / "model.pt", tmp_path / "bundle")
    assert manifest.parity["embedder_min_cosine"] > 0.99999
    asked = ["an exception is raised", "what loads a module"]
    queries, documents = sides_of(folder, [*asked, *topic_texts.texts])
    scores = queries[: len(asked)] @ documents[len(asked) :].T
    with SteerableIndex.create(tmp_path / "index", Bundle.load(tmp_path / "bundle", threads=1)) as index:
        index.add(topic_texts.texts, topic_texts.ids)
        for query, row in zip(asked, scores, strict=True):
            hits = index.search(query, 60)
            np.testing.assert_allclose([hit.score for hit in hits], np.sort(row)[::-1], atol=1e-5)
            assert hits[0].id == topic_texts.ids[int(np.argmax(row))]
            assert index.search(query, 3, boost={"f1": 1.0})


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_torch_exports_it_too(name, tmp_path):
    folder = build_architecture(tmp_path / "model", name)
    queries, _ = sides_of(folder, TEXTS)
    exported = runtime_embedder(folder, tmp_path / "exported", "torch")
    assert cosines(exported.embed_queries(TEXTS), queries).min() > 0.99999


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_eight_bits(name, topic_texts, tmp_path):
    """Weights of random models lose more by rounding than trained ones; here nothing must break."""
    from steersearch.export.quantize import quantize

    folder = build_architecture(tmp_path / "model", name)
    model = load_embedder(resolve_embedder(folder))
    write_tokenizer(model, tmp_path / "tokenizer.json")
    write_model(quantize(embedder_graph(model, "auto", tmp_path), "w8", tmp_path), tmp_path / "embedder.onnx")
    width = model.get_sentence_embedding_dimension()
    small = OnnxEmbedder(open_session(tmp_path / "embedder.onnx", threads=1), tmp_path / "tokenizer.json", 64, width)
    expected = Embedder(folder, device="cpu").embed(topic_texts.texts)
    assert cosines(small.embed(topic_texts.texts), expected).mean() > 0.98
    assert expected.shape[1] == width == (16 if name == "distilbert" else D)
