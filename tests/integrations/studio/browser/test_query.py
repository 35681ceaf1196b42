"""The query: results while typing, what it expresses, wishes in a sentence, filters, views."""

from .conftest import PHRASE, asking


def test_results_follow_what_is_typed(tab):
    page = tab.open()
    assert page.locator(".state-box h2").inner_text() == "Type a question"
    page.keyboard.press("/")
    page.keyboard.type("integer")
    page.wait_for_selector(".list.only .hit")
    first = tab.ids("only")
    answer = tab.answer(lambda: page.fill("#query", "an exception is raised"))
    assert tab.ids("only") == [hit["id"] for hit in answer["plain"]] != first
    assert tab.state()["query"] == "an exception is raised"
    page.fill("#query", "")
    page.wait_for_selector(".state-box")


def test_the_page_never_has_two_searches_at_once_and_shows_the_newest(tab):
    page = tab.open(asking("a"))
    page.wait_for_selector(".hit")
    at_once: set[object] = set()
    most = 0

    def began(request):
        nonlocal most
        if request.url.endswith("/api/search"):
            at_once.add(request)
            most = max(most, len(at_once))

    page.on("request", began)
    # The end of the first search, which showed the page, can be told only now: a set takes it, a count went below 0.
    page.on("requestfinished", lambda request: at_once.discard(request))
    page.focus("#query")
    page.keyboard.press("End")
    page.keyboard.type("n exception is raised when the import of a module fails", delay=2)
    tab.until("document.querySelector('.busy.on') === null")
    page.wait_for_timeout(300)
    expected = page.evaluate(
        "state => fetch('/api/search', {method: 'POST', headers: {'Content-Type': 'application/json'},"
        " body: JSON.stringify(state)}).then(answer => answer.json())",
        asking("an exception is raised when the import of a module fails"),
    )
    assert most == 1
    assert tab.ids("only") == [hit["id"] for hit in expected["plain"]]


def test_features_of_the_query_are_chips_that_steer_and_open(tab):
    page = tab.open()
    answer = tab.answer(lambda: page.fill("#query", "an exception is raised"))
    page.wait_for_selector(".expressed .chip")
    assert page.locator(".expressed .chip").count() == min(7, len(answer["query_features"]))
    latent = answer["query_features"][0]["latent"]
    for choice, expected in [
        ("More of it", {"strength": 1, "exclude": False}),
        ("Less of it", {"strength": -1, "exclude": False}),
        ("Nothing of it", {"exclude": True}),
    ]:
        page.locator(".expressed .chip").first.click()
        page.get_by_role("button", name=choice).click()
        [held] = tab.state()["concepts"]
        assert held["key"] == {"feature": latent}
        assert {name: held[name] for name in expected} == expected
    page.locator(".expressed .chip").first.click()
    page.get_by_role("link", name="Open the feature").click()
    page.wait_for_selector("article.feature")
    assert f"at=feature/{latent}" in page.url
    page.go_back()
    page.wait_for_selector(".list.steered .hit")


def test_a_sentence_is_understood_and_its_wishes_can_be_mended(tab):
    page = tab.open(asking("exceptions, but not numbers", understand=True))
    page.wait_for_selector(".understood .wish")
    assert "numbers" in page.locator(".wish.minus").inner_text()
    page.get_by_role("button", name="Change the wishes").click()
    page.wait_for_selector(".card")
    state = tab.state()
    assert not state["understand"]
    assert "not" not in state["query"]
    assert [held["strength"] < 0 or held["exclude"] for held in state["concepts"]] == [True]


def test_a_wish_that_was_not_one_is_taken_out(tab):
    page = tab.open(asking("exceptions, but not numbers", understand=True))
    page.get_by_role("button", name="Take out the wish").click()
    page.wait_for_selector(".list.only .hit")
    assert tab.state()["concepts"] == []


def test_facets_filter_the_list(tab):
    page = tab.open(asking())
    page.wait_for_selector(".hit")
    page.get_by_role("button", name="Filter").click()
    tab.answer(lambda: page.get_by_role("checkbox", name="modules").check())
    assert all(id.startswith("modules-") for id in tab.ids("only"))
    tab.answer(lambda: page.get_by_role("checkbox", name="classes").check())
    assert tab.state()["filter"] == {"topic": {"$in": ["modules", "classes"]}}
    tab.answer(lambda: page.get_by_role("button", name="Clear all filters").click())
    assert tab.state()["filter"] is None


def test_a_filter_that_nothing_fits_says_so(tab):
    page = tab.open(asking(filter={"topic": "gardening"}))
    page.wait_for_selector("text=No document fits the filter.")
    page.get_by_role("button", name="Clear the filter").click()
    page.wait_for_selector(".hit")


def test_every_view_and_length(tab):
    page = tab.open(
        asking("an exception is raised", {"key": PHRASE, "strength": 1, "on": True, "off": [], "exclude": False})
    )
    page.wait_for_selector(".list.steered .hit")
    views = page.locator(".how select").first.locator("option").evaluate_all("options => options.map(one => one.value)")
    for view in views:
        answer = tab.answer(lambda view=view: page.locator(".how select").first.select_option(view))
        assert tab.ids("steered") == [hit["id"] for hit in answer["steered"]]
    tab.answer(lambda: page.locator(".how select").nth(1).select_option("20"))
    assert len(tab.ids("steered")) == 20
