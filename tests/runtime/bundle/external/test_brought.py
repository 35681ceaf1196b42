"""Everything that can be brought as `embedder=`, checked against the model, counted and cached."""

import logging
import multiprocessing
import pickle
import sqlite3
import threading

import numpy as np
import pytest

from steersearch.errors import ConfigError, DataError, EmbedderError
from steersearch.runtime import Bundle, EmbeddingService, ExternalEmbedder, SteerableIndex
from steersearch.runtime.bundle.external.calls import SMALL
from steersearch.runtime.bundle.external.vector_cache import NAME
from steersearch.runtime.interpret.pipeline import prepare_labels

from ....bare_bundle import PROBES
from ....embedding_server import hashed, running, status

pytestmark = pytest.mark.usefixtures("own_cache")
TEXTS = ["moon and planet", "piano concert", "cheese and bread", "the whale", "a rocket to the moon"]
MANY = [f"moon and planet {i}" for i in range(SMALL + 6)]


class LangChainLike:
    """Embeddings as LangChain has them, with another side for queries if there is a prompt."""

    def __init__(self, whole, prompt="", model=None):
        self.whole, self.prompt, self.model = whole, prompt, model
        self.asked = []

    def embed_documents(self, texts):
        self.asked.append(("documents", list(texts)))
        return self.whole.embed_documents(texts).tolist()

    def embed_query(self, text):
        self.asked.append(("query", text))
        return self.whole.embed_queries([self.prompt + text])[0].tolist()


@pytest.fixture
def server(whole):
    with running(lambda texts: whole.embed_documents(list(texts))) as found:
        yield found


@pytest.fixture
def bundle(bare_folder, server):
    """The bundle with the server."""
    return Bundle.load(bare_folder, threads=1, embedder=server.address)


def same(one, other):
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_service_embeds_as_the_model_itself(bundle, whole, server):
    assert bundle.embeds
    same(bundle.embed_documents(TEXTS), whole.embed_documents(TEXTS))
    same(bundle.embed_queries(TEXTS), whole.embed_queries(TEXTS))
    same(bundle.embed_query("the moon"), whole.embed_query("the moon"))
    # The model that the bundle was made with is asked for: first the probes, then what was wanted, once.
    assert {request["model"] for _, _, request in server.seen} == {"tiny-embedding-1"}
    assert [request["input"] for _, _, request in server.seen] == [PROBES, TEXTS, ["the moon"]]
    usage = bundle.embedder.usage
    assert (usage.calls, usage.texts, usage.cached) == (3, 14, 5)


def test_all_forms_embed_alike(bare_folder, whole):
    class Ours:
        embed_documents, embed_queries = staticmethod(whole.embed_documents), staticmethod(whole.embed_queries)

    class SentenceModel:
        """Callable too, with a mapping."""

        def __call__(self, features):
            raise AssertionError("not to be called")

        def encode(self, texts):
            return whole.embed_documents(texts)

    as_lists = lambda texts: [row.tolist() for row in 7.5 * whole.embed_documents(texts)]  # noqa: E731
    forms = [Ours(), LangChainLike(whole), whole.embed_documents, as_lists, SentenceModel(), whole.embedder]
    forms += [(whole.embed_documents, whole.embed_queries), ExternalEmbedder(as_lists)]
    for form in forms:
        opened = Bundle.load(bare_folder, threads=1, embedder=form)
        for call in ("embed_documents", "embed_queries"):
            found = getattr(opened, call)(TEXTS)
            assert found.dtype == np.float32
            same(found, whole.embed_documents(TEXTS))
        assert opened.embed_documents([]).shape == (0, 16)


def test_the_tokens_of_the_embedder_are_used_where_it_has_any(bare_folder, whole):
    opened = Bundle.load(bare_folder, threads=1, embedder=whole.embedder)
    np.testing.assert_array_equal(opened.tokenise(["the moon"])[0], whole.tokenise(["the moon"])[0])
    opened = Bundle.load(bare_folder, threads=1, embedder=whole.embed_documents)
    assert [opened.token_text(int(token)) for token in opened.tokenise(["The moon"])[0]] == ["", "the", "moon"]


