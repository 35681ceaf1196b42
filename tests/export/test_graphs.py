import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

from steersearch.export import onnx_files
from steersearch.export.graphs import decoder_graph, encoder_graph
from steersearch.export.onnx_files import OPSET, opset_of, write_model
from steersearch.runtime.bundle.onnx_session import open_session
from steersearch.training.config import SaeConfig
from steersearch.training.sae import SparseAutoencoder


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """Four latents, one per axis of a plane and its opposite; b_dec shifts, b_enc favours the last."""
    sae = SparseAutoencoder(SaeConfig(n_latents=4, k=2, d_in=2, encoder_depth=1))
    atoms = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    for name, value in {"W_enc": atoms.T, "W_dec": atoms, "b_dec": [0.5, 0], "b_enc": [0, 0, 0, 0.25]}.items():
        getattr(sae, name).data = torch.as_tensor(value).clone()
    folder = tmp_path_factory.mktemp("graphs")
    for name, graph in {"encoder": encoder_graph(sae), "decoder": decoder_graph(sae)}.items():
        write_model(graph, folder / f"{name}.onnx")
    return open_session(folder / "encoder.onnx"), open_session(folder / "decoder.onnx")


def f32(values):
    return np.array(values, np.float32)


def test_encoder_by_hand(by_hand):
    encoder, _ = by_hand
    indices, values = encoder.run(["sae_indices", "sae_values"], {"embeddings": f32([[1, 1], [-1, -2], [0.5, 0]])})
    # x - b_dec is (.5, 1), (-1.5, -2), (0, 0); the strongest comes first; a tie goes to the lower id.
    assert indices.tolist() == [[1, 0], [3, 2], [3, 0]]
    assert values.tolist() == [[1, 0.5], [2.25, 1.5], [0.25, 0]]
    assert (indices.dtype, values.dtype) == (np.int64, np.float32)


def test_decoder_by_hand(by_hand):
    _, decoder = by_hand

    def decode(indices, values):
        return decoder.run(["reconstruction"], {"sae_indices": np.array(indices), "sae_values": f32(values)})[
            0
        ].tolist()

    assert decode([[1, 0], [3, 2]], [[1, 0.5], [2, 0]]) == [[1, 1], [0.5, -2]]
    assert decode([[1, 0, 1, 2, 3]], [[1, 1, 1, 1, 0]]) == [[0.5, 2]]  # any number of latents, one of them twice
    assert decode(np.zeros((3, 0), np.int64), np.zeros((3, 0))) == [[0.5, 0]] * 3
    assert decode(np.zeros((0, 2), np.int64), np.zeros((0, 2))) == []


@pytest.mark.parametrize(("d_in", "n_latents", "k", "depth"), [(16, 64, 4, 1), (3, 5, 5, 2), (48, 200, 1, 3)])
def test_graphs_follow_the_model_at_any_batch_size(tmp_path, d_in, n_latents, k, depth):
    torch.manual_seed(0)
    sae = SparseAutoencoder(SaeConfig(n_latents=n_latents, k=k, d_in=d_in), mean=torch.randn(d_in) * 0.1, tied=False)
    write_model(encoder_graph(sae), tmp_path / "encoder.onnx")
    write_model(decoder_graph(sae), tmp_path / "decoder.onnx")
    encoder, decoder = open_session(tmp_path / "encoder.onnx"), open_session(tmp_path / "decoder.onnx")
    for n in (0, 1, 2, 77):
        x = F.normalize(torch.randn(n, d_in), dim=1)
        with torch.no_grad():
            codes = sae.encode(x)
            expected = sae.decode(*codes).numpy() if n else np.empty((0, d_in))
        indices, values = encoder.run(["sae_indices", "sae_values"], {"embeddings": x.numpy()})
        assert indices.shape == values.shape == (n, k)
        np.testing.assert_array_equal(indices, codes.indices.numpy())
        np.testing.assert_allclose(values, codes.values.numpy(), atol=1e-6)
        rows = decoder.run(["reconstruction"], {"sae_indices": indices, "sae_values": values})[0]
        np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_names_dimensions_and_notes(tiny_sae):
    encoder, decoder = encoder_graph(tiny_sae), decoder_graph(tiny_sae)

    def interface(model):
        values = [*model.graph.input, *model.graph.output]
        return {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}

    code = ["batch", 8]
    assert interface(encoder) == {"embeddings": ["batch", 32], "sae_indices": code, "sae_values": code}
    code = ["batch", "active"]
    assert interface(decoder) == {"sae_indices": code, "sae_values": code, "reconstruction": ["batch", 32]}
    assert opset_of([encoder, decoder]) == OPSET
    assert b".py" not in encoder.SerializeToString() + decoder.SerializeToString()


def test_a_large_graph_has_its_weights_beside_it(tiny_sae, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_files, "MAPPED_ABOVE", 1000)  # 16 MB in real life
    write_model(encoder_graph(tiny_sae), tmp_path / "encoder.onnx")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["encoder.onnx", "encoder.onnx.data"]
    assert (tmp_path / "encoder.onnx").stat().st_size < 4000
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1  # whoever may read one may read the other
    x = F.normalize(torch.randn(5, 32), dim=1)
    indices = open_session(tmp_path / "encoder.onnx").run(["sae_indices"], {"embeddings": x.numpy()})[0]
    np.testing.assert_array_equal(indices, tiny_sae.encode(x).indices.numpy())
    assert onnx.load(str(tmp_path / "encoder.onnx")).ir_version <= 10
