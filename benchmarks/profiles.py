"""Do profiles learn from a few clicks what a person wants? Simulated users, against every rival there is.

    python -m benchmarks.profiles --data FOLDER --bundles BUNDLE ... [--sets 20newsgroups agnews-test medquad]

A user wants an attribute, sees the ten best documents for a query, likes the first that is about the query and has the
attribute, and dislikes the first other one. Some clicks are wrong. Then the user asks *other* queries in *other*
documents. Rivals are tuned for each number of clicks on the other corpora; of ours nothing is tuned. FOLDER holds
corpora as for `benchmarks.control`. Writes benchmarks/results/profiles.json and profiles.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from steersearch.embedding_cache import default_cache_dir
from steersearch.runtime import Bundle, Profile, SteerableIndex, Steering
from steersearch.runtime.interpret.pipeline import CachedEmbedder

from .control.__main__ import EVERY
from .control.scoring import TOP, Bench
from .control.tasks import read_task
from .profile_rivals import RIVALS, Clicked

RESULTS = Path(__file__).parent / "results" / "profiles.json"
SETS = ("20newsgroups", "agnews-test", "medquad")
CLICKS = (1, 2, 4, 8)
MAIN = 4
"""Clicks after which further ways are measured too."""
WRONG = (0.0, 0.1, 0.3)
"""Shares of wrong clicks."""
DRAWS = 3
PAIRS = 120
"""(query, attribute) pairs of a corpus that are scored, spread over all."""
RESAMPLES = 10_000

Clicks = list[tuple[int, bool]]
"""(row of the documents to learn from, liked)."""


def main() -> None:
    """Measure what has no result yet, then write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--bundles", type=Path, nargs="+", required=True, help="autoencoders of one embedder")
    parser.add_argument("--sets", nargs="*", default=list(SETS), help="folders in it, each with labels.jsonl.gz")
    parser.add_argument(
        "--work", type=Path, default=Path("demo/profiles.json"), help="figures of every pair, used again"
    )
    args = parser.parse_args()
    results: dict[str, Any] = json.loads(args.work.read_text()) if args.work.is_file() else {}
    bundles = {f"{path.parent.name}/{path.name}": path for path in args.bundles}
    for name in args.sets:
        wanted = [f"{name}: ours, {bundle}" for bundle in bundles]
        if all(key in results for key in (f"{name}: rivals", *wanted)):
            continue
        first = Bundle.load(args.bundles[0])
        embed = partial(CachedEmbedder(first, default_cache_dir(), lambda step, done, total: None), step="")
        task = read_task(args.data / name, EVERY.get(name, 1))
        bench = Bench(task, embed(task.texts), embed(task.queries), embed(list(task.attributes)))
        if f"{name}: rivals" not in results:
            results[f"{name}: rivals"] = {side: rivals(bench, side == "dev") for side in ("dev", "test")}
            args.work.write_text(json.dumps(results) + "\n")
        for key, path in zip(wanted, bundles.values(), strict=True):
            if key not in results:
                results[key] = ours(bench, Bundle.load(path))
                args.work.write_text(json.dumps(results) + "\n")
    report, figures = report_of(results, args.sets, list(bundles))
    RESULTS.with_suffix(".md").write_text(report)
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")


def scored_pairs(bench: Bench, dev: bool) -> np.ndarray:
    """Pairs of one half of the queries, at most `PAIRS`, spread over all."""
    found = np.flatnonzero(bench.dev == dev)
    return found[np.linspace(0, len(found) - 1, min(PAIRS, len(found))).round().astype(int)]


def simulate(bench: Bench, rng: np.random.Generator, wrong: float, dev: bool) -> list[Clicks]:
    """Clicks of one user per attribute, on queries of one half, in the documents to learn from."""
    seen = bench.task.seen
    asked = [query for query in np.unique(bench.of_query) if bench.task.dev[query] == dev]
    tops = {query: np.argsort(-(bench.learn @ bench.queries[query]), kind="stable")[:TOP] for query in asked}
    users = []
    for members in bench.members:
        clicks: dict[int, bool] = {}
        good = {query: bench.task.relevant[query][seen] & members for query in asked}
        usable = [query for query in asked if 0 < good[query][tops[query]].sum() < TOP]
        for query in [*rng.permutation(usable)] * 4:
            for liked in (True, False):
                meant = liked != (rng.random() < wrong)
                rows = [int(row) for row in tops[query] if good[query][row] == meant and int(row) not in clicks]
                if rows:
                    clicks[rows[0]] = liked
        users.append([*clicks.items()][: CLICKS[-1]])
    return users


