"""Golden answers: ids and scores, bit for bit, of every view with every way to steer, over the bundle in tests/data.

No torch is needed, and only names of the public API are used, so that modules may move. What a change of behaviour
changes on purpose is written anew, and the difference is read in the commit:

    STEERSEARCH_REGENERATE=1 python -m pytest tests/test_golden.py   # remove golden.json first to drop old cases

Scores stand as hexadecimal floats; parts of a score and weights are rounded to float32 first. BLAS adds up in another
order on another processor, which moves the last bits of some. The file tells by the digest of a few such sums whether
it was made on one like this: if so every bit is compared, if not numbers may differ by 1e-5.
"""

import hashlib
import json
import math
import os
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from steersearch.runtime import Bundle, Concept, SteerableIndex

DATA = Path(__file__).parent / "data"
GOLDEN = DATA / "golden.json"
REGENERATE = bool(os.environ.get("STEERSEARCH_REGENERATE"))
TOPICS = {
    "space": "moon planet star rocket orbit telescope",
    "music": "piano guitar violin singer concert melody",
    "food": "bread cheese apple soup kitchen recipe",
    "sea": "ship harbor whale island storm sailor",
    "code": "python module class function error file",
    "sport": "football tennis runner stadium coach medal",
    "health": "doctor hospital vaccine heart medicine nurse",
    "garden": "rose tree soil seed flower bee",
}
SENTENCES = ("the {0} and the old {1} near a {2}", "about a {0} with the {2}", "how to {1} in a new {0} and {3}")
"""Filled with a word, two others of its topic and one of the next topic: 144 documents, enough for `refine`."""
QUERY = "the storm near a harbor with a sailor"
VIEWS = ("dense", "reconstruction", "latent", "words", "hybrid")
EXAMPLES = Concept.from_examples(["sea-0-0", "sea-2-1"], ["space-1-0"], name="ships and whales")
FILTER = {"year": {"$gte": 2020}, "kind": {"$in": ["note", "page"]}}
PHRASE = "hospital nurse"
VARIANTS = {
    "plain": {},
    "label": {"boost": {"whale": 1.5}, "blend": "move"},
    "latent": {"boost": {3: 1.0, "f10": -0.5}, "blend": "move"},
    "phrase": {"boost": {PHRASE: 1.0}, "blend": "move"},
    "examples": {"boost": {EXAMPLES: 0.75}, "blend": "move"},
    "clamp": {"clamp": {"storm": 0, "whale": 1.0}},
    "filter": {"filter": FILTER},
    "boost clamp filter": {"boost": {"island": 1.0}, "clamp": {"storm": 0}, "filter": FILTER, "blend": "move"},
    "auto": {"boost": {"doctor": "auto"}, "blend": "move", "keep": 0.85},
    "auto down": {"boost": {"storm": "-auto", "flower": 0.25}, "keep": 0.9, "blend": "move"},
    "protect": {"boost": {PHRASE: 1.0, "whale": 0.5}, "protect": True, "blend": "move"},
    "compare": {"boost": {PHRASE: 1.0, "whale": -0.5}, "compare": True, "blend": "move"},
    "both: label": {"boost": {"whale": 1.0}},
    "both: latent": {"boost": {3: 0.5, "f10": -1.0}},
    "both: phrase": {"boost": {PHRASE: "auto"}},
    "both: examples": {"boost": {EXAMPLES: 2.0}},
    "both: boost clamp filter": {"boost": {"island": 1.0}, "clamp": {"storm": 0}, "filter": FILTER},
    "both: protect": {"boost": {PHRASE: 1.0, "flower": 0.5}, "protect": True},
    "both: exclude": {"exclude": ["whale", PHRASE]},
    "both: compare": {"boost": {PHRASE: 1.0, "whale": -0.5}, "exclude": [EXAMPLES], "compare": True},
    "move: exclude": {"boost": {"island": 0.5}, "exclude": ["whale"], "blend": "move"},
}
MORE = {
    "latent, idf": {"view": "latent", "idf": True},
    "latent, idf, boost": {"view": "latent", "idf": True, "boost": {"whale": 1.5}, "blend": "move"},
    "hybrid, idf, boost": {"view": "hybrid", "idf": True, "boost": {"whale": 1.5}, "blend": "move"},
    "hybrid, idf, both": {"view": "hybrid", "idf": True, "boost": {"whale": 1.0}, "exclude": ["storm"]},
    "hybrid, weights": {"view": "hybrid", "fusion": {"dense": 0.5, "latent": 0.25, "words": 0.25}},
    "hybrid, weights, boost": {
        "view": "hybrid",
        "fusion": {"dense": 0.5, "words": 0.5},
        "boost": {PHRASE: 1.0},
        "compare": True,
        "blend": "move",
    },
    "hybrid, weights, both": {
        "view": "hybrid",
        "fusion": {"dense": 0.5, "words": 0.5},
        "boost": {PHRASE: 1.0},
        "exclude": ["whale"],
        "compare": True,
    },
}


