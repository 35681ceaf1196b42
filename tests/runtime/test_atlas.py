"""`sae features export --atlas`: documents and their features as a file that embedding-atlas opens."""

import json

import numpy as np
import pytest

from steersearch.errors import ConfigError, DataError, MissingExtraError, StorageError
from steersearch.runtime.atlas import FEATURES_PER_DOCUMENT, export_atlas
from steersearch.runtime.index import SteerableIndex

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def test_schema_and_rows(tiny_index, tmp_path):
    assert export_atlas(tiny_index, tmp_path / "atlas.parquet") == len(tiny_index)
    table = pq.read_table(tmp_path / "atlas.parquet")
    schema = {field.name: field.type for field in table.schema}
    assert [schema[name] for name in ("id", "text", "x", "y")] == [pa.string(), pa.string(), pa.float32(), pa.float32()]
    # A list of texts is what embedding-atlas shows as a list of features.
    assert schema["features"].value_type == pa.string()
    assert schema["embedding"].value_type == pa.float32()
    ids, texts, vectors = tiny_index.documents()
    assert table["id"].to_pylist() == ids
    assert table["text"].to_pylist() == texts
    assert np.array_equal(np.array(table["embedding"].to_pylist(), np.float32), vectors)
    assert not [*tmp_path.glob("*.tmp")]


def test_features_are_the_strongest_of_each_document(tiny_index, tmp_path):
    export_atlas(tiny_index, tmp_path / "a.parquet", embeddings=False)
    table = pq.read_table(tmp_path / "a.parquet")
    assert "embedding" not in table.column_names
    indices, values = tiny_index.bundle.encode(tiny_index.documents()[2])
    for found, latents, active in zip(table["features"].to_pylist(), indices.tolist(), values.tolist(), strict=True):
        features = [tiny_index.bundle.features[f] for f, value in zip(latents, active, strict=True) if value > 0]
        assert found == [feature.label or feature.name for feature in features][:FEATURES_PER_DOCUMENT]
        assert found


def test_the_map_keeps_topics_together(tiny_index, tmp_path):
    export_atlas(tiny_index, tmp_path / "a.parquet", embeddings=False)
    table = pq.read_table(tmp_path / "a.parquet")
    places = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], 1)
    topics = np.array([id.split("-")[0] for id in table["id"].to_pylist()])
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    same = topics[:, None] == topics[None]
    assert distances[same].mean() < 0.8 * distances[~same].mean()


METADATA = [
    {"year": 2020, "rate": 1, "ok": True, "tags": ["a", "b"], "text": "own", "mixed": 1, "deep": {"a": 1}},
    {"year": 2021, "rate": 0.5, "ok": False, "tags": [], "text": "mine", "mixed": "one", "huge": 2**70},
    {"year": None},
]


def test_metadata_becomes_columns(tmp_path, opened_bundle):
    with SteerableIndex.create(tmp_path / "own", opened_bundle) as index:
        index.add(["one text", "another text", "a third one"], metadata=METADATA)
        export_atlas(index, tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    rows = table.to_pylist()
    types = {field.name: field.type for field in table.schema}
    assert (types["year"], types["rate"], types["ok"]) == (pa.int64(), pa.float64(), pa.bool_())
    assert types["tags"].value_type == pa.string()
    assert [row["year"] for row in rows] == [2020, 2021, None]
    assert [row["rate"] for row in rows] == [1.0, 0.5, None]
    assert rows[0]["metadata.text"] == "own"
    assert rows[0]["text"] == "one text"
    assert [json.loads(row["mixed"]) for row in rows[:2]] == [1, "one"]
    assert json.loads(rows[0]["deep"]) == {"a": 1}
    assert json.loads(rows[1]["huge"]) == 2**70


def test_bad_input(tiny_index, tmp_path, opened_bundle, monkeypatch):
    with pytest.raises(ConfigError, match=r"a\.csv ends in '\.csv': the atlas is written as \.parquet"):
        export_atlas(tiny_index, tmp_path / "a.csv")
    with pytest.raises(StorageError, match="cannot write"):
        export_atlas(tiny_index, tmp_path / "nowhere" / "a.parquet")
    with SteerableIndex.create(tmp_path / "own", opened_bundle) as index:
        with pytest.raises(DataError, match="has no documents"):
            export_atlas(index, tmp_path / "a.parquet")
        index.add(["one text"])
        assert export_atlas(index, tmp_path / "a.parquet") == 1
    monkeypatch.setattr("steersearch.extras.installed", lambda name: name != "pyarrow")
    with pytest.raises(MissingExtraError, match=r"steersearch\[parquet\]"):
        export_atlas(tiny_index, tmp_path / "a.parquet")


def test_command(tiny_index, tmp_path, monkeypatch, capsys):
    from steersearch.cli import main

    monkeypatch.chdir(tmp_path)
    folder = str(tiny_index.path)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["sae", "features", "export", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, capsys.readouterr()

    code, said = run("--atlas", "--index", folder, "--json")
    assert code == 0
    assert json.loads(said.out) == {"out": "atlas.parquet", "documents": len(tiny_index)}
    code, said = run("--atlas", "--index", folder, "--no-embeddings", "--out", "b.parquet")
    assert code == 0
    assert "embedding-atlas b.parquet --text text --features features --x x --y y" in said.err
    for words, message in {
        ("--atlas",): "--atlas needs the documents",
        ("--index", folder): "belongs to --atlas",
        ("f1", "--atlas", "--index", folder): "leave 'f1' out",
    }.items():
        code, said = run(*words)
        assert code == 2
        assert message in " ".join(said.err.split())
