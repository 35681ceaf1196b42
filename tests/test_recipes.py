"""The recipes of CONTRIBUTING.md: each block of code is a module that works when it is imported, and nothing else.

They run over tests/data/tiny_bundle, without torch. What they add to the tables is taken out again.
"""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from steersearch.cli import app
from steersearch.corpus import Corpus, formats
from steersearch.errors import BundleError, ConfigError
from steersearch.integrations import engines
from steersearch.integrations.engines import engine_class
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.bundle import embedder_kinds
from steersearch.runtime.bundle.manifest import EMBEDDER, read_manifest
from steersearch.runtime.search import backends, views

from .test_golden import QUERY, documents

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests" / "data" / "tiny_bundle"
TABLES = {
    "A search view": views.VIEWS,
    "A graph backend": backends.BACKENDS,
    "A file format": formats.FORMATS,
    "An embedder": embedder_kinds.EMBEDDERS,
    "An engine": engines.ENGINES,
}
BOOST = {"whale": 1.5, "hospital nurse": -1.0}


def recipes():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return dict(re.findall(r"^### ([^\n]+)\n(?:(?!^###).)*?^```python\n(.*?)^```", text, re.M | re.S))


@pytest.fixture
def add(tmp_path, monkeypatch):
    """Writes a recipe to a file and imports it."""
    held = {title: table.copy() for title, table in TABLES.items()}
    monkeypatch.syspath_prepend(tmp_path)
    added = []

    def import_recipe(title):
        name = f"recipe_{re.sub(r'[^a-z]', '_', title.lower())}"
        (tmp_path / f"{name}.py").write_text(recipes()[title])
        importlib.invalidate_caches()
        added.append(name)
        return importlib.import_module(name)

    yield import_recipe
    for title, table in TABLES.items():
        if isinstance(table, dict):
            table.clear()
            table.update(held[title])
        else:
            table[:] = held[title]
    for name in added:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def bundle():
    return Bundle.load(TINY, threads=1)


def filled(path, bundle, **how):
    ids, texts, metadata = documents()
    index = SteerableIndex.create(path, bundle, **how)
    index.add(texts, ids, metadata)
    return index


def sae(monkeypatch, *words):
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 300)
    monkeypatch.setenv("COLUMNS", "300")
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def test_there_is_a_recipe_for_every_table():
    assert set(recipes()) == set(TABLES)
    assert not any("toy" in table for table in TABLES.values())
    assert formats.format_of(Path("x.toy")) is None


def test_a_view(add, bundle, tmp_path, monkeypatch):
    with filled(tmp_path / "index", bundle) as index:
        with pytest.raises(ConfigError, match="view is 'toy': choose dense"):
            index.search(QUERY, view="toy")
        add("A search view")
        plain = index.search(QUERY, 5, view="toy")
        _, _, vectors = index.documents()
        ids = documents()[0]
        centre = vectors.mean(0)
        rows = (vectors - centre) / np.linalg.norm(vectors - centre, axis=1, keepdims=True)
        query = bundle.embed_query(QUERY) - centre
        expected = rows @ (query / np.linalg.norm(query))
        assert [hit.id for hit in plain] == [ids[i] for i in np.argsort(-expected, kind="stable")[:5]]
        assert [hit.score for hit in plain] == pytest.approx(np.sort(expected)[:-6:-1], abs=1e-6)
        steered = index.search(QUERY, 5, view="toy", boost=BOOST, compare=True)
        assert [hit.id for hit in steered] != [hit.id for hit in plain]
        assert any(hit.moved_by for hit in steered)
        within = index.search(QUERY, 5, view="toy", boost=BOOST, filter={"kind": "note"})
        assert {hit.metadata["kind"] for hit in within} == {"note"}
        index.add(["a whale and a sailor"], ["new"])
        assert "new" in [hit.id for hit in index.search("a whale and a sailor", 3, view="toy")]
    search = ("search", QUERY, "--index", tmp_path / "index", "--view", "toy", "--json")
    assert json.loads(sae(monkeypatch, *search))["hits"][0]["id"]
    assert "|hybrid|toy>" in sae(monkeypatch, "search", "--help")


def test_a_backend(add, bundle, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="backend is 'toy': choose one of auto, exact"):
        SteerableIndex.create(tmp_path / "none", bundle, backend="toy")
    added = add("A graph backend")
    asked = []
    nearest = added.ToyIndex._nearest
    monkeypatch.setattr(added.ToyIndex, "_nearest", lambda self, *how: asked.append(how) or nearest(self, *how))
    exact = filled(tmp_path / "exact", bundle, backend="exact")
    index = filled(tmp_path / "index", bundle, backend="toy")
    for words in (QUERY, "a piano and a violin"):
        for boost in ({}, BOOST):
            known = {hit.id: hit.score for hit in exact.search(words, 144, boost=boost)}
            hits = index.search(words, 2, boost=boost)
            assert len(hits) == 2
            assert all(hit.score == known[hit.id] for hit in hits), "scores are exact, whoever found the document"
    assert len(asked) >= 4
    index.delete([hits[0].id])
    assert hits[0].id not in [hit.id for hit in index.search("a piano and a violin", 2, boost=BOOST)]
    before = [(hit.id, hit.score) for hit in index.search(QUERY, 2)]
    index.close()
    exact.close()
    assert (tmp_path / "index" / "cache" / "toy.bin").is_file()
    with SteerableIndex.open(tmp_path / "index") as again:
        assert again.stats().backend == "toy"
        assert again.stats().cached
        assert [(hit.id, hit.score) for hit in again.search(QUERY, 2)] == before
    assert "|usearch-i8|toy>" in sae(monkeypatch, "index", "build", "--help")
    built = ("--bundle", TINY, "--index", tmp_path / "built", "--backend", "toy")
    (tmp_path / "docs.jsonl").write_text('{"id": "a", "text": "a whale"}\n')
    sae(monkeypatch, "index", tmp_path / "docs.jsonl", *built)
    assert "toy;" in sae(monkeypatch, "index", "info", "--index", tmp_path / "built")


