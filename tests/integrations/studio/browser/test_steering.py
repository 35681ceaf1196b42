"""Concepts: how they are added, their sliders, what they do to the lists, and what is inside of them."""

import re

import pytest

from .conftest import PHRASE, asking, concept

SLIDER = ".card input[type=range]"


def number(text):
    return float(text.replace("\u2212", "-"))


def test_a_phrase_is_added_and_both_lists_stand_side_by_side(tab):
    page = tab.open(asking())
    page.wait_for_selector(".list.only .hit")
    page.fill("#add", "numbers and floats")
    answer = tab.answer(lambda: page.press("#add", "Enter"))
    page.wait_for_selector(".list.steered .hit")
    assert tab.ids("plain") == [hit["id"] for hit in answer["plain"]]
    assert tab.ids("steered") == [hit["id"] for hit in answer["steered"]] != tab.ids("plain")
    came = [hit["id"] for hit in answer["steered"] if hit["was"] is None or hit["was"] > 10]
    went = [hit["id"] for hit in answer["plain"] if hit["was"] is None]
    shown = "marks => marks.map(mark => mark.closest('.hit').dataset.id)"
    assert page.eval_on_selector_all(".move.came", shown) == came
    assert page.eval_on_selector_all(".move.went", shown) == went
    for hit in answer["steered"]:
        if hit["id"] not in came and hit["was"] != hit["rank"]:
            up = hit["was"] > hit["rank"]
            arrow = page.locator(f".list.steered .hit[data-id='{hit['id']}'] .move").inner_text()
            assert ("▲" if up else "▼") + str(abs(hit["was"] - hit["rank"])) in arrow


def test_bars_add_up_to_the_score(tab):
    page = tab.open(asking("an exception is raised", concept(PHRASE), concept({"phrase": "classes"}, exclude=True)))
    page.wait_for_selector(".list.steered .hit")
    sums = page.locator(".sum").all_inner_texts()
    assert len(sums) == 20
    for line in sums:
        score, *parts = [number(found) for found in re.findall(r"[+\u2212-]?\d+\.\d+", line)]
        assert sum(parts) == pytest.approx(score, abs=0.0006 * (len(parts) + 1))
    # The pieces of a bar are as long as their terms, on the list's scale.
    widths = page.eval_on_selector_all(
        ".list.steered .hit:first-child .bar i", "pieces => pieces.map(one => parseFloat(one.style.width))"
    )
    terms = [
        abs(number(found))
        for found in re.findall(r"[+\u2212]\d+\.\d+", page.locator(".list.steered .sum").first.inner_text())
    ][-len(widths) :]
    scale = widths[0] / terms[0]
    assert widths == pytest.approx([term * scale for term in terms], rel=0.02, abs=0.3)


def test_a_bar_opens_and_lights_the_words_that_carry_it(tab):
    page = tab.open(asking("an exception is raised", concept(PHRASE)))
    page.wait_for_selector(".list.steered .hit mark")
    hit = page.locator(".list.steered .hit").first
    before = hit.locator("mark").all_inner_texts()
    hit.locator(".term").nth(1).hover()
    tab.until("document.querySelector('.list.steered .hit .term.lit')")
    assert hit.locator(".bar i.lit").count() == 1
    assert "tint0" in hit.locator(".text").get_attribute("class")
    lit = hit.locator("mark").all_inner_texts()
    assert lit
    assert lit != before or hit.locator("mark").count() > 0
    hit.locator(".term").nth(1).click()
    assert hit.locator(".parts li").count() >= 1
    hit.locator(".term").nth(1).click()
    assert hit.locator(".parts li").count() == 0


def test_the_slider_by_keyboard_marks_and_mouse(tab):
    page = tab.open(asking("an exception is raised", concept(PHRASE)))
    page.wait_for_selector(SLIDER)
    page.focus(SLIDER)
    tab.answer(lambda: page.keyboard.press("ArrowLeft"))
    assert tab.state()["concepts"][0]["strength"] == pytest.approx(0.95)
    assert page.locator(".card output").inner_text() == "+0.95"
    tab.answer(lambda: page.keyboard.press("Home"))
    assert tab.state()["concepts"][0]["strength"] == -2
    tab.answer(lambda: page.locator(".marks button", has_text="0").first.click())
    assert tab.state()["concepts"][0]["strength"] == 0
    page.wait_for_selector(".list.only")
    assert page.locator(SLIDER).get_attribute("aria-valuetext") == "0, no effect"
    box = page.locator(SLIDER).bounding_box()
    middle = box["y"] + box["height"] / 2
    left, width = box["x"] + 9, box["width"] - 18  # the middle of the thumb at both ends
    page.mouse.move(left + width / 2, middle)
    page.mouse.down()
    for step in range(1, 11):
        page.mouse.move(left + width * (0.5 + 0.0251 * step), middle)
    page.mouse.up()
    assert tab.state()["concepts"][0]["strength"] == 1  # it stops at a mark that is near
    page.wait_for_selector(".list.steered")


def test_auto_and_the_gauge(tab):
    page = tab.open(asking("an exception is raised", concept(PHRASE, strength=0.3)))
    page.wait_for_selector(".list.steered")
    answer = tab.answer(lambda: page.get_by_role("button", name="Auto", exact=True).click())
    assert tab.state()["concepts"][0]["strength"] == "auto"
    assert answer["concepts"][0]["auto"] is not None
    shown = int(page.locator(".gauge output").inner_text().split()[0])
    assert shown == pytest.approx(100 * answer["kept"], abs=0.51)
    assert "auto" in " ".join(page.locator(".marks button").all_inner_texts())


