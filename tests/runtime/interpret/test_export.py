import csv
import json

import pytest

from steersearch.errors import BundleError, ConfigError, StorageError, UnknownFeatureError
from steersearch.runtime import Bundle
from steersearch.runtime.bundle.interpretation import Entry, Interpretation, Pattern
from steersearch.runtime.interpret.export import COLUMNS, export_feature, export_features


@pytest.fixture
def interpreted(tiny_bundle):
    """A bundle of which latent 1 has patterns."""
    bundle = Bundle.load(tiny_bundle, threads=1)
    patterns = (Pattern((("raise", "raises"), ("error",)), 0.9, 3), Pattern((("raise",), ("exception",)), 1.1, 1))
    entries = [Entry(i, label=f"label {i}") for i in range(64)]
    entries[1] = Entry(1, label='says "no"', patterns=patterns)
    vars(bundle)["interpretation"] = Interpretation("docs", 60, (1, 1, 1), (), ((0.5, 0.5),) * 64, tuple(entries))
    return bundle


def test_all_features_as_a_table(opened_bundle, tmp_path):
    export_features(opened_bundle.features, tmp_path / "features.csv")
    export_features(opened_bundle.features, tmp_path / "features.jsonl")
    with (tmp_path / "features.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (tmp_path / "features.jsonl").read_text("utf-8").splitlines()]
    assert [row["name"] for row in table] == [line["name"] for line in lines] == [f"f{i}" for i in range(64)]
    assert tuple(lines[0]) == tuple(table[0]) == COLUMNS
    for feature, row, line in zip(opened_bundle.features, table, lines, strict=True):
        assert (row["label"] or None) == line["label"] == feature.label
        assert float(row["density"]) == line["density"] == feature.density
        assert row["keywords"] == "; ".join(feature.keywords)
        assert line["examples"] == list(feature.examples)


def test_the_graph_of_one_feature(interpreted, tmp_path):
    for name in ("f1.json", "f1.dot", "f1.svg"):
        export_feature(interpreted, 1, tmp_path / name)
    assert "exception" in json.dumps(json.loads((tmp_path / "f1.json").read_text("utf-8")))
    assert (tmp_path / "f1.dot").read_text("utf-8").startswith("digraph")
    picture = (tmp_path / "f1.svg").read_text("utf-8")
    assert picture.startswith("<svg")
    assert "exception" in picture
    assert len(list(tmp_path.iterdir())) == 3


def test_wrong_use(interpreted, opened_bundle, tmp_path):
    with pytest.raises(ConfigError, match=r"\.json.*name one feature"):
        export_features(interpreted.features, tmp_path / "x.json")
    with pytest.raises(ConfigError, match=r"'\.csv'.*\.svg"):
        export_feature(interpreted, 1, tmp_path / "x.csv")
    with pytest.raises(ConfigError, match="no words are known"):
        export_feature(interpreted, 2, tmp_path / "x.svg")
    with pytest.raises(UnknownFeatureError, match="f63"):
        export_feature(interpreted, 64, tmp_path / "x.svg")
    with pytest.raises(StorageError, match="nowhere"):
        export_features(interpreted.features, tmp_path / "nowhere" / "x.csv")
    vars(interpreted)["interpretation"] = None
    with pytest.raises(BundleError, match="sae features label --bundle"):
        export_feature(interpreted, 1, tmp_path / "x.svg")
    assert not list(tmp_path.iterdir())