def test_a_format(add, bundle, tmp_path, monkeypatch):
    added = add("A file format")
    (tmp_path / "notes").mkdir()
    (tmp_path / "x.toy").write_text("a whale\n%%\na sailor and a ship\n%%\n\n")
    shutil.copy(tmp_path / "x.toy", tmp_path / "notes")
    (tmp_path / "notes" / "y.txt").write_text("a piano")
    rows = [(document.id, document.text) for document in Corpus.open(tmp_path / "x.toy")]
    assert rows == [("1", "a whale"), ("2", "a sailor and a ship")]
    folder = {document.id: document for document in Corpus.open(tmp_path / "notes")}
    assert folder["x.toy"].text == "a whale\n\na sailor and a ship"
    assert folder["x.toy"].metadata == {"source": "x.toy", "kind": "toy"}
    assert set(folder) == {"x.toy", "y.txt"}
    with SteerableIndex.create(tmp_path / "index", bundle) as index:
        assert index.add_from(tmp_path / "notes").embedded == 2
        assert index.search("a whale", 1)[0].id == "x.toy"
    built = ("--bundle", TINY, "--index", tmp_path / "built", "--json")
    assert json.loads(sae(monkeypatch, "index", tmp_path / "x.toy", *built))["documents"] == 2
    # The options are written when the command line is imported.
    code = f"import {added.__name__}, steersearch.cli as cli; cli.app(['index', 'build', '--help'])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ".toy" in done.stdout, done.stderr


def test_an_embedder(add, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(TINY, folder)
    (folder / EMBEDDER).unlink()
    manifest = read_manifest(TINY)
    files = {name: entry for name, entry in manifest.files.items() if name != EMBEDDER}
    made = replace(manifest, embedder_kind="toy", query_prefix="ask: ", files=files)
    (folder / "manifest.json").write_text(made.to_json())
    with pytest.raises(BundleError, match="an embedder of the kind 'toy'"):
        Bundle.load(folder)
    add("An embedder")
    bundle = Bundle.load(folder)
    texts = ["a whale", "a sailor and a ship", ""]
    rows = bundle.embed_documents(texts)
    assert rows.shape == (3, manifest.d_in)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1)
    assert np.array_equal(bundle.embed_documents(["ask: a whale"])[0], bundle.embed_query("a whale"))
    assert not np.array_equal(rows[0], bundle.embed_query("a whale"))
    assert [bundle.token_text(int(token)) for token in bundle.tokenise(["a whale"])[0]][1:-1] == ["a", "whale"]
    with filled(tmp_path / "index", bundle) as index:
        text = index.get(["sea-0-0"])[0].text
        assert "sea-0-0" in [hit.id for hit in index.search(text, 3)]
        steered = index.search(QUERY, 5, boost={"whale": 1.5}, compare=True)
        assert any(hit.moved_by for hit in steered)
    with SteerableIndex.open(tmp_path / "index") as index:
        assert [hit.id for hit in index.search(QUERY, 5, boost={"whale": 1.5})] == [hit.id for hit in steered]


def test_an_engine(add, bundle, tmp_path):
    with pytest.raises(ConfigError, match="engine is 'toy': choose one of qdrant"):
        engine_class("toy")
    add("An engine")
    ids, texts, metadata = documents()
    engine = engine_class("toy")(bundle)
    engine.add(texts, ids, metadata)
    with filled(tmp_path / "index", bundle, backend="exact") as index:
        boost = {index.resolve(key): strength for key, strength in BOOST.items()}
        for view in ("dense", "latent"):
            moved = [place.search(QUERY, 5, boost=boost, blend="move", view=view) for place in (index, engine)]
            assert [hit.score for hit in moved[1]] == pytest.approx([hit.score for hit in moved[0]], abs=1e-6)
            # By conditions scores depend on the documents that are measured, which an engine has a sample of.
            ours, theirs = (place.search(QUERY, 5, boost=boost, view=view) for place in (index, engine))
            assert len({hit.id for hit in ours} & {hit.id for hit in theirs}) >= 3
            assert {hit.id: hit.text for hit in theirs}.items() <= dict(zip(ids, texts, strict=True)).items()
    found = engine.search(QUERY, 5, boost=boost, view="hybrid", filter={"kind": "note"}, compare=True)
    assert {hit.metadata["kind"] for hit in found} == {"note"}
    assert all(hit.moved_by for hit in found)
    pytest.importorskip("langchain_core")
    from steersearch.integrations.langchain import SteerableRetriever

    retriever = SteerableRetriever(index=engine, view="hybrid", k=5, boost=boost, filter={"kind": "note"})
    assert [document.id for document in retriever.invoke(QUERY)] == [hit.id for hit in found]
