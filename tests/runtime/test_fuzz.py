"""Loaders given anything at all: an error of ours or a right answer, nothing opened outside the folder, nothing run."""

import json
import os
import random
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from steersearch.corpus import Corpus
from steersearch.errors import BundleError, DataError, FilterError, SteersearchError
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.bundle.features import read_features
from steersearch.runtime.bundle.manifest import Manifest, _digest
from steersearch.runtime.search.exact import ExactIndex
from steersearch.runtime.store.documents import DocumentStore
from steersearch.runtime.store.filters import OPERATORS

FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
OUTSIDE = [
    "../secret.json",
    "..",
    ".",
    "/etc/passwd",
    "a/../../secret.json",
    "C:\\secret",
    "\\\\host\\x",
    "cache/../x",
    "",
]
SQL = [
    "'; DROP TABLE documents; --",
    '" OR 1=1 --',
    "%",
    "_",
    "\\",
    "?",
    "$.a",
    "x') OR ('1'='1",
    "\x00'--",
    ":id",
    "[*]",
]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(OUTSIDE + SQL)
names = st.text(max_size=6) | st.sampled_from(OUTSIDE)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)

opened: list[str] = []
watching = False


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if watching and event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        opened.append(os.path.abspath(os.fsdecode(arguments[0])))


sys.addaudithook(_watch)


@pytest.fixture
def outside_opens(tmp_path):
    """Files opened outside tmp_path so far, not counting those of Python itself."""
    global watching
    opened.clear()
    watching = True
    ours = (str(tmp_path), sys.prefix, sys.base_prefix, os.path.abspath("."), "/proc", "/sys", "/dev")
    yield lambda: [path for path in opened if not path.startswith(ours)]
    watching = False


@given(st.data())
@FUZZ
def test_manifest(tiny_bundle, data):
    values = json.loads((tiny_bundle / "manifest.json").read_text())
    values.pop("manifest_sha256", None)
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(st.sampled_from([*values, "unknown"]))
        if key == "files" and isinstance(values["files"], dict) and data.draw(st.booleans()):
            values["files"][data.draw(st.sampled_from(OUTSIDE) | st.text(max_size=5))] = {
                "sha256": "0" * 64,
                "bytes": 1,
            }
        else:
            values[key] = data.draw(json_values)
    known = {key: value for key, value in values.items() if key in Manifest.__dataclass_fields__}
    sealed = values | {name: _digest(known) for name in _seal(tiny_bundle)}
    try:
        manifest = Manifest.from_json(json.dumps(sealed))
    except SteersearchError:
        return
    assert all(os.path.basename(name) == name and name not in ("", ".", "..") for name in manifest.files)


