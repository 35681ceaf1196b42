"""Profiles: what clicks make, what of it can be undone and edited, the file, and bad input."""

import json
import pickle
import threading
from dataclasses import replace

import numpy as np
import pytest

from steersearch.errors import ConfigError, DataError, StorageError, UnknownFeatureError
from steersearch.runtime import Concept, Profile, Steering
from steersearch.runtime.steering.profiles.clicks import DISLIKED
from steersearch.runtime.steering.profiles.profile_file import FORMAT_VERSION

QUERY, DAY = "a name is given", 86_400.0
FIRST, SECOND, OTHER = "exceptions-0", "exceptions-3", "numbers-1"


class Clock:
    def __init__(self):
        self.now = 1.8e9

    def __call__(self):
        return self.now

    def wait(self, days):
        self.now += days * DAY


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def liked(tiny_index, clock):
    """A profile of two likes and a dislike."""
    profile = Profile(clock=clock)
    profile.like(FIRST, tiny_index)
    profile.like(SECOND, tiny_index)
    profile.dislike(OTHER, tiny_index)
    return profile


def direction_of(profile, bundle):
    """The sum of weight * typical * atom, unit length."""
    weights = profile.weights
    made = sum(weight * bundle.features.typical[id] * bundle.atoms[id] for id, weight in weights.items())
    return made / np.linalg.norm(made)


def results(index, profile, **more):
    return [(hit.id, hit.score) for hit in index.search(QUERY, 60, boost=profile, **more)]


def test_likes_bring_documents_like_them(tiny_index, liked):
    weights = liked.weights
    assert 0 < len(weights) <= 32
    assert max(abs(weight) for weight in weights.values()) == 1
    plain = [hit.id for hit in tiny_index.search(QUERY, 20)]
    boosted = [hit.id for hit in tiny_index.search(QUERY, 20, boost=liked)]
    assert sum(id.startswith("exceptions") for id in boosted) > sum(id.startswith("exceptions") for id in plain)
    # The direction is that of the clicks: the mean of the likes less a fifth of the dislike.
    one, two, other = (click.direction.astype(float) for click in liked.clicks)
    wanted = (one + two) / 2 - DISLIKED * other
    made = direction_of(liked, tiny_index.bundle)
    assert made @ wanted / np.linalg.norm(wanted) == pytest.approx(liked.concept().fit, abs=1e-5)
    assert liked.concept().fit > 0.9


def test_it_is_a_concept_wherever_a_boost_is_taken(tiny_index, liked, tmp_path):
    steered = tiny_index.steer(QUERY, liked)
    assert steered.boosted == ((liked.concept(), 1.0),)
    assert tiny_index.steer(QUERY, {liked: 0.5, "import a module": 1}).boosted[0] == (liked.concept(), 0.5)
    assert tiny_index.steer(QUERY, {liked: -1}).boosted == ((liked.concept(), -1.0),)
    assert tiny_index.steer(QUERY, liked, blend="move").boosted == steered.boosted
    assert tiny_index.search(QUERY, boost=liked, compare=True)[0].moved_by
    assert tiny_index.steer(QUERY, exclude=[liked]).excluded == (liked.concept(),)
    assert tiny_index.resolve(liked) == liked.concept()
    liked.concept().save(tmp_path / "concept.json", tiny_index.bundle)
    assert Concept.load(tmp_path / "concept.json") == liked.concept()
    assert "(a profile): " in liked.concept().describe(tiny_index.bundle)


def test_a_request_does_not_change_with_the_profile(tiny_index, liked):
    request = Steering(liked)
    before = tiny_index.search(QUERY, 60, steering=request)
    liked.forget_all()
    assert tiny_index.search(QUERY, 60, steering=request) == before


@pytest.mark.parametrize("view", ["dense", "latent", "hybrid"])
def test_an_empty_profile_is_the_plain_search_bit_for_bit(tiny_index, view):
    profile = Profile()
    plain = [(hit.id, hit.score) for hit in tiny_index.search(QUERY, 60, view=view)]
    assert results(tiny_index, profile, view=view) == plain
    assert results(tiny_index, {profile: 2}, view=view, exclude=[profile]) == plain
    assert profile.concept() is None
    assert (profile.weights, profile.clicks, profile.trust, profile.undo()) == ({}, [], 0, None)
    assert str(profile) == "profile (0 liked, 0 disliked): it boosts nothing"
    with pytest.raises(ConfigError, match="no clicks yet"):
        tiny_index.resolve(profile)


