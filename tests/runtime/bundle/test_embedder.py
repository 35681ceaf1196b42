import os
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from steersearch.cpus import usable_cpus
from steersearch.errors import BundleError, ConfigError, DataError
from steersearch.runtime.bundle.onnx_embedder import OnnxEmbedder
from steersearch.runtime.bundle.onnx_session import MAX_THREADS, open_session

WORDS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "b": 5, "c": 6, "aa": 7}
# What a token adds to the sum: "a", "b", "c" one axis each, [CLS] a little of the last so that no sum is zero.
TABLE = np.zeros((8, 4), np.float32)
TABLE[4, 0] = TABLE[5, 1] = TABLE[6, 2] = 1
TABLE[7, :2] = 1
TABLE[2, 3] = 1e-3
TABLE[0] = 100  # a padding token that is not masked would show


def write_tokenizer(path: Path, *, special: bool = True, padding: bool = True) -> Path:
    tokenizer = Tokenizer(models.WordPiece(WORDS, unk_token="[UNK]", max_input_chars_per_word=20))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if special:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(3)  # as in all-MiniLM-L6-v2, the file disagrees with how the model is used
    if padding:
        tokenizer.enable_padding(length=12)
    tokenizer.save(str(path))
    return path


def write_graph(path: Path, *, inputs: tuple[str, ...] = ("input_ids", "attention_mask"), output="sentence_embedding"):
    """The sum of the token vectors under the mask, divided by its length."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("Cast", ["attention_mask"], ["float_mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["float_mask", "last"], ["mask"]),
        helper.make_node("Mul", ["tokens", "mask"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "middle"], ["sum"], keepdims=0),
        helper.make_node("ReduceL2", ["sum", "last"], ["length"], keepdims=1),
        helper.make_node("Div", ["sum", "length"], [output]),
    ]
    constants = {"table": TABLE, "last": np.array([-1]), "middle": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(path))
    return path


class Recording:
    """A real session that also keeps what it was fed."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self.fed: list[dict[str, np.ndarray]] = []

    def __getattr__(self, name):
        return getattr(self._session, name)

    def run(self, outputs, feeds, options=None):
        self.fed.append(feeds)
        return self._session.run(outputs, feeds)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("graph")
    write_graph(folder / "embedder.onnx")
    write_tokenizer(folder / "tokenizer.json")
    return folder


@pytest.fixture(scope="module")
def shared(files) -> OnnxEmbedder:
    return OnnxEmbedder(open_session(files / "embedder.onnx"), files / "tokenizer.json", 8, 4)


@pytest.fixture
def recording(files) -> tuple[OnnxEmbedder, list[dict[str, np.ndarray]]]:
    session = Recording(open_session(files / "embedder.onnx"))
    return OnnxEmbedder(session, files / "tokenizer.json", max_length=8, d_in=4), session.fed  # type: ignore[arg-type]


def test_values_by_hand(shared):
    rows = shared.embed(["a", "b", "a b", "a a b", "c b a"])
    expected = np.array([[1, 0, 0], [0, 1, 0], [0.5**0.5, 0.5**0.5, 0], [0.8**0.5, 0.2**0.5, 0], [3**-0.5] * 3])
    np.testing.assert_allclose(rows[:, :3], expected, atol=1e-3)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


@given(st.lists(st.text("ab c", max_size=40), max_size=12), st.integers(1, 5))
def test_a_text_has_one_embedding_wherever_it_stands(shared, texts, batch_size):
    alone = [shared.embed([text])[0] for text in texts]
    together = shared.embed(texts, batch_size=batch_size)
    assert together.shape == (len(texts), 4)
    np.testing.assert_allclose(together, np.reshape(alone, (-1, 4)), atol=1e-6)


