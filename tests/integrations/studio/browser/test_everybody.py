"""For everybody: phone and keyboard, light and dark, screen readers; whatever texts hold; errors that are told."""

import json

import pytest

from .conftest import HOSTILE, PHRASE, Tab, asking, concept

STATE = asking("an exception is raised", concept(PHRASE), concept({"phrase": "classes"}, exclude=True))
VIEWS = ["search", "features", "feature/1", "map", "compare"]


@pytest.fixture(params=["light", "dark"])
def theme(request):
    return request.param


def axe(page):
    package = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    found = package.Axe().run(page, options={"resultTypes": ["violations"]})
    return [
        (rule["id"], rule["help"], [node["html"][:160] for node in rule["nodes"]][:4])
        for rule in found.response["violations"]
    ]


@pytest.mark.parametrize("width", [1360, 820, 390])
def test_axe_finds_nothing(browser, studio, theme, width):
    tab = Tab(browser, studio, viewport={"width": width, "height": 860}, color_scheme=theme, bypass_csp=True)
    for view in VIEWS:
        page = tab.open(STATE, "" if view == "search" else view)
        page.wait_for_timeout(600)
        assert axe(page) == [], view
    page = tab.open(STATE, "features")
    page.get_by_role("button", name="Tree", exact=True).click()
    page.wait_for_timeout(300)
    assert axe(page) == [], "tree"
    page = tab.open(STATE)
    page.wait_for_selector(".list.steered .hit mark")
    page.locator(".card footer .linky").first.click()
    page.locator(".chip").first.click()
    page.locator(".list.steered .term").first.click()
    assert axe(page) == []
    page.get_by_role("button", name="Copy as").click()
    page.wait_for_selector("dialog .code")
    assert axe(page) == []
    tab.close()


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_a_phone(browser, studio, view):
    tab = Tab(browser, studio, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = tab.open(STATE, "" if view == "search" else view)
    page.wait_for_timeout(600)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    tab.close()


def test_on_a_phone_one_list_is_shown_and_the_slider_takes_a_finger(browser, studio):
    tab = Tab(browser, studio, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = tab.open(asking("an exception is raised", concept(PHRASE)))
    page.wait_for_selector(".list.steered .hit")
    assert not page.locator(".list.plain").is_visible()
    page.locator(".which button", has_text="Plain").tap()
    assert page.locator(".list.plain").is_visible()
    assert not page.locator(".list.steered").is_visible()
    page.locator(".card input[type=range]").scroll_into_view_if_needed()
    box = page.locator(".card input[type=range]").bounding_box()
    page.touchscreen.tap(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
    assert tab.state()["concepts"][0]["strength"] > 1
    tab.close()


def test_the_keyboard_alone_is_enough(tab):
    page = tab.open()
    page.keyboard.press("/")
    page.keyboard.type("an exception is raised")
    page.wait_for_selector(".list.only .hit")

    def go_to(selector):
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"the Tab key does not reach {selector}")

    go_to("#add")
    page.keyboard.type("numbers and floats")
    page.keyboard.press("Enter")
    page.wait_for_selector(".list.steered .hit")
    go_to(".card input[type=range]")
    page.keyboard.press("ArrowRight")
    assert tab.state()["concepts"][0]["strength"] == pytest.approx(1.05)
    go_to(".star")
    page.keyboard.press("Space")
    tab.until("document.querySelectorAll('.card').length === 2")
    go_to(".term")
    page.keyboard.press("Enter")
    page.wait_for_selector(".parts li, .score .hint")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_what_changed_is_told_to_a_screen_reader(tab):
    page = tab.open(asking("an exception is raised", concept(PHRASE)))
    page.wait_for_selector(".list.steered .hit")
    assert "new" in page.locator(".found > p[role=status]").inner_text()
    assert page.locator("main").count() == page.locator("h1").count() == 1
    assert page.locator(".card input[type=range]").get_attribute("aria-label") == "Strength of numbers and floats"


def test_the_theme_is_chosen_and_remembered(tab):
    page = tab.open()
    ground = "getComputedStyle(document.body).backgroundColor"
    button = page.locator(".tools .bare")
    button.click()
    light = page.evaluate(ground)
    button.click()
    dark = page.evaluate(ground)
    assert light != dark
    page.reload()
    page.wait_for_selector(".search")
    assert page.evaluate(ground) == dark


def test_texts_of_documents_are_text_whatever_they_hold(tab):
    page = tab.open(asking("alert bell turned exceptions", k=50, concepts=[concept(PHRASE)]))
    page.wait_for_selector(".hit[data-id='<i>hostile</i>'] mark")
    hit = page.locator(".list.steered .hit[data-id='<i>hostile</i>']")
    shown = hit.locator(".text").evaluate("box => box.textContent")
    assert "<script>window.owned = 1</script>" in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert len(shown) == len(HOSTILE)
    assert "<b>bold</b>" in hit.locator(".metadata").inner_text()
    assert page.evaluate("window.owned") is None
    assert page.locator(".hit :is(script, img, i:not(.bar i, .half i))").count() == 0
    # The emoji takes two UTF-16 units: marks after it would be one letter off.
    words = [mark.strip() for mark in hit.locator("mark").all_inner_texts()]
    assert all(word in HOSTILE for word in words)
    assert not any(word.startswith("xceptions") for word in words)


def test_a_broken_link_is_told_and_leaves_the_page_usable(tab):
    tab.page.goto(f"{tab.address}/#%%%not-base64")
    tab.page.wait_for_selector("text=could not be read")
    tab.page.fill("#query", "an exception is raised")
    tab.page.wait_for_selector(".hit")


def test_errors_of_the_server_are_told_and_tried_again(tab):
    tab.expected.append("Failed to load resource")
    page = tab.open(asking())
    page.wait_for_selector(".hit")
    answers = {"status": 503, "content_type": "application/json", "body": json.dumps({"error": "The index is busy."})}
    page.route("**/api/search", lambda route: route.fulfill(**answers))
    page.fill("#query", "import")
    page.wait_for_selector(".failure:has-text('The index is busy.')")
    page.unroute("**/api/search")
    page.route("**/api/search", lambda route: route.abort())
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector(".failure:has-text('does not answer')")
    page.unroute("**/api/search")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector(".failure", state="detached")


def test_a_list_that_loads_shows_that_it_does(tab):
    page = tab.open()
    held = []
    page.route("**/api/search", lambda route: held.append(route))
    page.fill("#query", "import")
    page.wait_for_selector(".waiting")
    held[0].continue_()
    page.wait_for_selector(".hit[data-id]")