@contextmanager
def filled(folder, bundle):
    """An index of the documents."""
    ids, texts, metadata = documents()
    with SteerableIndex.create(folder, bundle, backend="exact") as index:
        index.add(texts, ids, metadata)
        yield index


def documents():
    ids, texts, metadata = [], [], []
    topics = {name: words.split() for name, words in TOPICS.items()}
    names = list(topics)
    for t, name in enumerate(names):
        words, others = topics[name], topics[names[(t + 1) % len(names)]]
        for i, s in product(range(6), range(3)):
            ids.append(f"{name}-{i}-{s}")
            texts.append(SENTENCES[s].format(words[i], words[(i + 1) % 6], words[(i + 3) % 6], others[i]))
            metadata.append({"year": 2018 + (i + s + t) % 6, "kind": ("note", "page", "mail")[(i + t) % 3]})
    return ids, texts, metadata


def bits(number):
    return float(number).hex()


def narrow(number):
    return bits(np.float32(number))


def rows(array):
    return [[bits(x) for x in row] for row in np.atleast_2d(array)]


def answer(hits):
    made = []
    for hit in hits:
        entry = {"id": hit.id, "score": bits(hit.score)}
        if hit.moved_by or hit.rank_before is not None:
            entry["rank_before"] = hit.rank_before
            entry["moved_by"] = [[p.feature.id, narrow(p.contribution), narrow(p.steered)] for p in hit.moved_by]
        made.append(entry)
    return made


def weights(concept):
    return [[f"f{latent}", narrow(weight)] for latent, weight in concept.weights.items()]


def arithmetic():
    """A digest of sums as NumPy, LAPACK and onnxruntime make them here."""
    numbers = np.random.RandomState(0)
    made = []
    for kind in (np.float32, np.float64):
        rows, square = (numbers.standard_normal(shape).astype(kind) for shape in ((144, 16), (16, 16)))
        made += [rows @ square[0], rows @ square, rows[:6] @ square[1], square[2] @ square[3], rows.mean(0)]
        made += [np.linalg.norm(rows[0]), np.linalg.lstsq(rows[:16, :5], square[0], rcond=None)[0]]
    values = numbers.standard_normal((2, 8)).astype(np.float32)
    session = ort.InferenceSession(DATA / "tiny_bundle" / "decoder.onnx", providers=["CPUExecutionProvider"])
    made += session.run(None, {"sae_indices": np.arange(16).reshape(2, 8), "sae_values": values})
    return hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in made)).hexdigest()


def alike(value, other):
    """The same but for numbers in their sixth digit."""
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(alike(value[key], other[key]) for key in value)
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(alike, value, other))
    if isinstance(value, str) and isinstance(other, str) and "0x" in value and "0x" in other:
        return math.isclose(float.fromhex(value), float.fromhex(other), rel_tol=1e-5, abs_tol=1e-5)
    return value == other


@pytest.fixture(scope="module")
def golden():
    """Checks a value against the one in the file, or puts it there."""
    known = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    here = arithmetic()
    if REGENERATE:
        known["arithmetic"] = here
    exact = known["arithmetic"] == here

    def check(name, value):
        if REGENERATE:
            known[name] = value
        assert value == known[name] or (not exact and alike(value, known[name]))

    yield check
    if REGENERATE:
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(known.items())]
        GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8", newline="\n")


@pytest.fixture(scope="module")
def bundle():
    return Bundle.load(DATA / "tiny_bundle", threads=1)