def _seal(bundle):
    """The key under which a manifest keeps its own digest."""
    return set(json.loads((bundle / "manifest.json").read_text())) - set(Manifest.__dataclass_fields__)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_bundle_cannot_point_outside_its_folder(tiny_bundle, tmp_path, outside_opens, name):
    (tmp_path.parent / "secret.json").write_text("{}")
    copy = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    values = json.loads((copy / "manifest.json").read_text())
    (seal,) = _seal(tiny_bundle)
    values["files"][name] = {"sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "bytes": 2}
    del values[seal]
    (copy / "manifest.json").write_text(json.dumps(values | {seal: _digest(values)}))
    opened.clear()
    with pytest.raises(BundleError, match="is not a plain file name"):
        Bundle.load(copy)
    assert outside_opens() == []


@given(st.data())
@FUZZ
def test_features(tiny_bundle, tmp_path, data):
    body = json.loads((tiny_bundle / "features.json").read_text())
    place = body
    for _ in range(data.draw(st.integers(1, 5))):
        if isinstance(place, dict) and place:
            key = data.draw(st.sampled_from(sorted(place)))
        elif isinstance(place, list) and place:
            key = data.draw(st.integers(0, len(place) - 1))
        else:
            break
        if not isinstance(place[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
            place[key] = data.draw(json_values)
            break
        place = place[key]
    path = tmp_path / "features.json"
    path.write_text(json.dumps(body))
    try:
        features, _ = read_features(path, n_latents=64, d_in=32)
    except SteersearchError:
        pass
    else:
        assert [feature.id for feature in features] == list(range(64))
        assert all(np.isfinite(feature.p95) and str(feature) for feature in features)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@FUZZ
def test_whole_files_of_nonsense(tiny_bundle, tmp_path, content):
    path = tmp_path / "features.json"
    path.write_bytes(content)
    with pytest.raises(SteersearchError):
        read_features(path, n_latents=64, d_in=32)
    with pytest.raises(SteersearchError):
        Manifest.from_json(content.decode("utf-8", "replace"))
    cache = tmp_path / "cache"
    cache.mkdir(exist_ok=True)
    for name in ("cache.json", "vectors.npy", "rowids.npy"):
        (cache / name).write_bytes(content)
    assert ExactIndex.load(cache, None, d_in=4) is None


@given(st.data())
@FUZZ
def test_index_sidecars(tmp_path, outside_opens, data):
    (tmp_path.parent / "secret.json").write_text("{}")
    index = ExactIndex(4)
    index.add([1, 2], np.eye(4, dtype=np.float32)[:2])
    index.save(tmp_path, 7)
    facts = json.loads((tmp_path / "cache.json").read_text())
    key = data.draw(st.sampled_from([*facts, "sha256", "sha256"]))
    if key == "sha256" and data.draw(st.booleans()):
        facts["sha256"][data.draw(st.sampled_from(OUTSIDE))] = data.draw(st.sampled_from(["", "0" * 64]))
    else:
        facts[key] = data.draw(json_values)
    (tmp_path / "cache.json").write_text(json.dumps(facts))
    opened.clear()
    loaded = ExactIndex.load(tmp_path, 7, d_in=4)
    assert outside_opens() == []
    if loaded is not None:  # what was changed says nothing about the vectors
        assert loaded.rowids.tolist() == [1, 2]
        assert loaded.vectors_of([1, 2]).tobytes() == np.eye(4, dtype=np.float32)[:2].tobytes()


def test_a_pickle_in_the_place_of_a_cache_is_not_read(tmp_path):
    index = ExactIndex(4)
    index.add([1], np.eye(4, dtype=np.float32)[:1])

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    index.save(tmp_path, 1)
    np.save(tmp_path / "vectors.npy", np.array([Evil()], object), allow_pickle=True)
    from steersearch.files import sha256_of

    facts = json.loads((tmp_path / "cache.json").read_text())
    facts["sha256"]["vectors.npy"] = sha256_of(tmp_path / "vectors.npy")
    (tmp_path / "cache.json").write_text(json.dumps(facts))
    assert ExactIndex.load(tmp_path, 1, d_in=4) is None
    assert not (tmp_path / "executed").exists()


records = st.dictionaries(
    st.sampled_from(["id", "_id", "text", "title", "query", "metadata", "x"]), json_values, max_size=5
)


@given(st.lists(st.binary(max_size=60) | records.map(lambda r: json.dumps(r).encode()), max_size=4))
@example([b'{"id": "a", "text": "\\ud800"}'])
@example([b'{"id": "a", "text": "t", "metadata": {"n": NaN}}'])
@example([b'{"id": "a", "text": "t", "x": ' + b"9" * 5000 + b"}"])
@FUZZ
def test_jsonl_into_the_index(opened_bundle, tmp_path, lines):
    path = tmp_path / "docs.jsonl"
    path.write_bytes(b"\n".join(lines))
    shutil.rmtree(tmp_path / "index", ignore_errors=True)
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        try:
            expected = [(d.id, d.text) for d in Corpus.open(path).documents()]
            index.add_from((d.id, d.text, d.metadata) for d in Corpus.open(path).documents())
        except DataError:
            assert len(index) == 0
        else:
            assert [(record.id, record.text) for record in index.get([id for id, _ in expected])] == expected


keys = st.sampled_from([*OPERATORS, "a", "b", *SQL]) | st.text(max_size=4)
filters = st.recursive(
    scalars | st.lists(scalars, max_size=3),
    lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with DocumentStore.create(tmp_path_factory.mktemp("fuzz") / "documents.sqlite", d_in=2, meta={}) as made:
        metadata = [{"a": 1, "b": ["x", None]}, {"a": "text"}, {}, *({text: text} for text in SQL)]
        names, none = [str(i) for i in range(len(metadata))], np.empty((len(metadata), 0), np.int64)
        made.put(names, names, metadata, np.ones((len(names), 2)), none, none)
        yield made


@given(filters)
@FUZZ
def test_filter_expressions(store, filter):
    try:
        rowids = store.rowids_where(filter)
        rest = store.rowids_where({"$not": filter}) if filter else np.empty(0, np.int64)
    except FilterError:
        pass
    else:
        assert sorted([*rowids, *rest]) == list(
            range(1, 4 + len(SQL))
        )  # each document matches a filter or its negation


@pytest.mark.parametrize("text", SQL)
def test_sql_in_every_place_is_only_text(opened_bundle, tmp_path, text):
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        index.add(["first", text], ids=["a", text], metadata=[{"k": "v"}, {text: text, "n": [text]}])
        assert [(r.id, r.text, r.metadata) for r in index.get([text])] == [(text, text, {text: text, "n": [text]})]
        for filter in ({text: {"$eq": text}}, {"n": text}, {text: {"$in": [text]}}, {text: {"$exists": True}}):
            assert [hit.id for hit in index.search(text, 5, filter=filter)] == [text]
        assert index.search("x", 5, filter={"k": text}) == []
        index.update_metadata([text], [{text: 2}])
        assert [hit.id for hit in index.search("x", 5, filter={text: {"$gt": 1}})] == [text]
        assert index.explain("x", text).parts
        with pytest.raises(DataError):
            index.explain("x", text + "!")
        assert index.delete([text]) == 1
        assert len(index) == 1
        assert index.verify().ok


HIDDEN = """
    import sys
    from steersearch.runtime import SteerableIndex
    seen = []

    def watch(event, arguments):
        if event.startswith(("socket.", "pickle.", "subprocess.", "os.system", "os.exec", "urllib.", "http.")):
            seen.append(event)
            raise RuntimeError(event)

    sys.addaudithook(watch)
    with SteerableIndex.create(sys.argv[1], sys.argv[2]) as index:
        index.add(["one text", "another text"], ids=["a", "b"], metadata=[{"n": 1}, {"n": 2}])
        index.search("text", boost={"an exception": 1.0}, filter={"n": 1}, view="latent")
        index.explain("text", "a", boost={"f3": 1.0})
        index.update_metadata(["a"], [{"n": 3}])
        index.delete(["b"])
        index.compact()
        index.stats()
        assert index.verify().ok
    with SteerableIndex.open(sys.argv[1], readonly=True) as index:
        assert [hit.id for hit in index.search("text")] == ["a"]
    assert seen == [], seen
    print("quiet")
"""


def test_no_network_no_pickle_no_other_programs(tiny_bundle, tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(HIDDEN), tmp_path / "index", tiny_bundle]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("quiet\n", 0), done.stderr


def test_nothing_but_the_folder_is_written(opened_bundle, tmp_path, monkeypatch):
    """Ids, metadata and texts that look like paths stay inside the database."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    names = [name for name in OUTSIDE if name]
    random.Random(0).shuffle(names)
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        index.add(names, ids=names, metadata=[{name: name} for name in names])
        index.save()
        index.compact()
        assert all(name in index for name in names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "other"]
    assert list((tmp_path / "other").iterdir()) == []
