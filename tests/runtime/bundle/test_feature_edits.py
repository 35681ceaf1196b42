import json
import os
import re
import shutil
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.errors import BundleError, ConfigError, FormatVersionError, StorageError, UnknownFeatureError
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.bundle.feature_editor import FeatureEditor
from steersearch.runtime.bundle.feature_edits import Edit, edits_path


@pytest.fixture(scope="module")
def copied(tiny_bundle, tmp_path_factory):
    """A bundle of our own: the shared one must not be edited."""
    return shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("edits") / "bundle")


@pytest.fixture
def bundle(copied):
    copied.with_name("bundle.edits.json").unlink(missing_ok=True)
    return Bundle.load(copied, threads=1)


def edit(bundle, change):
    edits = FeatureEditor.load(bundle)
    change(edits)
    edits.save()
    return Bundle.load(bundle.path, threads=1)


def test_what_people_say_overlays_the_features(bundle):
    alive = [f for f in bundle.features if f.label]
    one, other = alive[:2]

    def change(edits):
        edits.rename(one.label, "  whole\tnumbers ")
        edits.merge([one.id, other.name], "arithmetic")
        edits.note(other.id, "also on floats ")
        edits.hide(alive[2].id, alive[3].id)
        edits.show(alive[3].id)

    edited = edit(bundle, change)
    for features in (edited.features, bundle.features):  # a new process, and this one after save
        renamed = features[one.id]
        assert features.find("WHOLE numbers") is renamed
        assert (renamed.label, renamed.renamed, renamed.family, renamed.score) == (
            "whole numbers",
            True,
            "arithmetic",
            None,
        )
        assert features.find(one.label) is None
        assert (features[other.id].note, features[other.id].label) == ("also on floats", other.label)
        assert str(features[alive[2].id]) == f"f{alive[2].id}"
        assert not features[alive[3].id].hidden
        assert features.typical.tolist() == bundle.features.typical.tolist()
        assert features.unedited[one.id] == one
    assert len(FeatureEditor.load(bundle)) == 3
    assert FeatureEditor.load(bundle)[other.id] == Edit(note="also on floats", family="arithmetic")


def test_a_renamed_feature_is_a_key_and_a_hidden_one_only_by_its_latent(bundle, topic_texts, tmp_path):
    query = "an exception is raised"
    indices, _ = bundle.encode(bundle.embed([query]))
    first, second = (int(latent) for latent in indices[0, :2])

    def change(edits):
        edits.rename(first, "errors, on purpose")
        edits.hide(second)

    edited = edit(bundle, change)
    with SteerableIndex.create(tmp_path / "index", edited) as index:
        index.add(topic_texts.texts, topic_texts.ids)
        assert index.search(query, 3, boost={"errors, on purpose": 1.0}) == index.search(query, 3, boost={first: 1.0})
        told = str(index.explain(query, "exceptions-0", boost={second: 1.0}))
    assert "(errors, on purpose)" in told
    assert not re.search(rf"f{second} \((?!stands out)", told)
    assert second not in [f.id for f in edited.features.search(query, 64)]
    label = bundle.features.unedited[second].label
    assert label is None or edited.features.find(label) is None


def test_a_bundle_without_edits_opens_without_computing_atoms(bundle):
    assert bundle.features.unedited == tuple(bundle.features)
    assert "atoms" not in vars(bundle.autoencoder)


def test_what_is_taken_back_leaves_no_file(bundle):
    edit(bundle, lambda edits: (edits.rename(1, "one"), edits.hide(2), edits.note(3, "x")))
    assert edits_path(bundle.path).is_file()
    edited = edit(bundle, lambda edits: (edits.clear(1), edits.show(2), edits.note(3, " ")))
    assert tuple(edited.features) == edited.features.unedited
    assert not edits_path(bundle.path).exists()


@pytest.mark.parametrize("label", ["", "  \n", "f12", "12", " F3 ", "x" * 81, "bell\a", "half \ud800", None])
def test_labels_that_are_no_names(bundle, label):
    edits = FeatureEditor.load(bundle)
    with pytest.raises(ConfigError, match="label"):
        edits.rename(1, label)
    with pytest.raises(ConfigError, match="family"):
        edits.merge([1, 2], label)
    assert len(edits) == 0


def test_labels_are_unique(bundle):
    one, other = [f for f in bundle.features if f.label][:2]
    edits = FeatureEditor.load(bundle)
    with pytest.raises(ConfigError, match=f"{other.name}'s"):
        edits.rename(one.id, other.label.upper())
    edits.rename(other.id, "something else")
    edits.rename(one.id, other.label)  # now it is free
    edits.save()
    assert bundle.features.find(other.label).id == one.id
    edits.clear(other.id)  # the automatic label comes back, but a person's own stays
    edits.save()
    assert bundle.features.find(other.label).id == one.id
    assert bundle.features[other.id].label == f"{other.label} ({other.name})"


def test_wrong_use(bundle):
    edits = FeatureEditor.load(bundle)
    with pytest.raises(UnknownFeatureError, match="f0 to f63"):
        edits.hide(64)
    with pytest.raises(UnknownFeatureError, match="nearest"):
        edits.note("no such label", "x")
    with pytest.raises(ConfigError, match="one member"):
        edits.merge([1], "alone")
    with pytest.raises(ConfigError, match="at least one"):
        edits.hide()
    edits.merge([1, 2], "pair")
    edits.merge([3], "pair")
    assert {edits[latent].family for latent in (1, 2, 3)} == {"pair"}