def test_the_tokenizer_files_own_truncation_and_padding_do_not_count(recording):
    embedder, fed = recording
    embedder.embed(["a b c a", "a"], batch_size=2)
    assert fed[0]["input_ids"].tolist() == [[2, 4, 5, 6, 4, 3], [2, 4, 3, 0, 0, 0]]  # not cut at 3, not padded to 12
    assert fed[0]["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]]
    embedder.embed(["a b " * 50])
    assert fed[1]["input_ids"].tolist() == [[2, 4, 5, 4, 5, 4, 5, 3]]  # cut at max_length, with its [SEP]


def test_neighbours_in_length_share_a_batch(recording):
    embedder, fed = recording
    calls: list[tuple[int, int]] = []
    embedder.embed(["a b c a b", "a", "a b c a b", "b"], batch_size=2, progress=lambda *step: calls.append(step))
    assert sorted(feeds["input_ids"].shape for feeds in fed) == [(2, 3), (2, 7)]
    assert calls == [(2, 4), (4, 4)]


def test_more_texts_than_one_window(shared):
    texts = [("a", "b", "a b c")[i % 3] for i in range(100)]
    three = shared.embed(["a", "b", "a b c"])
    np.testing.assert_array_equal(shared.embed(texts, batch_size=1), three[np.arange(100) % 3])


def test_one_text_per_run_when_the_batch_matters(files):
    session = Recording(open_session(files / "embedder.onnx"))
    embedder = OnnxEmbedder(session, files / "tokenizer.json", 8, 4, batch_invariant=False)  # type: ignore[arg-type]
    embedder.embed(["a", "b c", "c"])
    assert [feeds["input_ids"].shape[0] for feeds in session.fed] == [1, 1, 1]


def test_feeds_what_the_graph_has(files, tmp_path):
    path = write_graph(tmp_path / "x.onnx", inputs=("input_ids", "token_type_ids", "attention_mask"))
    session = Recording(open_session(path))
    OnnxEmbedder(session, files / "tokenizer.json", 8, 4).embed(["a b"])  # type: ignore[arg-type]
    assert session.fed[0]["token_type_ids"].tolist() == [[0, 0, 0, 0]]
    path = write_graph(tmp_path / "y.onnx", inputs=("input_ids", "attention_mask", "pixel_values"))
    with pytest.raises(BundleError, match="pixel_values"):
        OnnxEmbedder(open_session(path), files / "tokenizer.json", 8, 4)


def test_graphs_and_tokenizers_that_do_not_fit(files, tmp_path):
    session = open_session(files / "embedder.onnx")
    with pytest.raises(BundleError, match="expected sentence_embedding of width 5"):
        OnnxEmbedder(session, files / "tokenizer.json", 8, 5)
    with pytest.raises(BundleError, match="expected sentence_embedding"):
        OnnxEmbedder(open_session(write_graph(tmp_path / "o.onnx", output="x")), files / "tokenizer.json", 8, 4)
    (tmp_path / "tokenizer.json").write_text("{}")
    for path in (tmp_path / "tokenizer.json", tmp_path / "none.json"):
        with pytest.raises(BundleError, match="cannot be read"):
            OnnxEmbedder(session, path, 8, 4)


def test_padding_id_is_found_without_padding_in_the_file(files, tmp_path):
    path = write_tokenizer(tmp_path / "tokenizer.json", padding=False)
    session = Recording(open_session(files / "embedder.onnx"))
    OnnxEmbedder(session, path, 8, 4).embed(["a", "a b c"])  # type: ignore[arg-type]
    assert session.fed[0]["input_ids"].tolist() == [[2, 4, 5, 6, 3], [2, 4, 3, 0, 0]]


def test_empty_inputs(shared, files, tmp_path):
    assert shared.embed([]).shape == (0, 4)
    odd = shared.embed(["", "\x00", "\N{ROCKET}\N{ZERO WIDTH JOINER}", " \n"])
    np.testing.assert_allclose(odd[:, 3], 1)  # nothing but [CLS] and [UNK]
    bare = write_tokenizer(tmp_path / "tokenizer.json", special=False)
    with pytest.raises(DataError, match="'' has no tokens"):
        OnnxEmbedder(open_session(files / "embedder.onnx"), bare, 8, 4).embed(["a", ""])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a b", r"one str: put it in a list"),
        (b"a b", r"one bytes"),
        (["a", 3], r"texts\[1\] is a int"),
        (["a", None], r"texts\[1\] is a NoneType"),
        (["a", "b", "é\ud800"], r"texts\[2\] is not valid Unicode: a lone surrogate at character 1"),
    ],
)
def test_what_is_not_a_list_of_texts(shared, texts, message):
    with pytest.raises(DataError, match=message):
        shared.embed(texts)