def test_labels_stars_and_exclusion_are_concepts_too(tab):
    page = tab.open(asking())
    page.wait_for_selector(".hit")
    label = page.evaluate("fetch('/api/features?sort=label&limit=1').then(answer => answer.json())")["features"][0]
    page.fill("#add", label["label"])
    page.wait_for_selector(f"#add-f{label['latent']}")
    page.press("#add", "ArrowDown")
    tab.answer(lambda: page.press("#add", "Enter"))
    tab.answer(lambda: page.locator(".star[aria-label^='More like']").first.click())
    tab.answer(lambda: page.locator(".list.steered .star[aria-label^='Less like']").last.click())
    feature, stars = tab.state()["concepts"]
    assert feature["key"] == {"feature": label["latent"]}
    assert (len(stars["key"]["more"]), len(stars["key"]["less"])) == (1, 1)
    assert page.locator(".star[aria-pressed=true]").count() >= 2
    tab.answer(lambda: page.locator(".card").first.get_by_role("button", name="Exclude").click())
    assert tab.state()["concepts"][0]["exclude"]
    tab.answer(lambda: page.locator(".card").first.get_by_role("button", name="Use a slider").click())
    tab.answer(lambda: page.locator(".card header .bare").first.click())
    assert len(tab.state()["concepts"]) == 1
    tab.answer(lambda: page.get_by_role("button", name="Undo").click())
    assert len(tab.state()["concepts"]) == 2


def test_features_of_a_concept_are_switched_weighed_and_saved(tab):
    page = tab.open(asking("an exception is raised", concept(PHRASE)))
    page.wait_for_selector(".list.steered .hit")
    page.locator(".card footer .linky").first.click()
    rows = page.locator(".editor .features li")
    assert 1 <= rows.count() <= 32
    before = page.locator(".list.steered .sum").all_inner_texts()
    answer = tab.answer(lambda: rows.first.locator("input[type=checkbox]").uncheck())
    off = tab.state()["concepts"][0]["off"]
    assert [one["latent"] for one in answer["concepts"][0]["features"] if not one["on"]] == off
    assert page.locator(".list.steered .sum").all_inner_texts() != before
    page.fill(".save input", "my numbers")
    with page.expect_response(lambda response: "/api/concepts/" in response.url) as saved:
        page.get_by_role("button", name="Save").click()
    assert saved.value.ok
    page.wait_for_selector(".notice:has-text('my numbers')")
    page.locator(".card header .bare").click()
    page.fill("#add", "my num")
    page.wait_for_selector("[id='add-saved-my numbers']")
    tab.answer(lambda: page.locator("[id='add-saved-my numbers']").click())
    assert tab.state()["concepts"][0]["key"] == {"concept": "my numbers"}
    page.wait_for_selector(".list.steered .hit")


def test_a_changed_weight_is_the_persons_own(tab):
    page = tab.open(asking("an exception is raised", concept(PHRASE)))
    page.wait_for_selector(".list.steered .hit")
    page.locator(".card footer .linky").first.click()
    weight = page.locator(".editor input[type=number]").first
    weight.fill("0.25")
    tab.answer(lambda: weight.press("Enter"))
    assert 0.25 in tab.state()["concepts"][0]["key"]["weights"].values()


def test_the_curve_is_drawn_and_chooses_a_strength(tab):
    page = tab.open(asking("an exception is raised", concept(PHRASE)))
    page.wait_for_selector(".list.steered .hit")
    with page.expect_response(lambda response: "/api/curve" in response.url) as waited:
        page.get_by_role("button", name="Curve").click()
    points = waited.value.json()["points"]
    at_one = min(points, key=lambda point: abs(point["strength"] - 1))
    page.wait_for_selector(".curve canvas")
    assert f"{round(100 * at_one['overlap'])} %" in page.locator(".line.overlap").inner_text()
    box = page.locator(".curve .u-over").bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 40)
    tab.answer(lambda: page.mouse.click(box["x"] + 0.625 * box["width"], box["y"] + 40))
    assert tab.state()["concepts"][0]["strength"] == pytest.approx(0.5, abs=0.06)


def test_a_warning_stands_at_its_concept(tab):
    page = tab.open(asking("an exception is raised", concept({"phrase": "radio astronomy"}), concept(PHRASE)))
    page.wait_for_selector(".list.steered .hit")
    answer = tab.answer(lambda: page.locator(".how select").nth(1).select_option("5"))
    assert page.locator(".warnings li").count() == len(answer["warnings"])
    for warning in answer["warnings"]:
        assert page.locator(".warnings li", has_text=warning["text"][:30]).count() >= 1


def test_a_concept_that_does_not_exist_is_told_at_its_card(tab):
    page = tab.open(asking("an exception is raised", concept({"feature": 999999}), concept(PHRASE)))
    page.wait_for_selector(".card .warnings li:has-text('999999')")
    assert page.locator(".list.steered .hit").count() == 10  # the other one counts all the same


def test_everything_off_is_the_plain_list(tab):
    page = tab.open(asking("an exception is raised", concept(PHRASE)))
    page.wait_for_selector(".list.steered .hit")
    tab.answer(lambda: page.get_by_role("button", name="Turn off", exact=True).click())
    page.wait_for_selector(".list.only .hit")
    tab.answer(lambda: page.get_by_role("button", name="Turn on", exact=True).click())
    page.wait_for_selector(".list.steered .hit")
