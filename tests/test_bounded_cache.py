"""Ground floor: the bounded cache."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from steersearch.bounded_cache import BoundedCache


def test_the_least_recently_used_entry_is_dropped():
    cache = BoundedCache[str, int](2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert [key in cache for key in "abc"] == [True, False, True]
    assert (len(cache), cache.get("b")) == (2, None)
    cache.put("a", 4)
    assert (len(cache), cache.get("a")) == (2, 4)
    cache.clear()
    assert (len(cache), "a" in cache) == (0, False)


def test_a_value_is_made_once():
    cache, made = BoundedCache[str, list[int]](2), []
    for _ in range(3):
        assert cache.get_or_make("a", lambda: made.append(1) or made) is made
    assert made == [1]
    cache.put("nothing", None)
    assert cache.get_or_make("nothing", lambda: 1 / 0) is None  # None is a value too


def test_the_limit_can_be_a_size():
    cache = BoundedCache[str, str](5, len)
    cache.put("a", "xx")
    cache.put("b", "xxx")
    assert len(cache) == 2
    cache.put("c", "x")
    assert [key in cache for key in "abc"] == [False, True, True]
    cache.put("large", "x" * 9)
    assert ["large" in cache, len(cache)] == [True, 1]
    cache.put("large", "x")
    cache.put("d", "xxxx")
    assert len(cache) == 2


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 6), st.booleans())))
def test_like_a_list_in_order_of_use(limit, steps):
    cache, expected = BoundedCache[int, int](limit), []
    for key, write in steps:
        if write:
            cache.put(key, -key)
        assert cache.get(key) == (-key if write or key in expected else None)
        if write or key in expected:
            expected = [*(other for other in expected if other != key), key][-limit:]
        assert len(cache) == len(expected)
    assert all(key in cache for key in expected)


def test_threads_share_it():
    cache = BoundedCache[int, int](50, lambda value: 2)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: cache.get_or_make(i % 40, lambda: i % 40), range(4000)))
    assert found == [i % 40 for i in range(4000)]
    assert len(cache) == 25