def test_batch_size_below_one(shared):
    with pytest.raises(ConfigError, match="batch_size is 0"):
        shared.embed(["a"], batch_size=0)


@given(st.lists(st.tuples(st.sampled_from(["a", "b ", " ", "c.", "é", "x"]), st.integers(1, 700)), max_size=6))
def test_cutting_long_texts_first_changes_no_token(shared, parts):
    # max_length 8 means that everything above 256 characters goes through the cut.
    text = "".join(piece * times for piece, times in parts)
    whole = shared._tokenizer.encode(text.strip()).ids
    assert shared._tokenise([text])[0].tolist() == whole
    assert len(whole) <= 8


@pytest.mark.parametrize("text", ["a" * 10**6, " " * 10**6 + "a", "a b " * 250_000, "\N{ROCKET}" * 10**6, "漢" * 10**6])
def test_a_megabyte_takes_no_time(files, text):
    embedder = OnnxEmbedder(open_session(files / "embedder.onnx"), files / "tokenizer.json", 256, 4)
    start = time.process_time()
    rows = embedder.embed([text, "a"])
    assert time.process_time() - start < 3
    if text.startswith(" "):  # after a million blanks there is still a word, and it counts
        np.testing.assert_array_equal(rows[0], rows[1])


def test_session_settings(files):
    options = open_session(files / "embedder.onnx").get_session_options()
    assert options.intra_op_num_threads == min(usable_cpus(), MAX_THREADS) >= 1
    assert (options.inter_op_num_threads, options.log_severity_level) == (1, 3)
    assert options.enable_cpu_mem_arena  # `run` gives its memory back
    assert not options.enable_mem_pattern
    assert open_session(files / "embedder.onnx", threads=3).get_session_options().intra_op_num_threads == 3
    if hasattr(os, "sched_getaffinity"):
        assert usable_cpus() == len(os.sched_getaffinity(0))


def test_sessions_that_cannot_be_opened(files, tmp_path):
    with pytest.raises(ConfigError, match="threads is 0"):
        open_session(files / "embedder.onnx", threads=0)
    broken = tmp_path / "broken.onnx"
    for content in (b"", b"not a graph", (files / "embedder.onnx").read_bytes()[:-40]):
        broken.write_bytes(content)
        with pytest.raises(BundleError, match=r"cannot load .*broken\.onnx"):
            open_session(broken)
    with pytest.raises(BundleError, match="cannot load"):
        open_session(tmp_path / "none.onnx")


def test_each_side_has_its_prefix(files, shared):
    two = OnnxEmbedder(
        *(open_session(files / "embedder.onnx"), files / "tokenizer.json", 8, 4),
        query_prefix="a ",
        document_prefix="b ",
    )
    texts = ["c", "a b"]
    np.testing.assert_array_equal(two.embed_queries(texts), shared.embed(["a c", "a a b"]))
    np.testing.assert_array_equal(two.embed_documents(texts), shared.embed(["b c", "b a b"]))
    np.testing.assert_array_equal(two.embed(texts), shared.embed(texts))
    np.testing.assert_array_equal(shared.embed_queries(texts), shared.embed_documents(texts))
    assert [list(ids) for ids in two.tokenise(texts)] == [list(ids) for ids in shared.tokenise(texts)]
    for wrong in ("text", [1], ["\ud800"]):
        with pytest.raises(DataError):
            two.embed_queries(wrong)