def runs(bench: Bench, dev_clicks: bool) -> list[tuple[int, float, list[Clicks]]]:
    """(draw, share of wrong clicks, users)."""
    every = [(draw, wrong) for draw in range(DRAWS) for wrong in WRONG]
    return [(d, w, simulate(bench, np.random.default_rng([d, round(100 * w)]), w, dev_clicks)) for d, w in every]


def rivals(bench: Bench, dev: bool) -> dict[str, Any]:
    """Precision of both and of the attribute of every rival, at every setting.

    Returns:
        Rival -> setting -> number of clicks -> per share of wrong clicks (both, attribute) of each pair, mean of draws.
    """
    pairs, documents = scored_pairs(bench, dev), bench.searched
    similar = bench.queries[bench.of_query[pairs]] @ documents.T  # (p, n)
    wants = bench.of_attribute[pairs].tolist()
    found: dict[str, Any] = {}
    for draw, wrong, users in runs(bench, not dev):
        for count in CLICKS:
            clicked = [
                Clicked.of(bench.learn, users[a][:count], documents, np.random.default_rng(draw))
                for a in range(len(users))
            ]
            for name, settings in RIVALS.items():
                for setting, score in settings.items():
                    scores = np.stack([score(similar[i], clicked[a]) for i, a in enumerate(wants)])
                    figures = precision(bench, pairs, np.argpartition(-scores, TOP, axis=1)[:, :TOP])
                    cell = found.setdefault(name, {}).setdefault(setting, {}).setdefault(str(count), {})
                    cell[str(wrong)] = cell.get(str(wrong), 0) + figures / DRAWS
    return json.loads(json.dumps(found, default=lambda array: np.round(array, 4).tolist()))


def ours(bench: Bench, bundle: Bundle) -> dict[str, Any]:
    """The same of `Profile`, through its own API, with every default.

    Returns:
        Way -> number of clicks -> per share of wrong clicks (both, attribute) of each pair, mean of draws. In the ways
        `vector` and `strength 2` queries are vectors, so that their words are no evidence; in `text` they are.
    """
    pairs, found = scored_pairs(bench, False), {}
    with tempfile.TemporaryDirectory() as folder:
        learn = index_of(bench, bundle, Path(folder) / "learn", bench.task.seen)
        searched = index_of(bench, bundle, Path(folder) / "searched", ~bench.task.seen)

        def search(pair: int, request: Steering, text: str | None) -> list[int]:
            hits = searched.search(bench.queries[bench.of_query[pair]], TOP, steering=request, text=text)
            return [int(hit.id) for hit in hits]

        for _, wrong, users in runs(bench, True):
            profiles = [Profile(bundle) for _ in users]
            for before, count in zip((0, *CLICKS), CLICKS, strict=False):
                for profile, clicks in zip(profiles, users, strict=True):
                    for row, liked in clicks[before:count]:
                        (profile.like if liked else profile.dislike)(str(row), learn)
                for way, strength in (("vector", 1.0), ("strength 2", 2.0), ("text", 1.0)):
                    if way != "vector" and count != MAIN:
                        continue
                    requests = [Steering({profile: strength}) for profile in profiles]
                    words = bench.task.queries if way == "text" else [None] * len(bench.queries)
                    top = [search(p, requests[bench.of_attribute[p]], words[bench.of_query[p]]) for p in pairs]
                    cell = found.setdefault(way, {}).setdefault(str(count), {})
                    cell[str(wrong)] = cell.get(str(wrong), 0) + precision(bench, pairs, np.array(top)) / DRAWS
        learn.close()
        searched.close()
    return json.loads(json.dumps(found, default=lambda array: np.round(array, 4).tolist()))


def index_of(bench: Bench, bundle: Bundle, folder: Path, chosen: np.ndarray) -> SteerableIndex:
    """An index of one half of the documents, whose ids are their rows in that half."""
    index = SteerableIndex.create(folder, bundle, backend="exact")
    texts = [text for text, on in zip(bench.task.texts, chosen, strict=True) if on]
    index.add(texts, [str(row) for row in range(len(texts))], embeddings=np.array(bench.documents[chosen]))
    return index