def test_dislikes_alone_push_away(tiny_index, clock):
    profile = Profile(clock=clock)
    profile.dislike(FIRST, tiny_index)
    assert all(weight < 0 for weight in profile.weights.values())
    liking = Profile(clock=clock)
    liking.like(FIRST, tiny_index)
    assert direction_of(profile, tiny_index.bundle) == pytest.approx(-direction_of(liking, tiny_index.bundle))
    rank = {id: rank for rank, (id, _) in enumerate(results(tiny_index, profile))}
    plain = {id: rank for rank, (id, _) in enumerate(results(tiny_index, None))}
    assert rank[FIRST] > plain[FIRST]


def test_the_later_click_on_a_document_counts_and_undo_brings_the_earlier_back(tiny_index, liked):
    before, text = liked.weights, str(liked)
    liked.dislike(tiny_index.search(QUERY, 60)[0], tiny_index)
    liked.like(OTHER, tiny_index)
    assert [click.id for click in liked.clicks if not click.liked] == [tiny_index.search(QUERY, 1)[0].id]
    assert liked.undo().id == OTHER
    assert not liked.clicks[2].liked
    liked.undo()
    assert (liked.weights, str(liked)) == (before, text)
    text = "a text that no document has"
    liked.like(text, tiny_index)
    liked.dislike(text, tiny_index)
    assert [click.liked for click in liked.clicks if click.id is None] == [False]


def test_clicks_that_cancel_out_boost_nothing(tiny_index, clock, monkeypatch):
    monkeypatch.setattr("steersearch.runtime.steering.profiles.clicks.DISLIKED", 1.0)
    profile = Profile(tiny_index.bundle, clock=clock)
    click = profile.like(FIRST, tiny_index)
    profile._learned = replace(profile._learned, clicks=(click, replace(click, liked=False, document="another")))
    assert profile.weights == {}
    assert results(tiny_index, profile) == results(tiny_index, None)


def test_clicks_decay_by_half_in_a_half_life(tiny_index, clock):
    profile = Profile(half_life=10, clock=clock)
    profile.like(FIRST, tiny_index)
    assert profile.trust == 1
    clock.wait(10)
    assert profile.trust == pytest.approx(0.5)
    assert tiny_index.steer(QUERY, {profile: 3}).boosted[0][1] == pytest.approx(1.5)
    assert str(profile).startswith("profile (1 liked, 0 disliked), faded to 0.50:")
    profile.like(OTHER, tiny_index)
    assert profile.trust == 1  # one and a half
    clock.wait(20)
    assert profile.trust == pytest.approx(0.125 + 0.25)
    clock.wait(-20)
    old, new = (click.direction.astype(float) for click in profile.clicks)
    wanted = old / 3 + new * 2 / 3  # the older one counts half
    made = direction_of(profile, tiny_index.bundle)
    assert made @ wanted / np.linalg.norm(wanted) == pytest.approx(profile.concept().fit, abs=1e-5)
    before = profile.weights
    clock.wait(10_000)
    assert profile.weights == before
    assert profile.trust < 1e-100
    clock.wait(-20_000)  # a clock that was put back
    assert profile.trust == 1


def test_why_adds_up_to_each_weight(tiny_index, liked):
    for id, weight in liked.weights.items():
        why = liked.why(id)
        assert sum(share for _, share in why) == pytest.approx(weight, abs=1e-6)
        assert abs(why[0][1]) == max(abs(share) for _, share in why)
    strongest = tiny_index.bundle.features[max(liked.weights, key=liked.weights.get)]
    assert str(liked.why(strongest)).splitlines()[0].split("  ")[1] in (
        f"liked {FIRST} (2027-01-15)",
        f"liked {SECOND} (2027-01-15)",
    )
    lines = str(liked).splitlines()
    assert lines[0] == "profile (2 liked, 1 disliked):"
    assert len(lines) == 1 + len(liked.weights)
    assert f"  +1.00  {strongest}: liked " in str(liked)
    unused = next(feature.id for feature in tiny_index.bundle.features if feature.id not in liked.weights)
    assert liked.why(unused) == []


def test_removing_a_feature_undoes_its_share_of_the_score(tiny_index, liked):
    """A score is divided by the length of the query, which changes too: what is left is scaled by one factor."""
    first, second = list(liked.weights)[:2]
    ids = [hit.id for hit in tiny_index.search(QUERY, 5)]

    def parts():
        explained = tiny_index.explain_all(QUERY, ids, boost=liked, blend="move")
        return [{part.feature.id: part.steered for part in each.parts if part.steered} for each in explained]

    before, weights = parts(), liked.weights
    liked.remove(first)
    assert liked.weights == {id: weight for id, weight in weights.items() if id != first}
    assert f"removed: {tiny_index.bundle.features[first]}" in str(liked)
    factors = []
    for old, new in zip(before, parts(), strict=True):
        factor = new[second] / old[second]
        assert first not in new
        assert sum(new.values()) == pytest.approx((sum(old.values()) - old[first]) * factor, rel=1e-4)
        factors.append(factor)
    assert factors == pytest.approx([factors[0]] * len(factors), rel=1e-4)
    liked.reset(first)
    assert liked.weights == weights


