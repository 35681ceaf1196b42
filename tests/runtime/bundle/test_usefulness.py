import numpy as np

from steersearch.runtime.bundle.feature import Feature, lower_bound
from steersearch.runtime.bundle.features import Features
from steersearch.runtime.bundle.interpretation import Entry, Passage
from steersearch.runtime.bundle.passage_words import PassageWords


def feature(id=0, label="words", score=0.9, support=30, fires=60, share=0.02, **more):
    return Feature(id, label, 0.5, 0.2, 0.5, 0.9, score=score, support=support, fires=fires, share=share, **more)


def test_a_score_from_few_documents_is_at_least_little():
    assert [round(lower_bound(1.0, n), 2) for n in (0, 1, 10, 50)] == [0.0, 0.27, 0.79, 0.95]
    assert lower_bound(0.8, 20) < lower_bound(0.8, 200) < 0.8
    assert lower_bound(0.9, 20) > lower_bound(0.8, 20)


def test_one_document_with_a_perfect_score_does_not_lead():
    assert feature(score=1.0, support=1, fires=2).usefulness == 0
    assert feature(score=0.9, support=50).usefulness > feature(score=0.95, support=5).usefulness > 0


def test_what_fires_on_half_of_everything_tells_little():
    at = {share: feature(fires=int(10_000 * share), share=share).usefulness for share in (0.0005, 0.02, 0.1, 0.5, 1.0)}
    assert at[0.02] == max(at.values())
    assert at[0.02] > at[0.1] > at[0.5] > at[1.0] == 0
    assert at[0.5] < 0.2 * at[0.02]


def test_steering_counts_and_what_was_not_measured_counts_as_chance():
    assert feature(steers=0.9).usefulness > feature().usefulness == feature(steers=0.5).usefulness
    assert feature(steers=0.2).usefulness < feature().usefulness


def test_unclear_features_are_not_useful_and_named_ones_are():
    assert feature(label=None, unclear=True).usefulness == feature(score=None).usefulness == 0
    assert feature(score=None, renamed=True).usefulness > feature().usefulness


def test_the_share_of_the_labelled_documents_is_shown_where_it_is_known():
    assert feature(share=0.02).frequency == 0.02
    assert feature(share=None).frequency == 0.5


def entries(*texts):
    return [
        Entry(latent, top=tuple(Passage(str(i), text, 1.0) for i, text in enumerate(own)))
        for latent, own in enumerate(texts)
    ]


def test_passages_with_the_words_of_a_phrase():
    words = PassageWords(
        entries(["Oil prices rose.", "the PRICE of oil"], ["soil", "a boiler"], [], ["prices", "hens"])
    )
    assert words.shares("oil").tolist() == [1, 0, 0, 0]
    assert words.shares("price").tolist() == [1, 0, 0, 0.5]
    both = words.shares("oil prices")
    assert both[0] == 1
    assert 0 < both[3] < 0.5
    assert words.shares("…").tolist() == words.shares("zebra").tolist() == [0, 0, 0, 0]
    assert PassageWords([]).shares("oil").tolist() == []
    assert words.shares("c++ (.*")[0] == 0


def test_search_reads_the_passages_and_prefers_what_is_sure():
    made = [feature(0, "gogh", support=2), feature(1, "petroleum"), feature(2, "pope"), feature(3, "hens", fires=1)]
    found = PassageWords(
        entries(["oil prices"], ["crude oil prices", "prices of oil"], ["popes"], ["oil", "prices of oil"])
    )
    searched = Features(made, np.zeros(2, np.float32), passages=lambda: found).search("oil prices")
    assert [each.id for each in searched] == [1, 0, 3]
    assert [each.id for each in Features(made, np.zeros(2, np.float32)).search("pope")] == [2]


def test_hidden_features_are_not_found_in_passages():
    found = PassageWords(entries(["oil"], ["oil"], ["hens"]))
    made = [feature(0, None, hidden=True), feature(1, "petroleum"), feature(2, "hens")]
    assert [each.id for each in Features(made, np.zeros(2, np.float32), passages=lambda: found).search("oil")] == [1]
