"""One hit for each document, in every view and with every backend."""

import pytest

from steersearch.errors import ConfigError
from steersearch.runtime import SteerableIndex
from steersearch.runtime.search.views import VIEWS

PART = "The number is an integer of the class. "


@pytest.fixture(scope="module", params=["exact", "usearch"])
def index(request, opened_bundle, tmp_path_factory):
    if request.param == "usearch":
        pytest.importorskip("usearch")
    path = tmp_path_factory.mktemp("grouped") / "index"
    with SteerableIndex.create(path, opened_bundle, backend=request.param) as index:
        long = [(f"long{n}", f"{PART * 60} {n}", {"title": f"Long {n}", "kind": n % 2}) for n in range(3)]
        short = [(f"short{n}", f"The module {n} has a number of its class.", {"kind": "s"}) for n in range(4)]
        index.add_from([*long, *short], chunk_tokens=32)
        yield index


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("boost", [None, {"exception": 1.0}])
def test_every_document_once_by_its_best_chunk(index, view, boost):
    query = "the number is an integer of the class"
    assert len({hit.document for hit in index.search(query, 5, view=view)}) < 5  # chunks of one fill the places
    hits = index.search(query, 5, view=view, boost=boost, group="document")
    assert len({hit.document for hit in hits}) == len(hits) == 5
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len(index.search(query, 50, view=view, group="document")) == index.count() == 7


def test_a_field_groups_too(index):
    hits = index.search("number", 10, group="kind")
    assert len(hits) == 3
    assert {str(hit.metadata["kind"]) for hit in hits} == {"0", "1", "s"}
    # Without the field a document is a group of its own.
    assert len(index.search("number", 10, group="title")) == 3 + 4


def test_the_rank_before_is_that_of_the_document(index):
    hits = index.search("number", 7, group="document", compare=True, boost={"exception": 1.0})
    assert sorted(hit.rank_before for hit in hits) == [1, 2, 3, 4, 5, 6, 7]


def test_a_later_chunk_shows_its_title(index):
    hit = next(hit for hit in index.search("integer", 50) if hit.id == "long1#2")
    assert (hit.document, hit.title, hit.is_later_chunk) == ("long1", "Long 1", True)
    assert "Long 1" not in hit.text
    assert "Long 1" in str(index.search("integer", 50, filter={"title": "Long 1", "chunk": 2}))


@pytest.mark.parametrize("group", ["", 3, ["document"]])
def test_wrong_use(index, group):
    with pytest.raises(ConfigError, match="group is"):
        index.search("number", group=group)
