import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch.metrics import unit_codes
from steersearch.runtime import SteerableIndex
from steersearch.runtime.search.inverted_lists import InvertedLists
from steersearch.runtime.search.query import best_rows
from steersearch.runtime.steering.change import Change


def test_ties_go_to_the_earlier_row():
    rows, scores = best_rows(np.array([9, 4, 7, 5]), np.array([0.5, 0.5, 0.9, 0.5], np.float32), 2)
    assert rows.tolist() == [7, 4]
    assert scores.tolist() == [np.float32(0.9), np.float32(0.5)]
    assert best_rows(np.array([1]), np.array([0.1], np.float32), 5)[0].tolist() == [1]
    assert len(best_rows(np.zeros(0, int), np.zeros(0, np.float32), 5)[0]) == 0


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 6))
def test_inverted_lists_equal_the_cosine_of_dense_codes(seed, n, k):
    rng = np.random.default_rng(seed)
    n_latents = 15
    indices = np.array([rng.choice(n_latents, k, replace=False) for _ in range(n)])
    values = np.maximum(rng.uniform(-0.3, 1, (n, k)), 0).astype(np.float32)
    rows = np.sort(rng.choice(1000, n, replace=False))
    dense = np.zeros((n, n_latents), np.float32)
    np.put_along_axis(dense, indices, values, 1)
    half = n // 2
    view = InvertedLists(rows, [(indices[:half], values[:half]), (indices[half:], values[half:])], n_latents)
    latents = np.sort(rng.choice(n_latents, 4, replace=False))
    after = rng.standard_normal(4).astype(np.float32)
    change = Change(latents, np.zeros(4, np.float32), after)
    _, scores = view.search(change, 5, None)
    expected = unit_codes(dense)[:, latents] @ unit_codes(after[None])[0]
    assert np.allclose(scores, np.sort(expected)[::-1][:5], atol=1e-5)
    allowed = rows[::2]
    narrowed, _ = view.search(change, n, allowed)
    assert sorted(narrowed.tolist()) == allowed.tolist()


N_LATENTS, WIDTH = 15, 4


def code_of(row):
    """The code of a document is made from its row id."""
    rng = np.random.default_rng(row)
    return rng.choice(N_LATENTS, WIDTH, replace=False), np.maximum(rng.uniform(-0.3, 1, WIDTH), 0).astype(np.float32)


def codes_of(rows):
    codes = [code_of(row) for row in rows]
    return (
        np.array([indices for indices, _ in codes], np.int64).reshape(-1, WIDTH),
        np.array([values for _, values in codes], np.float32).reshape(-1, WIDTH),
    )


def view_of(rows):
    return InvertedLists(np.array(rows, np.int64), [codes_of(rows)], N_LATENTS)


QUERY = Change(np.array([1, 4, 7, 9, 14]), np.zeros(5, np.float32), np.array([0.9, -0.4, 0.3, 1.2, 0.05], np.float32))


def answers(view, allowed=None):
    return [part.tolist() for idf in (False, True) for part in view.search(QUERY, 7, allowed, idf=idf)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 9), st.lists(st.integers(0, 60), max_size=6)), max_size=14))
def test_any_sequence_of_changes_gives_the_answers_of_a_fresh_view_bit_for_bit(steps):
    view, kept, last = view_of([]), [], 0
    for added, removed in steps:
        rows = list(range(last + 1, last + 1 + added))
        last += added
        view.add(np.array(rows), [codes_of(rows)])
        view.remove(np.array(removed, np.int64))
        kept = [row for row in [*kept, *rows] if row not in removed]
        assert view.rowids.tolist() == kept
        assert answers(view) == answers(view_of(kept))
        allowed = np.array(kept[::2], np.int64)
        assert answers(view, allowed)[:2] == answers(view_of(kept[::2]))[:2]  # idf is that of all documents
        assert view.has(np.array(kept[-3:], np.int64), *codes_of(kept[-3:]))
        assert not kept or not view.has(np.array(kept[-1:], np.int64), *codes_of([10_000]))


def test_idf_by_hand():
    """Latent 0 is in all three documents, latent 1 in one; every code is one latent or two equal ones."""
    indices, values = np.array([[0, 1], [0, 2], [0, 2]]), np.array([[1, 1], [1, 0], [1, 0]], np.float32)
    view = InvertedLists(np.array([10, 20, 30]), [(indices, values)], 3)
    query = Change(np.array([0, 1]), np.zeros(2, np.float32), np.ones(2, np.float32))
    half = np.sqrt(0.5)
    np.testing.assert_allclose(view.search(query, 3, None)[1], [1, half, half], rtol=1e-6)
    rare, common = np.log(4), np.log(2)
    rows, scores = view.search(query, 3, None, idf=True)
    assert rows.tolist() == [10, 20, 30]
    np.testing.assert_allclose(scores, [half * half * (common + rare), half * common, half * common], rtol=1e-6)
    view.remove(np.array([30]))
    np.testing.assert_allclose(view.search(query, 1, None, idf=True)[1], [(np.log(2) + np.log(3)) / 2], rtol=1e-6)


def test_lists_are_saved_and_read_and_a_damaged_file_is_not(tmp_path):
    view = view_of(range(1, 300))
    view.remove(np.array([5, 299]))
    view.save(tmp_path, 7)
    again = InvertedLists.load(tmp_path, n_latents=N_LATENTS)
    assert answers(again) == answers(view)
    assert (again.saved_generation, again.rowids.tolist()) == (7, view.rowids.tolist())
    assert InvertedLists.load(tmp_path, n_latents=N_LATENTS + 1) is None
    path = tmp_path / "latent-values.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert InvertedLists.load(tmp_path, n_latents=N_LATENTS) is None
    view_of([]).save(tmp_path / "empty", 0)
    assert InvertedLists.load(tmp_path / "empty", n_latents=N_LATENTS) is None


def test_the_index_keeps_its_lists_in_step_and_in_the_cache(tiny_index, monkeypatch):
    def found(index):
        return [(hit.id, hit.score) for hit in index.search("an integer is a number", 60, view="latent")]

    found(tiny_index)
    tiny_index.add(["an integer and another integer", "a module"], ids=["new", "other"])
    tiny_index.delete(["numbers-3", "other"])
    expected, path = found(tiny_index), tiny_index.path
    assert "new" in dict(expected)
    tiny_index.close()
    with SteerableIndex.open(path) as index, monkeypatch.context() as patch:
        patch.setattr(index._store, "iter_codes", lambda after_rowid: 1 / 0)
        assert found(index) == expected
    for file in (path / "cache").glob("latent*"):
        file.unlink()
    with SteerableIndex.open(path, readonly=True) as index:
        assert found(index) == expected
    assert not list((path / "cache").glob("latent*"))