def test_two_people_at_once(bundle):
    mine, yours = FeatureEditor.load(bundle), FeatureEditor.load(Bundle.load(bundle.path, threads=1))
    mine.rename(1, "mine")
    mine.hide(2)
    yours.rename(3, "yours")
    yours.rename(4, "Mine")
    mine.save()
    with pytest.raises(ConfigError, match="is f1's"):
        yours.save()
    yours.clear(4)
    yours.save()
    now = FeatureEditor.load(bundle)
    assert (now[1].label, now[2].hidden, now[3].label) == ("mine", True, "yours")


def test_edits_survive_a_new_export_and_know_another_autoencoder(tiny_checkpoint, tmp_path):
    from steersearch.export import export_bundle
    from steersearch.training import SparseAutoencoder

    out = tmp_path / "bundle"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_bundle(tiny_checkpoint, out)
        first = edit(Bundle.load(out), lambda edits: edits.rename(5, "kept"))
        export_bundle(tiny_checkpoint, out, precision="w8", overwrite=True)
        assert Bundle.load(out).features[5].label == first.features[5].label == "kept"
        linked = tmp_path / "link"
        linked.symlink_to(out, target_is_directory=True)
        assert Bundle.load(linked).features[5].label == "kept"
        other = SparseAutoencoder.load(tiny_checkpoint)
        other.W_dec.data = other.W_dec.data.flip(0)
        export_bundle(other, out, overwrite=True)
    with pytest.raises(BundleError, match=r"bundle\.edits\.json .*another autoencoder.*64 latents.*move the file away"):
        Bundle.load(out)
    (tmp_path / "bundle.edits.json").unlink()
    assert Bundle.load(out).features[5].label != "kept"


def written(bundle, **changes):
    edit(bundle, lambda edits: (edits.rename(1, "one"), edits.rename(2, "two")))
    path = edits_path(bundle.path)
    body = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(body))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"format_version": 2}, FormatVersionError),
        ({"format_version": "1"}, BundleError),
        ({"features": []}, BundleError),
        ({"features": {"64": {"label": "x"}}}, BundleError),
        ({"features": {"one": {"label": "x"}}}, BundleError),
        ({"features": {"1": {"label": "f12"}}}, BundleError),
        ({"features": {"1": {"label": 3}}}, BundleError),
        ({"features": {"1": {"label": "x"}, "2": {"label": "X"}}}, BundleError),
        ({"features": {"1": {"hidden": "yes"}}}, BundleError),
        ({"features": {"1": {"colour": "red"}}}, BundleError),
        ({"atoms_sha256": None}, BundleError),
    ],
)
def test_a_damaged_file_is_refused(bundle, changes, error):
    written(bundle, **changes)
    with pytest.raises(error, match=r"bundle\.edits\.json"):
        Bundle.load(bundle.path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_no_file_of_edits_is_refused(bundle, content):
    edits_path(bundle.path).write_bytes(content)
    with pytest.raises(BundleError, match="mend it or move it away"):
        Bundle.load(bundle.path)


def test_a_full_disk_leaves_what_was_there(bundle, monkeypatch):
    edit(bundle, lambda edits: edits.rename(1, "before"))
    edits = FeatureEditor.load(bundle)
    edits.rename(1, "after")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            edits.save()
    assert FeatureEditor.load(bundle)[1].label == "before"
    assert not list(bundle.path.parent.glob("*.tmp")) + list(bundle.path.parent.glob(".*.tmp"))
    edits.save()
    assert FeatureEditor.load(bundle)[1].label == "after"


words = st.text("abcdefghijklmnoprs äß漢", min_size=3, max_size=20).filter(lambda text: len(text.strip()) > 2)
changes = st.lists(
    st.one_of(
        st.tuples(st.just("rename"), st.integers(0, 63), words),
        st.tuples(st.just("note"), st.integers(0, 63), st.text(st.characters(codec="utf-8"), max_size=20)),
        st.tuples(st.sampled_from(["hide", "show", "clear"]), st.integers(0, 63)),
        st.tuples(st.just("merge"), st.lists(st.integers(0, 63), min_size=2, max_size=4, unique=True), words),
    ),
    max_size=12,
)


@given(changes=changes)
def test_what_was_saved_is_read_again(copied, changes):
    copied.with_name("bundle.edits.json").unlink(missing_ok=True)
    bundle = Bundle.load(copied, threads=1, verify=False)
    edits = FeatureEditor.load(bundle)
    for name, *arguments in changes:
        try:
            getattr(edits, name)(*arguments)
        except ConfigError:
            assert name == "rename"  # two features with one label
    expected = [edits[latent] for latent in range(64)]
    edits.save()
    again = Bundle.load(copied, threads=1, verify=False)
    assert [FeatureEditor.load(again)[latent] for latent in range(64)] == expected
    labels = [f.label.casefold() for f in again.features if f.label]
    assert len(labels) == len(set(labels))
    edits.clear(*range(64))
    edits.save()
    assert tuple(bundle.features) == again.features.unedited
