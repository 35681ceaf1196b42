"""How long the studio takes from a key or a slider to the list, measured in a real browser.

    python -m benchmarks.studio --index index [--rounds 40] [--address http://127.0.0.1:8766]

Opens the index with `sae studio`, or takes one that runs, and moves the page as a person does: letters of queries that
were embedded before, letters of new ones, the slider of one concept and of the second of two. A time is from the event
to the first frame after the list is drawn. Writes benchmarks/results/studio.json. Needs Chromium and, of the
development group, Playwright.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

RESULTS = Path(__file__).parent / "results" / "studio.json"
QUERIES = ("how do solar storms harm radio", "which court decides about taxes", "what to cook for many guests")
CONCEPTS = ("history", "for beginners")
TARGET = 100.0
"""Milliseconds, the embedding of a new query aside."""

# Does one thing and waits for the frame after its list was drawn; the store is the page's own module.
STEP = """async ([kind, value, at]) => {
  const { model } = await import(new URL("core/store.js", document.baseURI).href);
  const slider = () => document.querySelectorAll(".card input[type=range]")[at];
  const field = kind === "query" ? document.getElementById("query") : slider();
  const frame = () => new Promise(requestAnimationFrame);
  const turn = () => new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(0);
  });
  await frame();
  const started = performance.now();
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  while (model.answered !== model.state) await turn();
  await frame();
  await turn();
  return [performance.now() - started, model.answer.roundTrip];
}"""


@contextmanager
def served(index: Path) -> Iterator[str]:
    """Run `sae studio` over an index and give its address."""
    code = "from steersearch.cli import main; main()"
    command = [sys.executable, "-c", code, "studio", "--index", str(index), "--port", "0", "--no-browser"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        while (found := re.search(r"http://\S+", line := process.stderr.readline())) is None:
            if not line:
                raise SystemExit("sae studio did not start")
        yield found[0].rstrip("/")
    finally:
        process.terminate()
        process.wait()


def measure(page: Page, rounds: int) -> dict[str, list[list[float]]]:
    """Return the times of each kind of move, in ms: to the frame, and of the request alone."""
    times: dict[str, list[list[float]]] = {}

    def step(name: str, kind: str, value: object, at: int = 0) -> None:
        times.setdefault(name, []).append(page.evaluate(STEP, [kind, value, at]))

    prefixes = [query[:end] for query in QUERIES for end in range(8, len(query) + 1)][:rounds]
    for prefix in prefixes:
        step("a key, a new query", "query", prefix)
    for prefix in prefixes:
        step("a key, a query seen before", "query", prefix)
    page.evaluate(STEP, ["query", QUERIES[0], 0])
    for number, concept in enumerate(CONCEPTS, start=1):
        page.fill("#add", concept)
        page.press("#add", "Enter")
        page.wait_for_selector(f".cards > li:nth-child({number}) input[type=range]")
        page.wait_for_timeout(3000)
        for i in range(rounds):
            step(
                f"the slider, {number} concept{'s' * (number > 1)}",
                "slider",
                round(-1.9 + 3.8 * i / rounds, 2),
                number - 1,
            )
    return times


def main() -> None:
    """Measure, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--address", help="of a studio that runs already over this index")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        if options.address:
            times, info = _run(browser, options.address, options.rounds)
        else:
            with served(options.index) as address:
                times, info = _run(browser, address, options.rounds)
        made = browser.version
        browser.close()
    rows = [_row(name, held) for name, held in times.items()]
    print(f"{info['documents']:,} documents; Chromium {made}; target {TARGET:.0f} ms")
    for row in rows:
        times_of = f"median {row['median_ms']:6.1f}  95 % {row['p95_ms']:6.1f}  request {row['request_ms']:6.1f} ms"
        print(f"{row['move']:<28} {times_of}")
    about = {"documents": info["documents"], "chromium": made, "machine": platform.machine(), "cpus": os.cpu_count()}
    options.out.write_text(json.dumps(about | {"target_ms": TARGET, "moves": rows}, indent=1) + "\n")


def _run(browser: Any, address: str, rounds: int) -> tuple[dict[str, list[list[float]]], dict[str, Any]]:
    page = browser.new_page(viewport={"width": 1360, "height": 900})
    page.goto(address)
    page.wait_for_selector("#query")
    info = page.evaluate("fetch('/api/info').then(answer => answer.json())")
    return measure(page, rounds), info


def _row(name: str, held: list[list[float]]) -> dict[str, Any]:
    total = sorted(times[0] for times in held)
    return {
        "move": name,
        "median_ms": round(statistics.median(total), 1),
        "p95_ms": round(total[int(0.95 * (len(total) - 1))], 1),
        "request_ms": round(statistics.median(times[1] for times in held), 1),
        "times": len(held),
    }


if __name__ == "__main__":
    main()