def test_removing_a_feature_takes_its_share_of_what_documents_stand_out_by(tiny_index, liked):
    """In units of the documents' deviation, which one factor changes for all of them."""
    first, ids = next(iter(liked.weights)), tiny_index.documents()[0]
    features, typical = tiny_index.bundle.atoms, tiny_index.bundle.features.typical
    vectors = np.array(tiny_index.vectors(ids), np.float64)

    def presence():
        explained = tiny_index.explain_all(QUERY, ids, boost=liked)
        return np.array([each.terms[1].presence for each in explained])

    before = presence()
    share = vectors @ features[first] * typical[first] * liked.weights[first]
    whole = sum(vectors @ features[id] * typical[id] * weight for id, weight in liked.weights.items())
    scale = np.ptp(before) / np.ptp(whole)
    liked.remove(first)
    after = presence()
    rest = before - scale * share
    assert np.corrcoef(after, rest)[0, 1] > 0.999999


def test_weights_set_by_hand_stay(tiny_index, liked):
    features = [feature.id for feature in tiny_index.bundle.features if feature.p95 > 0]
    unused = next(id for id in features if id not in liked.weights)
    liked.set(unused, -0.5)
    assert liked.weights[unused] == -0.5
    assert liked.trust == 1
    assert "set by hand" in str(liked)
    liked.like("exceptions-5", tiny_index)
    assert liked.weights[unused] == -0.5
    for id in features:
        liked.set(id, 1.0)
    assert len(liked.weights) == 32
    liked.forget_all()
    assert (liked.weights, liked.clicks) == ({}, [])
    only = Profile(tiny_index.bundle)
    only.set(features[0], 2)
    assert tiny_index.steer(QUERY, only).boosted == ((only.concept(), 1.0),)
    dead = next((feature for feature in tiny_index.bundle.features if feature.p95 <= 0), None)
    if dead is not None:
        with pytest.raises(UnknownFeatureError, match="never fires"):
            only.set(dead, 1)
    with pytest.raises(ConfigError, match="finite number"):
        only.set(features[0], float("nan"))
    with pytest.raises(UnknownFeatureError, match="no feature called"):
        only.remove("nobody knows")


def test_it_outlives_the_documents_and_serves_other_indexes(tiny_index, liked):
    before, hits = liked.weights, results(tiny_index, liked, blend="move")
    tiny_index.delete([FIRST, SECOND, OTHER])
    assert liked.weights == before
    assert results(tiny_index, liked, blend="move") == [hit for hit in hits if hit[0] not in (FIRST, SECOND, OTHER)]


def test_a_file_holds_every_change(tiny_index, clock, tmp_path):
    path, bundle = tmp_path / "me.json", tiny_index.bundle
    profile = Profile.open(path, bundle, half_life=30, clock=clock)
    assert not path.exists()
    hit = tiny_index.search("an exception is raised", 1)[0]
    profile.like(hit, tiny_index)
    profile.dislike(OTHER, tiny_index)
    profile.remove(next(iter(profile.weights)))
    again = Profile.open(path, bundle.path, clock=clock)
    assert again.half_life == 30
    assert (again.weights, again.trust, str(again)) == (profile.weights, profile.trust, str(profile))
    raw = path.read_text()
    assert hit.text not in raw
    assert json.loads(raw)["format_version"] == FORMAT_VERSION
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "index") == [".me.json.lock", "me.json"]
    again.undo()
    assert len(profile.clicks) == 1  # seen by whoever has it open
    profile.save(tmp_path / "copy.json")
    assert Profile.open(tmp_path / "copy.json", bundle).weights == profile.weights
    again.forget_all()
    assert hit.id not in path.read_text()
    assert profile.clicks == []
    path.unlink()
    assert profile.clicks == []


def test_texts_are_kept_when_asked(tiny_index, tmp_path):
    profile = Profile.open(tmp_path / "me.json", tiny_index.bundle, keep_texts=True)
    hit = tiny_index.search("an exception is raised", 1)[0]
    profile.like(hit, tiny_index)
    assert hit.text in str(Profile.open(tmp_path / "me.json", tiny_index.bundle))


