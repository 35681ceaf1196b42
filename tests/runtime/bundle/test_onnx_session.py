import numpy as np
import pytest

from steersearch.cpus import usable_cpus
from steersearch.errors import ConfigError
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.bundle.onnx_embedder import OnnxEmbedder
from steersearch.runtime.bundle.onnx_session import TOKENS_PER_RUN, check_profile, open_session

from .test_embedder import Recording, write_graph, write_tokenizer


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graph")
    return write_graph(folder / "embedder.onnx"), write_tokenizer(folder / "tokenizer.json")


def test_settings_of_a_profile(files):
    options = {
        name: open_session(files[0], **how).get_session_options()
        for name, how in {
            "fast": {},
            "lean": {"profile": "lean"},
            "three": {"profile": "lean", "threads": 3},
            "mapped": {"profile": "lean", "mapped": True},
        }.items()
    }
    assert options["fast"].intra_op_num_threads == min(usable_cpus(), 8)
    assert [options[name].intra_op_num_threads for name in ("lean", "three", "mapped")] == [1, 3, 1]
    for each in options.values():
        assert each.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options["mapped"].get_session_config_entry("session.disable_prepacking") == "1"
    with pytest.raises(RuntimeError):
        options["lean"].get_session_config_entry("session.disable_prepacking")


def test_long_texts_go_through_a_few_at_a_time(files):
    texts = ["a " * 1000] * 5 + ["a"] * 40
    for budget, shapes in ((16, [(2, 8), (2, 8), (2, 8)]), (8, [(1, 8)] * 5), (1, [(1, 8)] * 5), (10**6, [(32, 8)])):
        session = Recording(open_session(files[0]))
        embedder = OnnxEmbedder(session, files[1], 8, 4, tokens_per_run=budget)  # type: ignore[arg-type]
        rows = embedder.embed(texts)
        fed = [feeds["input_ids"].shape for feeds in session.fed]
        assert fed[: len(shapes)] == shapes
        assert sum(size for size, _ in fed) == 45
        assert all(size * length <= max(budget, length) for size, length in fed)
        np.testing.assert_allclose(rows, embedder.embed(texts, batch_size=1), atol=1e-6)


def test_a_bundle_says_the_same_in_both_profiles(tiny_bundle, topic_texts):
    fast, lean = Bundle.load(tiny_bundle), Bundle.load(tiny_bundle, profile="lean")
    assert (fast.profile, lean.profile) == ("fast", "lean")
    rows = fast.embed(topic_texts.texts)
    np.testing.assert_allclose(lean.embed(topic_texts.texts), rows, atol=1e-6)
    for ours, theirs in zip(lean.encode(rows), fast.encode(rows), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert lean.embedder.tokens_per_run == TOKENS_PER_RUN["lean"] < fast.embedder.tokens_per_run
    assert lean.embedder.session.get_session_options().get_session_config_entry("session.disable_prepacking") == "1"
    assert lean.autoencoder._encoder.get_session_options().intra_op_num_threads == 1


def test_an_index_opens_in_a_profile(tiny_index, topic_texts):
    with SteerableIndex.open(tiny_index.path, profile="lean", threads=2) as index:
        assert index.bundle.profile == "lean"
        assert index.bundle.embedder.session.get_session_options().intra_op_num_threads == 2
        hits = index.search(topic_texts.texts[7], 3, boost={"f1": 0.0})
    assert [hit.id for hit in hits] == [hit.id for hit in tiny_index.search(topic_texts.texts[7], 3)]


def test_wrong_use(tiny_bundle, tiny_index, tmp_path):
    assert check_profile("lean") == "lean"
    for call in (
        lambda: Bundle.load(tmp_path / "none", profile="tiny"),  # type: ignore[arg-type]
        lambda: SteerableIndex.open(tiny_index.path, profile="tiny"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigError, match="profile is 'tiny': choose fast or lean"):
            call()
    for odd in ([], {}, None, np.ones(2)):
        with pytest.raises(ConfigError, match=r"profile is .*: choose fast or lean"):
            Bundle.load(tiny_bundle, profile=odd)  # type: ignore[arg-type]
    for threads in (0, "2", 1.5, True, [], np.nan):
        with pytest.raises(ConfigError, match=r"threads is .*: it must be a whole number of at least 1"):
            Bundle.load(tiny_bundle, threads=threads)  # type: ignore[arg-type]