def test_two_sides_stay_two(bare_folder, whole):
    theirs = LangChainLike(whole, prompt="recipe soup ", model="prompted")
    opened = Bundle.load(bare_folder, threads=1, embedder=theirs)
    same(opened.embed_queries(TEXTS), whole.embed_queries([f"recipe soup {text}" for text in TEXTS]))
    same(opened.embed_documents(TEXTS), whole.embed_documents(TEXTS))
    again = Bundle.load(bare_folder, threads=1, embedder=LangChainLike(whole, prompt="recipe soup ", model="prompted"))
    same(again.embed_queries(TEXTS), opened.embed_queries(TEXTS))
    assert again.embedder.usage.calls == 0


def test_many_queries_are_documents_where_that_is_the_same(bare_folder, whole):
    theirs = LangChainLike(whole)
    opened = Bundle.load(bare_folder, threads=1, embedder=theirs)
    opened.embed_queries(TEXTS)
    opened.embed_queries(["one more", "and another"])
    assert [kind for kind, _ in theirs.asked] == ["documents", "query", "documents", "documents"]


def test_vectors_are_kept_on_the_disk(bare_folder, whole, server, own_cache):
    for _ in range(2):
        opened = Bundle.load(bare_folder, threads=1, embedder=server.address)
        same(opened.embed_documents(TEXTS), whole.embed_documents(TEXTS))
    assert len(server.seen) == 2
    assert (own_cache / NAME).stat().st_size > 0
    # Another model, address or size is another space.
    opened = Bundle.load(bare_folder, threads=1, embedder=EmbeddingService(server.address, "other"))
    opened.embed_documents(TEXTS)
    assert len(server.seen) == 4


def test_only_who_names_a_model_is_kept_on_the_disk(bare_folder, whole, own_cache, tmp_path):
    for form in (whole.embed_documents, LangChainLike(whole)):
        Bundle.load(bare_folder, threads=1, embedder=form).embed_documents(TEXTS)
        assert not own_cache.exists()
    form = ExternalEmbedder(whole.embed_documents, cache=True, cache_dir=tmp_path / "mine")
    Bundle.load(bare_folder, threads=1, embedder=form).embed_documents(TEXTS)
    assert (tmp_path / "mine" / NAME).exists()
    form = ExternalEmbedder(LangChainLike(whole, model="m"), cache=False)
    Bundle.load(bare_folder, threads=1, embedder=form).embed_documents(TEXTS)
    assert not own_cache.exists()
    Bundle.load(bare_folder, threads=1, embedder=LangChainLike(whole, model="m")).embed_documents(TEXTS)
    assert (own_cache / NAME).exists()


def test_a_text_is_sent_once_and_what_fails_loses_nothing(bare_folder, whole, server):
    service = EmbeddingService(server.address, batch=2, patience=0, concurrency=1)
    opened = Bundle.load(bare_folder, threads=1, embedder=service)
    same(opened.embed_documents([*TEXTS, *TEXTS]), whole.embed_documents([*TEXTS, *TEXTS]))
    assert server.texts == [*PROBES, *TEXTS]
    more = ["bee", "rose", "tree", "soil", "seed"]
    server.faults[:] = [None, lambda handler, texts: handler.reply(b"", 403)]
    with pytest.raises(EmbedderError, match="403"):
        opened.embed_documents(more)
    del server.seen[:]
    opened.embed_documents(more)
    assert server.texts == ["tree", "soil", "seed"]


def test_calls_run_four_at_a_time_and_the_order_stays(bare_folder, whole, server):
    barrier = threading.Barrier(4, timeout=10)

    def together(handler, texts):
        barrier.wait()
        handler.answer(whole.embed_documents(list(texts)))

    opened = Bundle.load(bare_folder, threads=1, embedder=EmbeddingService(server.address, batch=10))
    opened.embed_query("first")
    server.faults[:] = [together] * 8
    texts = [f"moon and planet {i} of {'cheese' if i % 2 else 'whale'}" for i in range(80)]
    done = []
    same(opened.embed_documents(texts, progress=lambda *now: done.append(now)), whole.embed_documents(texts))
    assert done == [(10 * i, 80) for i in range(1, 9)]
    assert sorted(server.texts[len(PROBES) + 1 :]) == sorted(texts)
    assert (opened.embedder.usage.calls, opened.embedder.usage.texts) == (10, 81 + len(PROBES))


