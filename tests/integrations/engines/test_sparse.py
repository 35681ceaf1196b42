"""Sparse codes in other engines: the answers of our own views, on the real engines (`pip install --group engines`)."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steersearch.errors import ConfigError, DataError, EngineError, FilterError, MissingExtraError, UnknownFeatureError
from steersearch.integrations.engines.sparse import code_of, codes_of, fused
from steersearch.integrations.optional import needs
from steersearch.runtime.bundle.bundle import Bundle
from steersearch.runtime.index import SteerableIndex
from steersearch.runtime.search.hits import Hit
from steersearch.runtime.steering.concepts import Concept

from ..conftest import PHRASE, QUERY
from ..langchain.test_engines import engines

BOOSTS: list[dict[Any, Any]] = [{}, {PHRASE: 2.0}, {18: 1.5, "f3": -1.0}, {PHRASE: "-auto", 18: "auto"}, {PHRASE: -3.0}]
pytestmark = pytest.mark.filterwarnings("ignore")  # what the engines' own packages deprecate is not ours


def qdrant_filter(topic: str) -> Any:
    from qdrant_client import models

    return models.Filter(must=[models.FieldCondition(key="metadata.topic", match=models.MatchValue(value=topic))])


FILTERS: dict[str, Callable[[str], Any]] = {
    "Qdrant": qdrant_filter,
    "pgvector": lambda topic: {"topic": topic},
    "Milvus": lambda topic: f'metadata["topic"] == "{topic}"',
}
RRF = {"Qdrant": 1, "pgvector": 60, "Milvus": 60}  # Qdrant counts from 0, with k = 2
KINDS = {engine.name: engine for engine in engines.MEASURED if engine.sparse}


def made(name: str, bundle: Bundle, folder: Path) -> AbstractContextManager[Any]:
    if not KINDS[name].installed:
        pytest.skip(f"{name} is not installed")
    return KINDS[name].sparse(bundle, folder)


@pytest.fixture(scope="module")
def index(
    opened_bundle: Bundle, topic_texts: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SteerableIndex]:
    with SteerableIndex.create(tmp_path_factory.mktemp("own") / "index", opened_bundle, backend="exact") as opened:
        opened.add(topic_texts.texts, topic_texts.ids, topic_texts.metadata)
        yield opened


@pytest.fixture(scope="module", params=KINDS)
def engine(
    request: pytest.FixtureRequest, opened_bundle: Bundle, topic_texts: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    with made(request.param, opened_bundle, tmp_path_factory.mktemp("engine")) as opened:
        assert opened.add(topic_texts.texts, topic_texts.ids, topic_texts.metadata) == topic_texts.ids
        yield opened


def same(ours: list[Hit], theirs: list[Hit], *, scored: bool = True) -> int:
    """Rank by rank the same documents; those of equal score may change places, and 0 is no score to a sparse engine.

    Returns how many were compared: a strong negative boost may leave none with a positive score.
    """
    ours = [hit for hit in ours if not scored or hit.score > 1e-6]
    assert len(theirs) >= len(ours)
    scores = {hit.id: hit.score for hit in ours}
    for own, other in zip(ours, theirs, strict=False):
        assert own.id == other.id or scores.get(other.id, own.score) == pytest.approx(own.score, abs=1e-5)
        if scored:
            assert other.score == pytest.approx(own.score, abs=1e-5)
    return len(ours)


class TestTheSameTop10:
    @pytest.mark.parametrize("boost", BOOSTS, ids=str)
    @pytest.mark.parametrize("view", ["dense", "latent"])
    def test_of_one_view(self, engine: Any, index: SteerableIndex, topic_texts: Any, view: Any, boost: Any) -> None:
        moved = compared = 0
        for query in (QUERY, "how a module is found", *topic_texts.texts[::7]):
            theirs = engine.search(query, 10, boost=boost, blend="move", view=view)
            compared += same(index.search(query, 10, boost=boost, blend="move", view=view), theirs)
            assert [hit.rank for hit in theirs] == list(range(1, len(theirs) + 1))
            moved += [hit.id for hit in theirs] != [hit.id for hit in engine.search(query, 10, view=view)]
        assert bool(moved) == bool(boost)
        assert compared > 20

    @pytest.mark.parametrize("boost", BOOSTS, ids=str)
    def test_hybrid_fuses_both_lists(self, engine: Any, index: SteerableIndex, boost: Any) -> None:
        for query in (QUERY, "how a module is found"):
            scores: dict[str, float] = {}
            for view in ("dense", "latent"):
                for hit in engine.search(query, 100, boost=boost, view=view):
                    scores[hit.id] = scores.get(hit.id, 0.0) + 1 / (RRF[engine.provider] + hit.rank)
            expected = sorted(scores.values(), reverse=True)[:10]
            theirs = engine.search(query, 10, boost=boost, view="hybrid")
            assert [hit.score for hit in theirs] == pytest.approx(expected, abs=1e-5)
            assert [scores[hit.id] for hit in theirs] == pytest.approx(expected, abs=1e-5)

    @pytest.mark.parametrize("view", ["dense", "latent", "hybrid"])
    def test_with_a_filter_and_compared(self, engine: Any, index: SteerableIndex, view: Any) -> None:
        how: dict[str, Any] = {
            "boost": {PHRASE: 2.0},
            "blend": "move",
            "view": view,
            "filter": FILTERS[engine.provider]("modules"),
        }
        found = engine.search(QUERY, 5, **how, compare=True)
        assert {hit.metadata["topic"] for hit in found} == {"modules"}
        plain = [hit.id for hit in engine.search(QUERY, 100, **{**how, "boost": None})]
        for hit in found:
            if hit.rank_before is not None:
                assert abs(plain.index(hit.id) + 1 - hit.rank_before) <= 1  # equal scores may change places
            assert hit.moved_by
        if view != "hybrid":
            assert same(index.search(QUERY, 5, **{**how, "filter": {"topic": "modules"}}), found)
            assert [hit.metadata for hit in found] == [index.get([hit.id])[0].metadata for hit in found]  # type: ignore[union-attr]

    def test_concepts_from_documents(self, engine: Any, index: SteerableIndex) -> None:
        concept = Concept.from_examples(["exceptions-0", "exceptions-3"], ["numbers-1"])
        for view in ("dense", "latent"):
            how: dict[str, Any] = {"boost": {concept: 2.0}, "blend": "move", "view": view}
            assert same(index.search(QUERY, 5, **how), engine.search(QUERY, 5, **how))

    def test_as_a_retriever(self, engine: Any) -> None:
        langchain = pytest.importorskip("steersearch.integrations.langchain")
        for view in ("latent", "hybrid"):
            retriever = langchain.SteerableRetriever(index=engine, view=view, include_explanations=True)
            found = retriever.invoke(QUERY, boost={PHRASE: "auto"}, exclude=["f3"])
            hits = engine.search(QUERY, 4, boost={PHRASE: "auto"}, exclude=["f3"], view=view, compare=True)
            assert [document.id for document in found] == [hit.id for hit in hits]
            assert [document.metadata["steerable"]["rank_before"] for document in found] == [
                h.rank_before for h in hits
            ]


def test_documents_are_replaced_and_may_be_empty(engine: Any, opened_bundle: Bundle) -> None:
    engine.add(["zebra zebra", ""], ["new", "empty"], [{"topic": "a"}, {"topic": "b"}])
    engine.add(["An exception is raised."], ["new"], [{"topic": "c"}])
    try:
        first = engine.search("An exception is raised.", 1, view="latent")[0]
        assert (first.id, first.text, first.metadata) == ("new", "An exception is raised.", {"topic": "c"})
        (name,) = engine.add(["nameless"])
        assert len(name) == 32
    finally:
        rows = opened_bundle.embed(["numbers"])  # far from what other tests look for
        engine.add(["numbers", "numbers"], ["new", "empty"], embeddings=np.concatenate([rows, rows]))


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ({"view": "reconstruction"}, ConfigError, "there is only dense, latent, hybrid"),
        ({"k": 0}, ConfigError, "k is 0"),
        ({"boost": {"f99999": 1.0}}, UnknownFeatureError, "f99999"),
        ({"query": np.zeros(32, np.float32)}, DataError, "unit vector of length 32"),
    ],
    ids=str,
)
def test_refusals_of_a_search(engine: Any, how: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        engine.search(**{"query": QUERY, **how})


def test_refusals_of_documents(engine: Any) -> None:
    for arguments, said in (
        (("one text",), "single string"),
        ((["a", "b"], ["x", "x"]), "twice"),
        ((["a"], ["x", "y"]), "1 items and ids has 2"),
        ((["a"], ["x"], [{"when": object()}]), "when"),
    ):
        with pytest.raises(DataError, match=said):
            engine.add(*arguments)
    with pytest.raises(DataError, match="rows of length 32"):
        engine.add(["a"], embeddings=np.ones((1, 3), np.float32))


def test_another_dimension(engine: Any, opened_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"pgvector": ("_conninfo", "table")}.get(engine.provider, ("client", "collection"))
    where = [getattr(engine, place) for place in places]
    monkeypatch.setattr(opened_bundle, "d_in", 7)
    with pytest.raises(ConfigError, match=r"32.*7: use the bundle|vector\(32\).*vector\(7\)"):
        type(engine)(*where, opened_bundle)


def test_qdrant_collections_of_others(opened_bundle: Bundle) -> None:
    pytest.importorskip("qdrant_client")
    from qdrant_client import QdrantClient, models

    from steersearch.integrations.engines.qdrant import SteeredQdrant

    client = QdrantClient(":memory:")
    client.create_collection("plain", vectors_config=models.VectorParams(size=32, distance=models.Distance.COSINE))
    with pytest.raises(ConfigError, match="lacks the vector 'dense' or the sparse vector 'codes'"):
        SteeredQdrant(client, "plain", opened_bundle)
    engine = SteeredQdrant(client, "shared", opened_bundle)
    rows = opened_bundle.embed(["a module"]).tolist()
    client.upsert("shared", [models.PointStruct(id=7, vector={"dense": rows[0]}, payload={"page_content": "theirs"})])
    assert [(hit.id, hit.text, hit.metadata) for hit in engine.search("a module")] == [("7", "theirs", {})]
    manhattan = {"dense": models.VectorParams(size=32, distance=models.Distance.MANHATTAN)}
    codes = {"codes": models.SparseVectorParams()}
    client.create_collection("far", vectors_config=manhattan, sparse_vectors_config=codes)
    with pytest.raises(ConfigError, match="has the distance Manhattan: expected Cosine"):
        SteeredQdrant(client, "far", opened_bundle)


def test_milvus_that_does_not_fit(opened_bundle: Bundle, tmp_path: Path) -> None:
    with made("Milvus Lite", opened_bundle, tmp_path) as engine:
        with pytest.raises(DataError, match="more than the 65,535 bytes"):
            engine.add(["x" * 65_536])
        with pytest.raises(DataError, match="more than the 512 bytes"):
            engine.add(["x"], ["é" * 257])
        engine.client.create_collection("other", dimension=32)
        with pytest.raises(ConfigError, match="and no documents with codes"):
            type(engine)(engine.client, "other", opened_bundle)


def test_an_engine_that_goes_away(opened_bundle: Bundle, topic_texts: Any, tmp_path: Path) -> None:
    with made("PostgreSQL + pgvector", opened_bundle, tmp_path) as engine:
        import pgserver

        engine.add(topic_texts.texts, topic_texts.ids)
        how: dict[str, Any] = {"boost": {PHRASE: 2.0}, "view": "hybrid"}
        expected = engine.search(QUERY, **how)
        server = pgserver.get_server(engines.postgres_folder(tmp_path))
        pgserver.pg_ctl(["-m", "immediate", "stop"], pgdata=server.pgdata, user=server.system_user)
        for _ in range(2):
            with pytest.raises(EngineError, match="pgvector did not answer"):
                engine.search(QUERY, **how)
        with pytest.raises(EngineError, match="pgvector did not answer"):
            engine.add(["lost"], ["lost"])
        server.ensure_postgres_running()
        assert engine.search(QUERY, **how) == expected
        with pytest.raises(FilterError, match="pgvector takes a mapping"):
            engine.search(QUERY, filter="topic = 'x'; DROP TABLE documents")
        assert engine.search(QUERY, **how) == expected


def test_a_filter_in_another_dialect(engine: Any) -> None:
    with pytest.raises((EngineError, FilterError), match=r"dialect|takes a mapping"):
        engine.search(QUERY, filter=["topic", "modules"])


@pytest.mark.parametrize("filter", ["", " ", 0, False, []], ids=repr)
def test_a_filter_that_is_nothing_is_not_every_document(engine: Any, filter: Any) -> None:
    for view in engine.views:
        with pytest.raises((EngineError, FilterError), match="filter"):
            engine.search(QUERY, filter=filter, view=view)
        assert engine.search(QUERY, filter={}, view=view) == engine.search(QUERY, view=view)


def test_dates_are_iso_text(engine: Any, opened_bundle: Bundle) -> None:
    engine.add(["zebra zebra"], ["dated"], [{"topic": "a", "when": dt.date(2024, 5, 1)}])
    try:
        first = engine.search("zebra zebra", 1, filter=FILTERS[engine.provider]("a"))[0]
        assert first.metadata == {"topic": "a", "when": "2024-05-01"}
    finally:
        engine.add(["numbers"], ["dated"], embeddings=opened_bundle.embed(["numbers"]))


def test_names_of_postgres_tables(opened_bundle: Bundle) -> None:
    pytest.importorskip("psycopg")
    from steersearch.integrations.engines.pgvector import SteeredPgvector

    for name in ("", "a.", "a.b.c", "é" * 32, "a\0"):
        with pytest.raises(ConfigError, match=r"expected NAME or SCHEMA\.NAME, each of 1 to 63 bytes"):
            SteeredPgvector("postgresql://nowhere.invalid", name, opened_bundle)


def test_what_postgres_cannot_hold(opened_bundle: Bundle, tmp_path: Path) -> None:
    with made("PostgreSQL + pgvector", opened_bundle, tmp_path) as engine:
        for row in (("a\0", "id", {}), ("a", "i\0", {}), ("a", "id", {"x": ["\0"]})):
            with pytest.raises(DataError, match=r"holds the character U\+0000"):
                engine.add([row[0]], [row[1]], [row[2]])


def test_graphs_of_pgvector(opened_bundle: Bundle, topic_texts: Any, tmp_path: Path) -> None:
    with made("PostgreSQL + pgvector", opened_bundle, tmp_path) as engine:
        engine.add(topic_texts.texts, topic_texts.ids)
        exact = {view: engine.search(QUERY, 10, boost={PHRASE: 2.0}, view=view) for view in engine.views}
        engine.build_graphs()
        connection = engine._connected()
        connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        plan = connection.execute(
            "EXPLAIN SELECT id FROM documents ORDER BY codes <#> %s LIMIT 5",
            [engine._sparse_text({1: 1.0})],
        ).fetchall()
        assert "documents_codes_idx" in str(plan)
        for view, hits in exact.items():
            near = {hit.id for hit in engine.search(QUERY, 10, boost={PHRASE: 2.0}, view=view)}
            assert len(near & {hit.id for hit in hits}) >= 8, view


def test_codes(index: SteerableIndex) -> None:
    how: dict[str, Any] = {"boost": {PHRASE: 1.0, "f3": -2.0}, "blend": "move"}
    steered = index.steer(QUERY, **how)
    query = code_of(steered)
    assert list(query) == sorted(query)
    assert sum(weight**2 for weight in query.values()) == pytest.approx(1, abs=1e-5)
    hit = index.search(QUERY, 1, **how, view="latent")[0]
    (code,) = codes_of(*index.bundle.encode(index.bundle.embed([hit.text])))
    assert sum(weight * query.get(latent, 0.0) for latent, weight in code.items()) == pytest.approx(hit.score, abs=1e-5)


def test_fusion_by_hand() -> None:
    one = [Hit(1, "a", 0.9, "A"), Hit(2, "b", 0.8, "B")]
    two = [Hit(1, "b", 0.7, "B"), Hit(2, "c", 0.6, "C")]
    assert [(hit.rank, hit.id, hit.text, hit.score) for hit in fused(one, two)] == [
        (1, "b", "B", 1 / 62 + 1 / 61),
        (2, "a", "A", 1 / 61),
        (3, "c", "C", 1 / 62),
    ]


def test_a_client_that_is_missing() -> None:
    said = "no_such_engine is not installed: pip install no-such-engine"
    with pytest.raises(MissingExtraError, match=said), needs("no_such_engine", pip="no-such-engine"):
        raise AssertionError("the imports ran")


def test_away_is_exact_on_milvus(opened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pushed away is subtracted from more and more candidates, until nothing else can come first."""
    with made("Milvus Lite", opened_bundle, tmp_path) as engine:
        from steersearch.integrations.engines import milvus as module

        monkeypatch.setattr(module, "DEPTH", 4)
        texts = [f"text {i}" for i in range(60)]
        vectors = opened_bundle.embed(texts)
        rng = np.random.default_rng(0)
        codes = [{0: 1.0 - i / 100, 1: float(rng.random()), 2 + i % 5: 0.1} for i in range(60)]
        engine._write([str(i) for i in range(60)], texts, [{} for _ in texts], vectors, codes)
        query = {0: 0.9, 1: -0.8}
        scores = [0.9 * code[0] - 0.8 * code[1] for code in codes]
        best = sorted(range(60), key=lambda i: -scores[i])[:3]
        found = engine._latent(query, 3, None)
        assert [hit.id for hit in found] == [str(i) for i in best]
        assert [hit.score for hit in found] == pytest.approx([scores[i] for i in best], abs=1e-5)
        assert engine._latent({1: -1.0}, 3, None) == []
