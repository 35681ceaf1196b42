from functools import partial
from itertools import pairwise

import numpy as np
import onnx
import pytest
import torch

from steersearch.errors import ExportMismatchError
from steersearch.export.embedder import load_embedder, write_tokenizer
from steersearch.export.graphs import decoder_graph, encoder_graph
from steersearch.export.onnx_files import write_model
from steersearch.export.parity import (
    EDGE_CASES,
    LONGEST,
    MIN_TEXTS,
    SHORT,
    TOLERANCES,
    check_parity,
    parity_texts,
    reference_embeddings,
    topk_agreement,
)
from steersearch.runtime.bundle.onnx_embedder import OnnxEmbedder
from steersearch.runtime.bundle.onnx_session import open_session

from .conftest import random_sae


def compare(folder, model, sae, texts, precision="fp32"):
    session = open_session(folder / "embedder.onnx")
    embedder = OnnxEmbedder(session, folder / "tokenizer.json", model.max_seq_length, sae.config.d_in)
    return check_parity(folder, embedder, partial(reference_embeddings, model), sae, texts, precision)


@pytest.fixture(scope="module")
def folder(tiny_graphs, tiny_source, tmp_path_factory):
    path = tmp_path_factory.mktemp("parity")
    sae = random_sae(tiny_source, 32)
    write_tokenizer(load_embedder(tiny_source), path / "tokenizer.json")
    graphs = {"embedder": onnx.load_from_string(tiny_graphs["optimum"]), "encoder": encoder_graph(sae)}
    for name, graph in {**graphs, "decoder": decoder_graph(sae)}.items():
        write_model(graph, path / f"{name}.onnx")
    return path


@pytest.mark.parametrize("given", [0, 3, 255, 256, 1000])
def test_there_are_always_enough_different_real_texts(given):
    sample = [f"text number {i}" for i in range(given)]
    texts = parity_texts([*sample, *sample, " ", ""])
    real = texts[: -len(EDGE_CASES) - 1]
    assert len(real) == MIN_TEXTS
    assert len({*texts}) > MIN_TEXTS  # cutting texts to one length may make two equal, not more
    assert set(EDGE_CASES) < set(texts)
    assert {"", "word"} < set(texts)
    assert max(map(len, texts)) == len(texts[-1]) <= LONGEST
    assert len(texts[-1]) > 3000
    assert sum(len(text) > SHORT for text in real) <= 8
    if given >= MIN_TEXTS:
        assert set(real) <= set(sample)
    assert texts == parity_texts([*sample, *sample, " ", ""])


def test_agreement_by_hand():
    a = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert topk_agreement(a, a[:, ::-1]) == 1
    assert topk_agreement(a, np.array([[1, 2, 3, 9], [5, 0, 1, 8]])) == (3 + 2) / 8
    assert topk_agreement(a, a + 10) == 0


def test_figures_of_graphs_that_agree(folder, tiny_model, tiny_sae):
    texts = parity_texts([])
    figures = compare(folder, tiny_model, tiny_sae, texts, "fp32")
    assert figures["texts"] == len(texts)
    assert figures["embedder_max_abs"] < 2e-6
    assert figures["embedder_min_cosine"] == pytest.approx(1, abs=1e-6)
    assert figures["alone_max_abs"] < 2e-6
    assert figures["encoder_agreement"] >= 0.999
    assert figures["end_to_end_agreement"] >= 0.999
    assert figures["ndcg10_of_torch_ranking"] == pytest.approx(1, abs=1e-3)
    assert max(figures["encoder_max_abs"], figures["decoder_max_abs"]) < 1e-5
    assert all(type(value) in (int, float) for value in figures.values())


@pytest.mark.parametrize(
    ("parameter", "figure"),
    [("W_enc", "encoder_agreement"), ("b_enc", "encoder_max_abs"), ("W_dec", "decoder_max_abs"), ("b_dec", "decoder")],
)
def test_any_other_autoencoder_is_refused(folder, tiny_model, tiny_sae, parameter, figure):
    with torch.no_grad():
        getattr(tiny_sae, parameter).add_(torch.linspace(0, 0.1, getattr(tiny_sae, parameter).shape[-1]))
    with pytest.raises(ExportMismatchError, match=f"fp32 graphs do not reproduce .*{figure}.* is .*, allowed at") as e:
        compare(folder, tiny_model, tiny_sae, parity_texts([]), "fp32")
    assert str(e.value).endswith("Try the other exporter (--via torch or optimum)")  # and not fp32, which it is


def test_another_embedder_is_refused(folder, tiny_source, tiny_sae):
    model = load_embedder(tiny_source)
    with torch.no_grad():
        model[0].auto_model.encoder.layer[1].output.dense.weight.mul_(1.05)
    with pytest.raises(ExportMismatchError, match=r"embedder_max_abs is .*, allowed at most 1e-05"):
        compare(folder, model, tiny_sae, parity_texts([]), "fp32")


def test_nan_is_never_within_a_limit(folder, tiny_model, tiny_sae):
    tiny_sae.b_enc.data[:] = float("nan")
    with pytest.raises(ExportMismatchError, match="encoder_max_abs is nan"):
        compare(folder, tiny_model, tiny_sae, parity_texts([]), "fp32")


def test_limits_loosen_with_the_precision():
    order = [TOLERANCES[p] for p in ("fp32", "w8", "small", "int8")]
    for tighter, looser in pairwise(order):
        assert tighter.embedder_max_abs < looser.embedder_max_abs
        assert tighter.embedder_min_cosine > looser.embedder_min_cosine
        assert tighter.end_to_end_agreement > looser.end_to_end_agreement
        assert tighter.ndcg10_of_torch_ranking > looser.ndcg10_of_torch_ranking


def test_the_full_length_of_a_very_long_reader_is_not_tried():
    assert max(map(len, parity_texts([], max_length=512))) == LONGEST
    assert max(map(len, parity_texts([], max_length=32_768))) == 8192