def precision(bench: Bench, pairs: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Precision at 10 of both and of the attribute, shape (2, pairs)."""
    has, about = bench.hits
    attribute = np.take_along_axis(has[bench.of_attribute[pairs]], top, 1)
    relevant = np.take_along_axis(about[bench.of_query[pairs]], top, 1)
    return np.stack([(attribute & relevant).mean(1), attribute.mean(1)])


def tuned(results: dict[str, Any], name: str, sets: list[str], rival: str, count: str) -> str:
    """The setting of a rival with the best mean of both on the other corpora's dev queries."""
    others = [results[f"{other}: rivals"]["dev"][rival] for other in sets if other != name]
    mean = {setting: np.mean([_both(each[setting][count]).mean() for each in others]) for setting in others[0]}
    return max(mean, key=lambda setting: mean[setting])


def _both(cell: dict[str, Any]) -> np.ndarray:
    """Of each pair the mean over shares of wrong clicks."""
    made: np.ndarray = np.mean([each[0] for each in cell.values()], axis=0)
    return made


def report_of(results: dict[str, Any], sets: list[str], bundles: list[str]) -> tuple[str, dict[str, Any]]:
    """The tables as Markdown, and their figures: corpus -> way -> clicks -> wrong clicks -> (both, attribute)."""
    lines = ["# Profiles", "", f"Autoencoders: {', '.join(bundles)}. Three draws of clicks. Both@10 unless stated; the"]
    lines += [
        "settings of rivals are those of the best mean on the other corpora's dev queries. Ours is `boost=profile`"
    ]
    lines += [
        "with every default; the query is a vector, as for the rivals. With the query as text its words count too,"
    ]
    lines += ["and what a document is about is labelled by words here: do not compare that row with the rivals.", ""]
    compared: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    figures: dict[str, Any] = {}
    for name in sets:
        test, own = results[f"{name}: rivals"]["test"], [results[f"{name}: ours, {bundle}"] for bundle in bundles]
        found = {
            rival: {c: test[rival][tuned(results, name, sets, rival, c)][c] for c in map(str, CLICKS)} for rival in test
        }
        best = {c: max(found, key=lambda way: _both(found[way][c]).mean()) for c in map(str, CLICKS)}
        for way, title in (("vector", "ours"), ("strength 2", "ours at strength 2"), ("text", "ours, query as text")):
            found[title] = {count: _mean([each[way][count] for each in own]) for count in own[0][way]}
        figures[name] = {
            way: {
                c: {wrong: np.round(np.mean(f, axis=1), 4).tolist() for wrong, f in cell.items()}
                for c, cell in of.items()
            }
            for way, of in found.items()
        }
        lines += [f"## {name} ({len(_both(found['ours'][str(MAIN)]))} pairs)", ""]
        lines += ["| | 1 click | 2 | 4 | 8 | 4, none wrong | 4, 10 % wrong | 4, 30 % wrong | attribute at 4 |"]
        lines += ["|---|---|---|---|---|---|---|---|---|"]
        for way in sorted(found, key=lambda way: -_both(found[way][str(MAIN)]).mean()):
            cells = [_both(found[way][c]).mean() if c in found[way] else np.nan for c in map(str, CLICKS)]
            main = found[way][str(MAIN)]
            cells += [np.mean(main[str(wrong)][0]) for wrong in WRONG]
            cells += [np.mean([cell[1] for cell in main.values()])]
            shown = ["" if np.isnan(cell) else f"{cell:.3f}" for cell in cells]
            lines.append(f"| {way} | {' | '.join(shown)} |")
        lines.append("")
        for title in ("ours", "ours at strength 2", "ours, query as text"):
            for count in found[title]:
                pair = _both(found[title][count]), _both(found[best[count]][count])
                compared.setdefault(f"{title}, after {count}", []).append(pair)
                lines.append(f"- {title}, after {count}, against {best[count]}: {_ratio([pair])}")
        lines.append("")
    lines += ["## Mean over corpora, against each corpus's best rival", ""]
    lines += [f"- {title}: {_ratio(each)}" for title, each in compared.items()]
    return "\n".join(lines) + "\n", figures


def _mean(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Of several autoencoders."""
    return {wrong: np.mean([cell[wrong] for cell in cells], axis=0) for wrong in cells[0]}


def _ratio(each: list[tuple[np.ndarray, np.ndarray]]) -> str:
    one, other = (float(np.mean([pair[i].mean() for pair in each])) for i in (0, 1))
    low, high = _interval(each)
    return (
        f"{one:.3f} and {other:.3f}, {one / other:.2f} times, difference {one - other:+.3f} "
        f"(95 %: {low:+.3f} to {high:+.3f})"
    )


def _interval(each: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """95 % of the paired bootstrap of the mean difference; pairs are drawn within each corpus."""
    rng, total = np.random.default_rng(0), np.zeros(RESAMPLES)
    for one, other in each:
        drawn = rng.integers(0, len(one), (RESAMPLES, len(one)))
        total += (one - other)[drawn].mean(1) / len(each)
    low, high = np.quantile(total, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