@pytest.fixture(scope="module")
def index(bundle, tmp_path_factory):
    with filled(tmp_path_factory.mktemp("golden") / "index", bundle) as index:
        yield index


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("view", VIEWS)
def test_search(index, golden, view, variant):
    hits = index.search(QUERY, 8, view=view, **VARIANTS[variant])
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    golden(f"search: {view}, {variant}", answer(hits))


@pytest.mark.parametrize("name", MORE)
def test_search_with_options_of_a_view(index, golden, name):
    golden(f"search: {name}", answer(index.search(QUERY, 8, **MORE[name])))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("asked", [{"boost": {}}, {"boost": {"whale": 0.0, PHRASE: 0}}, {"clamp": {}}, {"exclude": []}])
def test_an_empty_boost_is_no_boost(index, view, asked):
    assert index.search(QUERY, 8, view=view, **asked) == index.search(QUERY, 8, view=view)


@pytest.mark.parametrize("view", VIEWS)
def test_a_vector_is_searched_like_its_text(index, bundle, view):
    vector = bundle.embed([QUERY])[0]
    for asked in ({}, VARIANTS["phrase"], VARIANTS["both: phrase"], VARIANTS["both: exclude"]):
        by_text = index.search(QUERY, 8, view=view, **asked)
        assert index.search(vector, 8, view=view, text=QUERY, **asked) == by_text


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "filter" != name and "compare" not in name])
def test_steer(index, golden, variant):
    asked = {name: value for name, value in VARIANTS[variant].items() if name != "filter"}
    steered = index.steer(QUERY, **asked)
    change = {
        f"f{latent}": [narrow(before), narrow(after)]
        for latent, before, after in zip(
            steered.change.latents, steered.change.before, steered.change.after, strict=True
        )
    }
    golden(f"steer: {variant}", {"vector": rows(steered.vector), "kept": narrow(steered.kept), "change": change})


@pytest.mark.parametrize(
    "variant",
    ["plain", "label", "phrase", "clamp", "auto", "protect", "both: phrase", "both: exclude", "move: exclude"],
)
def test_explain(index, golden, variant):
    why = index.explain(QUERY, "sea-4-0", **VARIANTS[variant])
    numbers = ("before", "after", "contribution", "steered")
    parts = [[part.feature.id, *(narrow(getattr(part, name)) for name in numbers)] for part in why.parts]
    assert sum(part.contribution for part in why.parts) + why.rest == pytest.approx(why.score, abs=1e-9)
    golden(f"explain: {variant}", {"score": narrow(why.score), "rest": narrow(why.rest), "parts": parts})


@pytest.mark.parametrize("key", [PHRASE, "ship storm", "melody", 12, "f12", EXAMPLES], ids=str)
def test_resolve(index, golden, key):
    concept = index.resolve(key)
    sure = [None if value is None else narrow(value) for value in (concept.fit, concept.evidence)]
    name = concept.name if isinstance(key, Concept) else repr(key)
    golden(f"resolve: {name}", {"source": concept.source, "weights": weights(concept), "fit, evidence": sure})


def test_a_phrase_without_an_index(bundle, golden):
    golden("resolve without an index", weights(Concept.from_text(PHRASE).resolve(bundle)))


def test_embed_encode_decode(bundle, golden):
    texts = [QUERY, "moon", "a word that nobody knows: xylophone", "bread " * 50]
    embeddings = bundle.embed(texts)
    indices, values = bundle.encode(embeddings)
    assert (embeddings.dtype, indices.dtype, values.dtype) == (np.float32, np.int64, np.float32)
    golden("embed", rows(embeddings))
    golden("encode", {"indices": indices.tolist(), "values": rows(values)})
    golden("decode", rows(bundle.decode(indices, values)))


def test_whether_every_bit_is_compared():
    if not REGENERATE and json.loads(GOLDEN.read_text(encoding="utf-8"))["arithmetic"] != arithmetic():
        pytest.skip("golden.json was made on a processor that adds up in another order: compared to 1e-5")


def test_the_bundle_of_format_1_is_read(bundle):
    assert json.loads((DATA / "tiny_bundle" / "manifest.json").read_text())["format_version"] == 1
    assert (bundle.d_in, bundle.n_latents, bundle.k) == (16, 48, 6)
    assert [bundle.features[i].label for i in (0, 44, 45)] == ["moon", "soil", None]
    assert [feature.label for feature in bundle.features.search("violin", 1)] == ["violin"]
