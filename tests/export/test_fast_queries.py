"""A query table, from fitting to searching, over the tiny embedder."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from steersearch.arrays import unit_rows
from steersearch.errors import BundleError, ChecksumError, ConfigError, DataError
from steersearch.export.fast_queries import add_fast_queries
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.bundle.fast_queries.nibbles import pack, unpack
from steersearch.runtime.bundle.fast_queries.storage import quantised, write_table
from steersearch.runtime.bundle.fast_queries.table import SEEN_OFTEN, evidence
from steersearch.runtime.bundle.manifest import FAST_QUERIES
from steersearch.training.query_table import FitSettings, fit_rows, ranking_divergence, start_rows

TINY = Path(__file__).parent.parent / "data" / "tiny_bundle"
SUBJECTS = ("stars", "cells", "music", "rivers", "engines", "gardens", "trains", "bread", "winter", "horses")
VERBS = ("shine over", "grow near", "change with", "depend on", "are older than")
TEXTS = [f"The {a} {verb} the {b}." for a in SUBJECTS for verb in VERBS for b in SUBJECTS if a != b]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fast") / "bundle"
    shutil.copytree(TINY, folder)
    found = add_fast_queries(folder, TEXTS, pieces=3000, settings=FitSettings(epochs=30), cache_dir=folder.parent)
    assert found.pieces + found.held_out <= 3000
    assert found.cosine > 0.9
    assert 0 < found.sure <= 0.6
    return folder


def test_start_rows_are_what_a_token_adds_to_the_mean() -> None:
    alone = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    rows = start_rows(alone, np.array([1, 1, 0]))
    assert rows[3] == pytest.approx([0.5, 0.5])
    assert rows[0] == pytest.approx(np.array([0.5, -0.5]) * 1e-3 / (1e-3 + 0.5), abs=1e-6)
    assert not rows[2].any()


def test_fitted_rows_find_the_vectors_of_two_words() -> None:
    targets = np.eye(2, dtype=np.float32)[[0, 1] * 100]
    tokens = [np.array([i % 2]) for i in range(200)]
    rows = fit_rows(np.full((3, 2), 0.1, np.float32), tokens, targets, FitSettings(epochs=200, learning_rate=0.01))
    found = rows[:2] + rows[2]
    assert found[0] @ [1, 0] / np.linalg.norm(found[0]) > 0.95
    assert found[1] @ [0, 1] / np.linalg.norm(found[1]) > 0.95


def test_divergence_of_rankings_by_hand() -> None:
    ranked = torch.tensor([[0.0, 1.0], [0.0, -1.0]])
    undecided, up = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    # One ranking says 1/2 and 1/2, the other nearly 1 and 0: the divergence is log 2.
    assert float(ranking_divergence(undecided, up, ranked)) == pytest.approx(np.log(2), abs=1e-6)
    assert float(ranking_divergence(up, up, ranked)) == pytest.approx(0, abs=1e-6)


def test_a_weight_on_the_ranking_brings_the_ranking_nearer() -> None:
    rng = np.random.default_rng(0)
    tokens = [rng.choice(12, 4, replace=False) for _ in range(300)]
    # What a text means is more than the sum of its tokens, so the table cannot have all of it.
    targets = unit_rows(np.array([np.sin(np.outer(row + 1, np.arange(1, 9))).prod(0) for row in tokens], np.float32))
    start = rng.standard_normal((13, 8)).astype(np.float32) / 10
    found = []
    for ranking in (0.0, 3.0):
        rows = fit_rows(start, tokens, targets, FitSettings(epochs=150, ranking=ranking))
        ours = unit_rows(np.array([rows[row].sum(0) + rows[-1] for row in tokens], np.float32))
        found.append(float(ranking_divergence(*map(torch.from_numpy, (ours, targets, targets)))))
    assert found[1] < 0.95 * found[0]


def test_the_same_seed_gives_the_same_rows() -> None:
    tokens, targets = [np.array([i % 3]) for i in range(30)], np.eye(3, dtype=np.float32)[np.arange(30) % 3]
    one, other = (fit_rows(np.full((4, 3), 0.1, np.float32), tokens, targets) for _ in range(2))
    assert (one == other).all()


def test_four_bits_keep_a_row() -> None:
    rows = np.random.default_rng(0).standard_normal((5, 16)).astype(np.float32)
    table = quantised(rows, seen=np.zeros(4, np.int64), confidence=np.zeros(5), threshold=0.0, longest=0)
    assert np.abs(table.rows() - rows).max() <= np.abs(rows).max() / 14 * 1.01


def test_evidence_of_two_rows_by_hand() -> None:
    facts = evidence(np.array([0, 3]), np.array([3.0, 4.0], np.float32), np.array([4.0, 6.0], np.float32))
    assert facts == pytest.approx([1, 0, np.log(4) / 2, np.log(3), 0.5])


def test_a_fast_query_is_close_to_the_embedders(fitted: Path) -> None:
    fast, slow = Bundle.load(fitted, queries="fast"), Bundle.load(fitted)
    query = "The stars are older than the stars."
    assert fast.embed_query(query) @ slow.embed_query(query) > 0.85
    assert np.linalg.norm(fast.embed_query(query)) == pytest.approx(1, abs=1e-6)
    assert not fast.embed_query(query).flags.writeable
    # Documents and phrases do not take the table.
    assert (fast.embed_documents([query]) == slow.embed_documents([query])).all()


@pytest.mark.parametrize("query", ["", " ", "\x00", "🜁🜂", "music " * 5000])
def test_any_text_has_a_vector(fitted: Path, query: str) -> None:
    row = Bundle.load(fitted, queries="fast").embed_query(query)
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)


def test_auto_asks_the_embedder_for_what_the_table_does_not_know(fitted: Path) -> None:
    auto, slow = Bundle.load(fitted, queries="auto"), Bundle.load(fitted)
    unknown = np.flatnonzero(auto.query_table.table.seen == 0)
    words = [auto.token_text(int(token)) for token in unknown]
    word = next(w for w in words if w.isalpha() and list(auto.query_table.tokens(w)) and len(w) > 2)
    tokens = auto.query_table.tokens(word)
    assert (auto.query_table.table.seen[tokens] < SEEN_OFTEN).any()
    assert (auto.embed_query(word) == slow.embed_query(word)).all()
    assert (auto.embed_query("") == slow.embed_query("")).all()


def test_auto_takes_the_table_where_it_is_sure(fitted: Path) -> None:
    auto, fast = Bundle.load(fitted, queries="auto"), Bundle.load(fitted, queries="fast")
    sure = [text for text in TEXTS[:60] if auto.query_table.is_sure(text, auto.query_table.embed_sure(text)[1])]
    assert sure
    assert (auto.embed_query(sure[0]) == fast.embed_query(sure[0])).all()


def test_auto_asks_the_embedder_for_a_text_longer_than_was_measured(fitted: Path) -> None:
    table = Bundle.load(fitted, queries="auto").query_table
    text = "the stars and the cells " * 50
    assert len(table.tokens(text)) > table.table.longest
    assert not table.is_sure(text, 1.0)


def test_an_index_of_before_takes_the_table(tmp_path: Path, fitted: Path) -> None:
    before = tmp_path / "bundle"
    shutil.copytree(TINY, before)
    with SteerableIndex.create(tmp_path / "index", before) as index:
        index.add(TEXTS[:50])
    with SteerableIndex.open(tmp_path / "index", bundle=fitted, queries="fast") as index:
        assert len(index.search("music and rivers", 3)) == 3
        assert index.bundle.queries == "fast"


def test_a_fast_search_loads_no_onnxruntime(tmp_path: Path, fitted: Path) -> None:
    with SteerableIndex.create(tmp_path / "index", fitted) as index:
        index.add(TEXTS[:50])
        index.search("music")
    code = (
        "import sys; from steersearch.runtime import SteerableIndex\n"
        f"index = SteerableIndex.open({str(tmp_path / 'index')!r}, queries='fast')\n"
        "assert len(index.search('music and rivers', 3)) == 3\n"
        "assert 'onnxruntime' not in sys.modules and 'torch' not in sys.modules\n"
        # Neither labels nor what only adding or verifying documents needs.
        "assert 'features' not in vars(index.bundle)\n"
        "assert not {'steersearch.corpus', 'steersearch.runtime.maintenance', 'numpy.ma'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("embedder.onnx", lambda bundle: bundle.embed_documents(["stars"])),
        ("encoder.onnx", lambda bundle: bundle.encode(bundle.embed_query("stars")[None])),
        ("features.json", lambda bundle: bundle.features),
    ],
)
def test_a_file_that_a_fast_search_does_not_open_is_compared_when_it_is(
    tmp_path: Path, fitted: Path, name, use
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(fitted, folder)
    path = folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ChecksumError):
        Bundle.load(folder)
    bundle = Bundle.load(folder, queries="fast")
    bundle.embed_query("stars")
    with pytest.raises(ChecksumError, match=f"{name} was altered after the export"):
        use(bundle)


def test_without_a_table_the_error_names_the_cure() -> None:
    with pytest.raises(ConfigError, match=r"no table for fast queries: make one with `sae fast-queries"):
        Bundle.load(TINY, queries="fast")


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(ConfigError, match="queries is 'quick': choose transformer, fast, auto"):
        Bundle.load(TINY, queries="quick")  # type: ignore[arg-type]


def test_too_few_texts_leave_the_bundle_alone(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(TINY, folder)
    with pytest.raises(DataError, match="different pieces of text: a table needs 100"):
        add_fast_queries(folder, ["one text", "another text"], cache_dir=tmp_path)
    with pytest.raises(ConfigError, match="pieces is 5"):
        add_fast_queries(folder, TEXTS, pieces=5, cache_dir=tmp_path)
    assert not (folder / FAST_QUERIES).exists()


def test_a_table_is_fitted_further_or_afresh(tmp_path: Path, fitted: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(fitted, folder)
    before = Bundle.load(folder).query_table.table
    none = FitSettings(epochs=0)
    add_fast_queries(folder, TEXTS, pieces=400, settings=none, cache_dir=tmp_path)
    further = Bundle.load(folder).query_table.table
    assert np.abs(further.rows() - before.rows()).max() <= np.abs(before.rows()).max() / 50
    assert (further.seen >= before.seen).all()
    assert further.seen.sum() > before.seen.sum()
    add_fast_queries(folder, TEXTS, pieces=400, afresh=True, settings=none, cache_dir=tmp_path)
    assert np.abs(Bundle.load(folder).query_table.table.rows() - before.rows()).max() > 0.03


def test_numbers_in_four_bits_by_hand() -> None:
    row = np.zeros((1, 40), np.float32)
    row[0, :4], row[0, 39] = [7, -7, 3.4, 0.2], -0.5
    packed, scale = pack(row)
    assert (packed.shape, scale.shape) == ((1, 32), (1, 2))
    # Low half first: 7 is 15, -7 is 1, 3 is 11, 0 is 8.
    assert packed[0, :2].tolist() == [15 | 1 << 4, 11 | 8 << 4]
    np.testing.assert_allclose(unpack(packed, scale, 40)[0, [0, 1, 2, 3, 38, 39]], [7, -7, 3, 0, 0, -0.5], atol=1e-3)
    again = pack(unpack(packed, scale, 40))
    assert (again[0] == packed).all()
    assert (again[1] == scale).all()


def test_a_table_belongs_to_a_prompt(tmp_path: Path, fitted: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(fitted, folder)
    manifest = replace(Bundle.load(folder).manifest, query_prefix="query: ")
    (folder / "manifest.json").write_text(manifest.to_json())
    with pytest.raises(BundleError, match="fitted to another embedder or prompt"):
        _ = Bundle.load(folder, queries="fast").query_table


@pytest.mark.parametrize(("kind", "message"), [("none", "has no embedder"), ("static", "is a table already")])
def test_bundles_that_need_no_table(fitted: Path, kind: str, message: str) -> None:
    bundle = Bundle.load(fitted)
    bundle.manifest = replace(bundle.manifest, embedder_kind=kind)
    with pytest.raises(ConfigError, match=message):
        add_fast_queries(bundle, TEXTS)


def test_a_damaged_table_is_refused(tmp_path: Path, fitted: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(fitted, folder)
    bundle = Bundle.load(folder, queries="fast")
    write_table(folder, bundle.manifest, bundle.files, bundle.query_table.table)
    path = folder / FAST_QUERIES
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ChecksumError):
        Bundle.load(folder, queries="fast")
    with pytest.raises((BundleError, ChecksumError)):
        _ = Bundle.load(folder, queries="fast", verify=False).query_table