def test_writers_do_not_lose_clicks(tiny_index, topic_texts, tmp_path):
    path = tmp_path / "me.json"
    profiles = [Profile.open(path, tiny_index.bundle) for _ in range(2)]
    threads = [
        threading.Thread(target=lambda p=profile, ids=topic_texts.ids[i::2][:8]: [p.like(id, tiny_index) for id in ids])
        for i, profile in enumerate(profiles)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(click.id for click in profiles[0].clicks) == sorted(topic_texts.ids[:16])


def test_a_copy_in_another_process(tiny_index, liked, clock, tmp_path):
    again = pickle.loads(pickle.dumps(liked))
    assert again.weights == liked.weights
    kept = Profile.open(tmp_path / "me.json", tiny_index.bundle, clock=clock)
    again = pickle.loads(pickle.dumps(kept))
    kept.like(FIRST, tiny_index)
    assert [click.id for click in again.clicks] == [FIRST]


def test_a_full_disk_loses_nothing(tiny_index, liked, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "me.json"):
        with pytest.raises(ConfigError, match="cannot read a profile from"):
            Profile.open(path, tiny_index.bundle)
    profile = Profile.open(tmp_path / "me.json", tiny_index.bundle)
    profile.like(FIRST, tiny_index)
    before = (tmp_path / "me.json").read_bytes()

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("steersearch.runtime.steering.profiles.profile_file.replace_file", full)
    with pytest.raises(StorageError, match=r"me\.json: .*No space"):
        profile.like(SECOND, tiny_index)
    assert [click.id for click in profile.clicks] == [FIRST]
    assert (tmp_path / "me.json").read_bytes() == before


def test_a_profile_of_another_model_is_refused(tiny_index, liked, tmp_path):
    path = tmp_path / "me.json"
    liked.save(path)
    raw = json.loads(path.read_text())
    path.write_text(json.dumps(raw | {"model": "0" * 64}))
    with pytest.raises(ConfigError, match=r"me\.json was learned with another model than .*: open it with the bundle"):
        Profile.open(path, tiny_index.bundle)
    liked._learned = replace(liked._learned, model="0" * 64)
    with pytest.raises(ConfigError, match=r"learned with another model.*start another profile"):
        tiny_index.search(QUERY, boost=liked)
    with pytest.raises(ConfigError, match="another model than that of the index"):
        liked.like(FIRST, tiny_index)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: [], "no profile"),
        (lambda raw: raw | {"format_version": 99}, "format_version 99"),
        (lambda raw: raw | {"half_life_days": 0}, "half_life is 0"),
        (lambda raw: raw | {"model": 3}, "model is 3"),
        (lambda raw: raw | {"edits": {"f999999": 1}}, "f999999"),
        (lambda raw: raw | {"edits": {"f1": float("nan")}}, "f1"),
        (lambda raw: raw | {"clicks": [{}]}, "no profile"),
        (lambda raw: raw | {"clicks": [raw["clicks"][0] | {"direction": "AAA="}]}, "direction"),
        (lambda raw: raw | {"clicks": [raw["clicks"][0] | {"time": 1e300}]}, "no profile"),
        (lambda raw: raw | {"clicks": [raw["clicks"][0] | {"id": 7}]}, "are strings"),
    ],
)
def test_files_that_are_no_profile(tiny_index, liked, tmp_path, change, message):
    path = tmp_path / "me.json"
    liked.save(path)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(ConfigError, match=message) as raised:
        Profile.open(path, tiny_index.bundle)
    assert "\n" not in str(raised.value)


def test_bad_clicks(tiny_index, opened_bundle):
    profile = Profile()
    with pytest.raises(ConfigError, match="no model yet: give index="):
        profile.like("a few words")
    with pytest.raises(ConfigError, match="no model yet: click"):
        profile.remove(3)
    with pytest.raises(DataError, match="'nothing' is not the id of a document in the index"):
        profile.like("nothing", tiny_index)
    with pytest.raises(DataError, match="cannot be looked up without index="):
        Profile(opened_bundle).like(FIRST)
    for wrong in (3, None, [FIRST], {"id": FIRST}):
        with pytest.raises(ConfigError, match="is no document"):
            profile.like(wrong, tiny_index)
    for wrong in (0, -1, "a week", True, float("inf")):
        with pytest.raises(ConfigError, match="half_life"):
            Profile(half_life=wrong)
    assert profile.clicks == []


def test_a_text_without_an_index(tiny_index, opened_bundle):
    profile = Profile(opened_bundle)
    click = profile.like("An exception is raised when an error occurs.")
    assert click.id is None
    assert str(click).startswith("liked a text (")
    assert direction_of(profile, opened_bundle) @ click.direction > 0.5
