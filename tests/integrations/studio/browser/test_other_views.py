"""Features, the map, the comparison, and what is copied."""

import json

from .conftest import PHRASE, asking, concept


def test_a_feature_is_found_opened_renamed_and_undone(tab):
    page = tab.open(at="features")
    page.wait_for_selector("tbody tr")
    page.locator("tbody th a").first.click()
    page.wait_for_selector("article.feature")
    assert page.locator(".passages li").count() >= 1
    assert page.locator(".histogram i").count() >= 1
    before = page.locator("#feature bdi").inner_text()
    page.locator(".edits input").first.fill("a name of mine")
    page.get_by_role("button", name="Rename").click()
    tab.until("document.querySelector('#feature bdi').textContent === 'a name of mine'")
    page.get_by_role("button", name="Undo", exact=True).click()
    tab.until("name => document.querySelector('#feature bdi').textContent === name", arg=before)


def test_a_feature_is_hidden_noted_and_shown_again(tab):
    page = tab.open(at="features")
    page.wait_for_selector("tbody tr")
    page.locator("tbody th a").nth(1).click()
    page.wait_for_selector("article.feature")
    page.locator(".edits input").nth(1).fill("look at this again")
    page.get_by_role("button", name="Keep").click()
    page.wait_for_selector(".note:has-text('look at this again')")
    page.get_by_role("button", name="Hide it").click()
    page.wait_for_selector("text=hidden")
    page.get_by_role("button", name="Show it again").click()
    page.wait_for_selector("button:has-text('Hide it')")


def test_a_feature_that_does_not_exist(tab):
    tab.expected.append("Failed to load resource")
    page = tab.open(at="feature/999999")
    page.wait_for_selector("[role=alert] a")
    assert "999999" in page.locator("[role=alert]").inner_text()


def test_labels_are_searched_and_steer(tab):
    page = tab.open(asking(), at="features")
    page.wait_for_selector("tbody tr")
    page.fill("#feature-query", "f99999")
    page.wait_for_selector("text=No feature is about")
    page.fill("#feature-query", "")
    page.wait_for_selector("tbody tr")
    page.get_by_role("button", name="Steer with").first.click()
    page.wait_for_selector(".list.steered .hit")
    assert "feature" in tab.state()["concepts"][0]["key"]


def test_map_and_list_are_linked_both_ways(tab):
    page = tab.open(asking("an exception is raised", concept(PHRASE)), at="map")
    page.wait_for_selector(".map-hits li")
    page.locator(".map-hits li").nth(2).hover()
    page.wait_for_selector(".map-hits li.pointed")
    box = page.locator("canvas").bounding_box()
    found = None
    for row in range(8, int(box["height"]) - 8, 9):
        for column in range(8, int(box["width"]) - 8, 9):
            page.mouse.move(box["x"] + column, box["y"] + row)
            if page.locator(".tip").count():
                found = (box["x"] + column, box["y"] + row)
                break
        if found:
            break
    assert found is not None, "no point of the map answers the pointer"
    pointed = page.evaluate("async () => (await import(new URL('core/store.js', document.baseURI).href)).model.pointed")
    assert pointed is not None  # the list marks the same document
    assert page.locator(".map-hits li.pointed").count() == (pointed in tab.ids_of_map())
    page.mouse.click(*found)
    page.wait_for_selector(".chosen .text")
    tab.answer(lambda: page.get_by_role("button", name="More like this").click())
    assert any("more" in held["key"] for held in tab.state()["concepts"])


def test_twenty_thousand_points_move_smoothly(tab):
    points = [[(17 * i % 1009) / 1009, (29 * i % 1013) / 1013] for i in range(20_000)]
    body = {
        "kind": "documents",
        "points": points,
        "ids": [f"d{i}" for i in range(20_000)],
        "values": None,
        "legend": None,
    }
    tab.page.route("**/api/map", lambda route: route.fulfill(status=200, json=body | {"titles": None, "of": 60_000}))
    page = tab.open(at="map")
    page.wait_for_selector(".legend:has-text('of 60')")
    times = page.evaluate("""async () => {
      const canvas = document.querySelector(".plane canvas");
      const turn = () => new Promise((done) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = done;
        port2.postMessage(0);
      });
      const times = [];
      for (let step = 0; step < 40; step += 1) {
        const began = performance.now();
        const place = { clientX: 400, clientY: 400, cancelable: true };
        canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: step < 20 ? -30 : 30, ...place }));
        await new Promise(requestAnimationFrame);
        await turn();
        times.push(performance.now() - began);
      }
      return times.sort((a, b) => a - b);
    }""")
    assert times[20] < 60, times  # drawn by the processor alone, on a machine that does other things too


