"""An embedder that wants a prefix before queries and another before documents, from training to search."""

import json
from dataclasses import replace

import numpy as np
import pytest

from steersearch.export import export_bundle
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.training import Embedder, SaeConfig, TrainConfig, train
from steersearch.training.embedding import resolve_embedder

QUERY, DOCUMENT = "query: ", "passage: "


@pytest.fixture(scope="module")
def exported(tiny_embedder_folder, topic_texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prefixes")
    source = replace(resolve_embedder(tiny_embedder_folder), query_prefix=QUERY, document_prefix=DOCUMENT)
    sae = train(
        *(topic_texts.texts, Embedder(source, device="cpu"), SaeConfig(n_latents=64, k=8)),
        TrainConfig(steps=5, device="cpu"),
        cache_dir=folder / "cache",
    )
    sae.save(folder / "model.pt")
    manifest = export_bundle(folder / "model.pt", folder / "bundle")
    return folder / "bundle", manifest, sae


def test_both_prefixes_are_kept(exported):
    folder, manifest, sae = exported
    assert (sae.info.embedder["query_prefix"], sae.info.embedder["document_prefix"]) == (QUERY, DOCUMENT)
    assert (manifest.query_prefix, manifest.document_prefix, manifest.embedder_kind) == (QUERY, DOCUMENT, "onnx")
    assert manifest.parity["texts"] >= 2 * 256  # the gate compares both sides
    assert json.loads((folder / "manifest.json").read_text())["format_version"] == 2


def test_training_used_the_documents_side(exported, topic_texts, tiny_embedder_folder):
    _, _, sae = exported
    raw = Embedder(tiny_embedder_folder, device="cpu").embed([DOCUMENT + text for text in topic_texts.texts])
    np.testing.assert_allclose(sae.info.reference_mean, raw.mean(0), atol=1e-6)


def test_each_side_is_the_raw_graph_on_the_prefixed_text(exported, topic_texts):
    bundle, texts = Bundle.load(exported[0], threads=1), topic_texts.texts[:5]
    raw = bundle.embedder.embed
    queries = raw([QUERY + text for text in texts])
    np.testing.assert_array_equal(bundle.embed_queries(texts), queries)
    np.testing.assert_allclose(bundle.embed_query(texts[0]), queries[0], atol=1e-6)
    documents = raw([DOCUMENT + text for text in texts])
    np.testing.assert_array_equal(bundle.embed_documents(texts), documents)
    np.testing.assert_array_equal(bundle.embed(texts), documents)
    assert np.abs(queries - documents).max() > 0.01


def test_an_index_stores_documents_and_searches_with_queries(exported, topic_texts, tmp_path):
    bundle = Bundle.load(exported[0], threads=1)
    with SteerableIndex.create(tmp_path / "index", bundle) as index:
        index.add(topic_texts.texts, topic_texts.ids)
        documents = bundle.embed_documents(topic_texts.texts)
        query = bundle.embed_query("an exception is raised")
        best = index.search("an exception is raised", 3)
        assert [hit.id for hit in best] == [topic_texts.ids[row] for row in np.argsort(-(documents @ query))[:3]]
        assert best == index.search(query, 3)


def test_chunks_leave_room_for_the_prefix(exported):
    from steersearch.corpus import Document
    from steersearch.runtime.ingest.documents import chunker_for

    bundle = Bundle.load(exported[0], threads=1)
    chunks = chunker_for(bundle).cut(Document("long", "import a module. " * 100, {}))
    assert len(chunks) > 1
    whole = bundle.tokenise([DOCUMENT + chunk.text for chunk in chunks])
    assert max(map(len, whole)) < bundle.manifest.max_length  # so nothing was cut off