def test_calls_beside_one_that_fails_are_kept(bare_folder, server):
    service = EmbeddingService(server.address, batch=10, patience=0)
    opened = Bundle.load(bare_folder, threads=1, embedder=service)
    opened.embed_query("first")
    del server.seen[:]
    server.faults[:] = [None, None, status(403)]
    with pytest.raises(EmbedderError, match="403"):
        opened.embed_documents(MANY)
    sent = len(server.texts)
    assert 20 <= sent - 10 < len(MANY)
    del server.seen[:]
    opened.embed_documents(MANY)
    assert len(server.texts) == len(MANY) - (sent - 10)


def test_an_interrupt_ends_it_and_the_same_call_goes_on(bare_folder, whole, server):
    opened = Bundle.load(bare_folder, threads=1, embedder=EmbeddingService(server.address, batch=10))

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened.embed_documents(MANY, progress=interrupt)
    same(opened.embed_documents(MANY), whole.embed_documents(MANY))


def test_a_service_that_is_busy_is_asked_again_when_it_says(bare_folder, whole, server):
    opened = Bundle.load(bare_folder, threads=1, embedder=EmbeddingService(server.address, batch=10))
    opened.embed_query("first")
    server.faults[:] = [status(429, Retry_After="0.02")] * 3 + [status(503, Retry_After="0")]
    same(opened.embed_documents(MANY), whole.embed_documents(MANY))
    assert sum(len(request["input"]) for _, _, request in server.seen) == len(PROBES) + 1 + len(MANY) + 40


def test_progress_counts_what_was_there(bundle):
    bundle.embed_documents(TEXTS[:2])
    done = []
    bundle.embed_documents(TEXTS, progress=lambda *now: done.append(now))
    assert done == [(2, 5), (5, 5)]


def test_another_model_is_noticed(bare_folder, whole, server):
    server.embed = hashed
    opened = Bundle.load(bare_folder, threads=1, embedder=server.address)
    for _ in range(2):
        with pytest.raises(EmbedderError) as raised:
            opened.embed_query("moon")
        message = str(raised.value)
        assert f"{server.address} (tiny-embedding-1) embeds other than" in message
        assert "made with (tiny-embedding-1)" in message
        assert "median cosine of" in message
        assert "expected at least 0.98" in message
    # Nothing of it was kept.
    server.embed = lambda texts: whole.embed_documents(list(texts))
    same(opened.embed_query("moon"), whole.embed_query("moon"))


def test_a_model_that_changed_a_little_is_noticed_and_noise_is_not(bare_folder, whole, caplog):
    def noisy(share):
        def embed(texts):
            rows = whole.embed_documents(list(texts))
            return rows + share * hashed(texts)

        return embed

    with caplog.at_level(logging.WARNING, "steersearch"):
        Bundle.load(bare_folder, threads=1, embedder=noisy(0.05)).embed_documents(TEXTS)
        assert not caplog.records
        Bundle.load(bare_folder, threads=1, embedder=noisy(0.15)).embed_documents(TEXTS)
        assert "embeds a little other than" in caplog.text
    half = lambda texts: whole.embed_documents(list(texts)).astype(np.float16)  # noqa: E731
    Bundle.load(bare_folder, threads=1, embedder=half).embed_documents(TEXTS)
    with pytest.raises(EmbedderError, match="median cosine"):
        Bundle.load(bare_folder, threads=1, embedder=noisy(0.5)).embed_documents(TEXTS)