def test_a_feature_joins_a_family(tab):
    page = tab.open(at="feature/2")
    page.wait_for_selector("article.feature")
    page.locator(".edits input").nth(2).fill("f3")
    page.get_by_role("button", name="Merge").click()
    page.wait_for_selector("aside h3:has-text('Family')")
    page.get_by_role("button", name="Undo the last change").click()
    page.wait_for_selector("button:has-text('Undo the last change')", state="detached")


def test_the_map_takes_colours_and_shows_features(tab):
    page = tab.open(asking("an exception is raised", concept(PHRASE)), at="map")
    colour = page.locator(".map-view select").nth(1)
    page.wait_for_selector(".plane canvas")
    drawn = "() => document.querySelector('.plane canvas').toDataURL()"
    page.wait_for_timeout(300)
    before = page.evaluate(drawn)
    for value in colour.locator("option").evaluate_all("options => options.map(one => one.value).slice(1, 3)"):
        with page.expect_response(lambda response: "/api/map" in response.url):
            colour.select_option(value)
        page.wait_for_selector(".legend li")
        page.wait_for_timeout(300)
        assert page.evaluate(drawn) != before
    with page.expect_response(lambda response: "/api/map" in response.url):
        page.locator(".map-view select").first.select_option("features")
    tab.until("document.querySelector('canvas').getAttribute('aria-label').includes('features')")


def test_steerings_are_kept_compared_and_judged(tab):
    page = tab.open(asking("an exception is raised", concept(PHRASE)), at="compare")
    page.wait_for_selector("form")
    page.fill("form.row input", "with numbers")
    page.get_by_role("button", name="Keep").click()
    page.wait_for_selector(".snapshots li:has-text('with numbers')")
    page.get_by_role("checkbox", name="with numbers").check()
    page.fill("textarea", "an exception is raised\nimport a module")
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_selector(".side-by-side .short li")
    assert page.locator(".side-by-side section").count() == 2
    with page.expect_response(lambda response: "/api/judgments" in response.url) as judged:
        page.locator(".side-by-side .thumb").first.click()
    assert judged.value.ok
    page.wait_for_selector(".thumb[aria-pressed=true]")
    page.get_by_role("button", name="Compare", exact=True).click()
    tab.until("/nDCG@10 *[01]\\.\\d{3}/.test(document.querySelector('.figures').textContent)")
    page.get_by_role("button", name="import a module").click()
    page.wait_for_selector(".side-by-side .short li")
    page.get_by_role("button", name="Delete with numbers").click()
    page.wait_for_selector(".snapshots li:has-text('with numbers')", state="detached")


def test_copy_as_and_the_link(tab, browser):
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    state = asking("an exception is raised", concept(PHRASE, strength=0.75))
    page = tab.open(state)
    page.wait_for_selector(".list.steered .hit")
    shown = tab.ids("steered")
    page.get_by_role("button", name="Copy as").click()
    page.wait_for_selector("dialog .code")
    texts = {}
    for name in page.locator("dialog .choices button").all_inner_texts():
        page.locator("dialog").get_by_role("button", name=name, exact=True).click()
        texts[name] = page.locator("dialog .code").inner_text()
        page.locator("dialog").get_by_role("button", name="Copy", exact=True).click()
        page.wait_for_selector(".notice")
        assert page.evaluate("navigator.clipboard.readText()") == texts[name]
    assert {"Link", "Python", "LangChain", "Command line", "MCP call"} <= set(texts)
    compile(texts["Python"], "copied", "exec")
    json.loads(texts["MCP call"])
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.goto("about:blank")
    page.goto(texts["Link"])
    page.wait_for_selector(".list.steered .hit")
    assert tab.ids("steered") == shown
    assert tab.state() == state


EDIT = """([latent, body]) => fetch(`/api/features/${latent}/edit`, {
  method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)
}).then((answer) => answer.status)"""


def test_features_are_browsed_as_a_tree(tab):
    page = tab.open(at="features")
    page.wait_for_selector(".table tbody tr")
    assert page.evaluate(EDIT, [5, {"action": "merge", "into": 6}]) == 200
    page.get_by_role("button", name="Tree", exact=True).click()
    page.wait_for_selector(".tree details")
    assert page.locator(".tree a").count() == 0  # drawn when it is opened
    page.locator(".tree summary").first.click()
    page.locator(".tree details[open] a").first.wait_for()
    assert page.locator(".tree details[open] a").count() == 2
    page.fill("#feature-query", "f11")
    page.wait_for_selector(".table tbody tr")
    assert page.get_by_role("button", name="List", exact=True).get_attribute("aria-pressed") == "true"
    assert page.evaluate(EDIT, [5, {"action": "undo"}]) == 200
