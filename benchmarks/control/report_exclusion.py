"""The tables about what must not come."""

from __future__ import annotations

import numpy as np

from .exclusion import NEWS
from .ratios import NOTHING, Tuning, mean, ranks
from .results import Results
from .scoring import ndcg
from .table import short, table

TUNINGS: tuple[Tuning, Tuning] = ("untuned", "tuned")
REQUESTS = "negconstraint"
HALVES = ("first", "second")
SEEN = """The constants of the product were looked at on these requests, so here *untuned* is not unseen; the two halves
(a coin for each request) are shown to tell luck from more. A rival's best setting is chosen on all of them."""


def excluded(results: Results) -> list[str]:
    """A table per corpus: what is left of an excluded attribute, and of the topic."""
    tables = []
    for task in (f"exclude, {name}" for name in NEWS if f"exclude, {name}" in results.found):
        lines = [[task, "its share of ten, untuned", "topic@10 kept", "its share, tuned", "topic@10 kept"]]
        for method in results.found[task]:
            plain = NOTHING + method.removeprefix("ours, exclude") if "view" in method else NOTHING
            cells = []
            for tuning in TUNINGS:
                share, topic = (mean(results, task, method, tuning, figure) for figure in ("attribute", "topic"))
                before = mean(results, task, plain, "untuned", "topic")
                cells += [short(share), short(topic / before if topic is not None and before else None)]
            lines.append([method, *cells])
        tables.append(table(lines))
    return tables


def requests(results: Results) -> str:
    """The table of negconstraint."""
    lines = [["", "nDCG@10, untuned", "P@1", *(f"{name} half" for name in HALVES), "nDCG@10, best setting", "P@1"]]
    for method in results.found[REQUESTS]:
        cells = []
        for tuning in TUNINGS:
            found = ranks(results, method, tuning)
            cells += [short(ndcg(found).mean()), short((found == 1).mean())]
            if tuning == "untuned":
                first = np.array(
                    results.tasks[REQUESTS]["first half"] * (len(found) // results.tasks[REQUESTS]["test"])
                )
                parts = [ndcg(found[which]).mean() for which in (first, ~first)]
                cells += [short(value) for value in parts]
        lines.append([method, *cells])
    return f"{SEEN}\n\n{table(lines)}"