def test_the_check_is_remembered_for_a_day(bare_folder, server, own_cache):
    Bundle.load(bare_folder, threads=1, embedder=server.address).embed_query("moon")
    del server.seen[:]
    Bundle.load(bare_folder, threads=1, embedder=server.address).embed_query("star")
    assert server.texts == ["star"]
    with sqlite3.connect(own_cache / NAME) as db:
        db.execute("UPDATE checked SET at = at - 90000")
    db.close()
    Bundle.load(bare_folder, threads=1, embedder=server.address).embed_query("sun")
    assert server.texts == ["star", *PROBES, "sun"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:, :8], r"gives 8 numbers per text and .* was made with 16 \(tiny-embedding-1\)"),
        (lambda rows: np.hstack([rows, rows]), r"gives 32 numbers.*--embedder-dimensions"),
        (lambda rows: rows[:-1], r"gave the shape \(7, 16\) for 8 texts"),
        (lambda rows: rows * np.nan, "gave NaN or infinite numbers for text 0 of a call of 8"),
        (lambda rows: np.full_like(rows, np.inf), "gave NaN or infinite numbers"),
        (lambda rows: rows * 0, "gave zero for text 0"),
        (lambda rows: None, "gave no vectors"),
        (lambda rows: "moon", "gave no vectors"),
        (lambda rows: [["a"] * 16] * 8, "gave no vectors"),
        (lambda rows: [row[: 16 - (i == 3)].tolist() for i, row in enumerate(rows)], "gave no vectors"),
        (lambda rows: rows[0], r"the shape \(16,\)"),
        (lambda rows: [row.astype(complex) for row in rows], "gave no vectors"),
    ],
)
def test_what_is_no_vector_of_each_text_is_refused(bare_folder, whole, change, message):
    opened = Bundle.load(bare_folder, threads=1, embedder=lambda texts: change(whole.embed_documents(texts)))
    with pytest.raises(EmbedderError, match=message) as raised:
        opened.embed_documents(["moon"])
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_what_a_callable_raises_is_told_in_one_line(bare_folder):
    def broken(texts):
        raise RuntimeError("no credit\nsecond line")

    with pytest.raises(EmbedderError, match=r"broken failed: RuntimeError: no credit$"):
        Bundle.load(bare_folder, threads=1, embedder=broken).embed_documents(["moon"])


@pytest.mark.parametrize("given", [7, object(), (len,), (len, 7), {"a": 1}, "no address", ["moon"]])
def test_what_embeds_nothing_is_refused_when_the_bundle_is_opened(bare_folder, given):
    with pytest.raises(ConfigError):
        Bundle.load(bare_folder, embedder=given)


@pytest.mark.parametrize("limits", [{"max_texts": -1}, {"max_calls": 1.5}, {"max_texts": True}])
def test_limits_are_whole_numbers(limits):
    with pytest.raises(ConfigError, match="whole number"):
        ExternalEmbedder("http://localhost/v1", **limits)


def test_a_limit_refuses_before_anything_is_sent(bare_folder, server):
    opened = Bundle.load(bare_folder, threads=1, embedder=ExternalEmbedder(server.address, max_texts=len(MANY) - 1))
    opened.embed_query("moon")
    del server.seen[:]
    with pytest.raises(EmbedderError, match=r"70 more texts would go to .*, and max_texts is 69: .*--max-texts"):
        opened.embed_documents(MANY)
    assert not server.seen
    # Searches go on: a process that answers for months would stop else.
    for i in range(3):
        opened.embed_documents([f"{text} {i}" for text in MANY[:SMALL]])
    limited = ExternalEmbedder(EmbeddingService(server.address, batch=10), max_calls=7)
    opened = Bundle.load(bare_folder, threads=1, embedder=limited)
    opened.embed_documents(MANY)
    with pytest.raises(EmbedderError, match=r"7 more calls would go to .* after 7, and max_calls is 7"):
        opened.embed_documents([f"other {text}" for text in MANY])
    assert opened.embedder.calls_for(101) == 11
    opened.embed_documents(MANY)  # all from the cache


def test_calls_are_announced(bundle, caplog):
    with caplog.at_level(logging.INFO, "steersearch"):
        bundle.embed_documents([f"{i}" for i in range(300)])
    assert "300 texts go to" in caplog.text
    assert "in 3 calls" in caplog.text


def test_prefetch_takes_one_call(bundle, server, bare_folder, whole):
    bundle.embed_query("first")
    del server.seen[:]
    bundle.embedder.prefetch(["moon", "star"], ["star", "sun"])
    assert server.texts == ["moon", "star", "sun"]
    assert len(server.seen) == 1
    bundle.embed_documents(["moon", "sun"])
    bundle.embed_queries(["star"])
    assert len(server.seen) == 1
    theirs = LangChainLike(whole, prompt="recipe ")
    opened = Bundle.load(bare_folder, threads=1, embedder=theirs)
    opened.embedder.prefetch(["moon"], ["moon"])
    same(opened.embed_queries(["moon"]), whole.embed_queries(["recipe moon"]))


