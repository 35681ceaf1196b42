"""How far one search walks through the code: the files that it enters, and how often it steers."""

import os
import sys
from pathlib import Path

import pytest

import steersearch
from steersearch.runtime.bundle.bundle import Bundle
from steersearch.runtime.steering.resolver import Resolver
from steersearch.runtime.steering.steered_query import SteeredQuery

QUERY, LABEL, PHRASE = "an exception is raised", "f4", "import a module"
# The folders behind the links of the package; an environment may lie in the same repository.
ROOTS = [
    Path(steersearch.__file__).parent / name for name in (".", "runtime", "integrations", "training", "export", "cli")
]
ROOTS = [str(root.resolve()) + os.sep for root in ROOTS if root.exists()]


def files_entered(call):
    """The files of this project whose functions run during a call."""
    entered = set()

    def note(frame, event, argument):
        if event == "call":
            entered.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    files = {str(Path(name).resolve()) for name in entered}
    return sorted(name for name in files if name.startswith(tuple(ROOTS)))


@pytest.mark.parametrize(("blend", "most"), [("move", 15), ("both", 24)])
@pytest.mark.parametrize("boost", [{LABEL: 1.5}, {PHRASE: 1.5}])
def test_a_warm_boosted_search_enters_few_files(tiny_index, boost, blend, most):
    """To rank by conditions takes nine more: what makes them, what scores by them, and the words of documents."""
    tiny_index.search(QUERY, 5, boost=boost, blend=blend)
    entered = files_entered(lambda: tiny_index.search(QUERY, 5, boost=boost, blend=blend))
    assert 5 < len(entered) <= most, entered


PATHS = {
    "search": lambda index: index.search(QUERY, 5, boost={PHRASE: 1.5}),
    "search with compare": lambda index: index.search(QUERY, 5, boost={PHRASE: 1.5}, compare=True),
    "hybrid with compare": lambda index: index.search(QUERY, 5, boost={PHRASE: 1.5}, view="hybrid", compare=True),
    "explain": lambda index: index.explain(QUERY, "modules-1", boost={PHRASE: 1.5}),
    "explain_all": lambda index: index.explain_all(QUERY, ["modules-1", "modules-2"], boost={PHRASE: 1.5}),
    "all with one steered query": lambda index: look_at(index, index.steer(QUERY, {PHRASE: 1.5})),
}


def look_at(index, steered):
    for view in ("dense", "latent", "words", "hybrid", "reconstruction"):
        hits = index.search(steered, 5, view=view, compare=True)
    index.explain_all(steered, [hit.id for hit in hits])


@pytest.mark.parametrize("path", PATHS)
def test_a_query_is_steered_and_embedded_once(tiny_index, monkeypatch, path):
    steered, embedded = [], []
    steer, embed = Resolver.steer, Bundle.embed_query

    def counted(self, query, steering, **more):
        if not isinstance(query, SteeredQuery) and not steering.empty:
            steered.append(query)
        return steer(self, query, steering, **more)

    monkeypatch.setattr(Resolver, "steer", counted)
    monkeypatch.setattr(Bundle, "embed_query", lambda self, text: embedded.append(text) or embed(self, text))
    PATHS[path](tiny_index)
    assert steered == [QUERY]
    assert embedded == [QUERY]


@pytest.mark.parametrize("more", [{"blend": "move", "keep": 0.9}, {"exclude": ["an integer"]}])
def test_a_steered_query_gives_the_same_as_its_request(tiny_index, more):
    how = {"boost": {PHRASE: 1.5, LABEL: -0.5}, "clamp": {"f3": 0.0}, "protect": True, **more}
    steered = tiny_index.steer(QUERY, **how)
    for view in ("dense", "latent", "words", "hybrid", "reconstruction"):
        assert tiny_index.search(steered, 9, view=view, compare=True) == tiny_index.search(
            QUERY, 9, view=view, compare=True, **how
        )
    assert tiny_index.explain(steered, "modules-1") == tiny_index.explain(QUERY, "modules-1", **how)