def test_labels_are_prepared_together(bundle, server):
    bundle.embed_query("first")
    del server.seen[:]
    prepare_labels(bundle, ["moon, planet", "star", "moon"])
    assert [request["input"] for _, _, request in server.seen] == [["moon, planet", "moon", "planet", "star"]]


def test_only_texts_are_taken(bundle, server):
    for texts in ("moon", [7], ["\ud800"]):
        with pytest.raises(DataError):
            bundle.embed_documents(texts)
    assert not server.seen


def test_a_bundle_with_a_service_is_pickled_without_its_key(bare_folder, server, whole):
    service = ExternalEmbedder(EmbeddingService(server.address, api_key="sk-secret-9"), max_texts=5)
    opened = Bundle.load(bare_folder, threads=1, embedder=service)
    opened.embed_query("moon")
    data = pickle.dumps(opened)
    assert b"secret" not in data
    again = pickle.loads(data)
    same(again.embed_query("star"), whole.embed_query("star"))
    assert again._brought.max_texts == 5


def test_threads_share_an_embedder(bundle, server):
    errors = []

    def work(number):
        try:
            for i in range(10):
                bundle.embed_documents([f"{number} {i}", "moon"])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert server.texts.count(PROBES[0]) == 1


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no forks here")
def test_a_forked_child_asks_over_a_connection_of_its_own(bundle, server, whole):
    bundle.embed_query("moon")
    queue = multiprocessing.get_context("fork").Queue()

    def child():
        queue.put(bundle.embed_query("star"))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    found = queue.get(timeout=20)
    process.join()
    same(found, whole.embed_query("star"))
    same(bundle.embed_query("sun"), whole.embed_query("sun"))
    assert server.connections == 2


def test_an_index_lives_with_a_service(bare_folder, server, whole, tmp_path):
    with SteerableIndex.create(tmp_path / "index", bare_folder, embedder=server.address) as index:
        index.add(TEXTS, ids=list("abcde"))
    with (
        SteerableIndex.open(tmp_path / "index", embedder=server.address) as index,
        SteerableIndex.create(tmp_path / "whole", whole) as other,
    ):
        other.add(TEXTS, ids=list("abcde"))
        for how in ({}, {"boost": {"rocket ship": 1}}, {"exclude": ["cheese soup"]}, {"understand": True}):
            mine, theirs = (each.search("the moon without music", 5, **how) for each in (index, other))
            assert [hit.id for hit in mine] == [hit.id for hit in theirs]
            same([hit.score for hit in mine], [hit.score for hit in theirs])
        assert index.verify().embedded == 5
        index.add(TEXTS, ids=list("vwxyz"))
    assert server.texts.count(TEXTS[0]) == 1


def test_long_documents_are_cut_without_a_tokenizer(bundle, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "moon.txt").write_text(" ".join(f"The moon and planet {i} and a rocket." for i in range(200)))
    with SteerableIndex.create(tmp_path / "index", bundle) as index:
        index.add_from(tmp_path / "notes")
        assert len(index) == 5  # 2,200 tokens, of which each chunk shares up to 64 with the one before
        assert index.search("rocket", 1)[0].id.startswith("moon.txt#")
    with SteerableIndex.create(tmp_path / "other", bundle) as index:
        index.add_from(tmp_path / "notes", chunk_tokens=64, overlap=0)
        assert len(index) > 20


def test_phrases_of_a_request_take_few_calls(bundle, server, whole, tmp_path):
    with SteerableIndex.create(tmp_path / "index", bundle) as index:
        index.add(TEXTS, ids=list("abcde"))
        index.search("first", boost={"soil and seed": 1})  # words of the bundle that phrases are compared with
        del server.seen[:]
        index.search("the moon", boost={"rocket ship": 1, "cheese soup": 0.5, "moon": 1}, exclude=["sea whale"])
        assert len(server.seen) == 1
        assert {"the moon", "rocket ship", "cheese soup", "sea whale"} <= set(server.texts)
        assert "moon" not in server.texts  # a label
        index.search("the moon", boost={"rocket ship": 2, "cheese soup": -1}, exclude=["sea whale"])
        assert len(server.seen) == 1
