"""Would a person call it so? Names of features judged blind, beside those of an earlier method.

    python -m benchmarks.interpretation.names sheets --data FOLDER --before FILE --out FOLDER
    python -m benchmarks.interpretation.names figures

`sheets` draws features that have a clear name by both methods and writes pages for readers: the two names in random
order, ten documents with the words that carry the feature marked, and three near misses. FILE has the earlier names,
{set: {latent: name}}. Readers do not know which method made a name, judge by `RUBRIC`, and write lines of
{"item": 1, "A": "precise", "B": "wrong"}. `figures` reads the judged table, benchmarks/results/names.jsonl, and asks
the tagger of TextBlob (`pip install textblob`) whether names are well-formed.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np

from steersearch.arrays import FloatArray
from steersearch.runtime import Bundle
from steersearch.runtime.interpret.pipeline import InterpretationResult, interpret
from steersearch.runtime.steering.highlights.word_vectors import WordReader

from .__main__ import open_corpus

RESULTS = Path(__file__).parent.parent / "results" / "names.jsonl"
DRAWN, DOCUMENTS, NEAR, WIDTH, MARKED = 100, 10, 3, 230, 4
RUBRIC = """\
Each item is a feature of a search engine: ten documents in which it is strong (the passage with the words that carry it
between **), three near misses in which it is absent, and two names, A and B, made by two methods in random order.
Judge each name for itself, by what most of the ten documents have in common at the marked words:
- precise: it says what the marked words of most documents have in common, and leaves the near misses out;
- slightly broad: true of most documents, but somewhat more general than what they share;
- too broad: so general that it would also fit many documents that have nothing to do with these;
- too narrow: true of a minority of the documents (fewer than half), or only of one part of what they share;
- wrong: says something that most of the documents are not about;
- gibberish: not a name that a person would give: a fragment, words that do not belong together, unreadable.
A name with two parts (after a comma) is judged as a whole: if one part is right and the other misleads, it is `too
narrow` at best, and `wrong` or `gibberish` if the misleading part comes first. If the documents have nothing in common,
a name can still be right about the marked words; if those have nothing in common either, the name is `wrong`.
Write one line of JSON per item, for example {"item": 17, "A": "precise", "B": "too narrow"}."""
GOOD, BAD = ("precise", "slightly broad"), ("wrong", "gibberish")


def main() -> None:
    """Write the sheets, or print the figures of the judged table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["sheets", "figures"])
    parser.add_argument("--data", type=Path, help="folder of BEIR folders")
    parser.add_argument("--sets", nargs="*", default=["scifact", "20newsgroups"])
    parser.add_argument("--before", type=Path, help="the names of the earlier method")
    parser.add_argument("--work", type=Path, default=Path("demo/interpretation"), help="checkpoints and bundles")
    parser.add_argument("--out", type=Path, help="folder of the sheets and of their key")
    args = parser.parse_args()
    if args.what == "figures":
        figures([json.loads(line) for line in RESULTS.read_text().splitlines()])
        return
    args.out.mkdir(parents=True, exist_ok=True)
    before = json.loads(args.before.read_text())
    for name in args.sets:
        ids, texts = open_corpus(args.data, name)
        bundle = Bundle.load(args.work / f"{name}-seed0" / "bundle")
        found = interpret(bundle, ids, texts, corpus=name, patterns=False)
        earlier = {int(latent): label for latent, label in before[name].items()}
        key, pages = write_sheet(bundle, found, earlier, name)
        (args.out / f"{name}.key.json").write_text(json.dumps(key, indent=1))
        (args.out / f"{name}.txt").write_text("\n\n".join((RUBRIC, *pages)))


def write_sheet(
    bundle: Bundle, found: InterpretationResult, earlier: dict[int, str], name: str
) -> tuple[list[dict[str, object]], list[str]]:
    """Return the key, a record per item, and the page of each item."""
    rng = np.random.default_rng(1)
    entries = found.interpretation.entries
    both = [e.latent for e in entries if not e.unclear and e.latent in earlier]
    reader = WordReader(bundle)
    key: list[dict[str, object]] = []
    pages = []
    for item, latent in enumerate(sorted(rng.permutation(both)[:DRAWN].tolist())):
        names = {"new": str(entries[latent].label), "before": earlier[latent]}
        order = ["new", "before"] if rng.random() < 0.5 else ["before", "new"]
        key.append({"set": name, "item": item, "latent": latent, "A": order[0], "B": order[1], "names": names})
        rows = found.documents.firing[latent][0][:DOCUMENTS].tolist()
        texts = [found.documents.texts[row] for row in rows]
        vectors = reader.of([text[:1200] for text in texts])
        lines = [f"ITEM {item}"]
        for text, words in zip(texts, vectors, strict=True):
            lines.append(f"- {marked(text, words.spans, words.vectors @ bundle.atoms[latent])}")
        for passage in entries[latent].near_misses[:NEAR]:
            lines.append(f"  near miss: {passage.text[:WIDTH]}")
        lines += [f"A: {names[order[0]]}", f"B: {names[order[1]]}"]
        pages.append("\n".join(lines))
    return key, pages


def marked(text: str, spans: np.ndarray, shares: FloatArray) -> str:
    """Return the part of a text around its strongest words, those between asterisks."""
    strongest = np.argsort(-shares, kind="stable")[:MARKED]
    start = max(0, int(spans[strongest[0]][0]) - WIDTH // 2) if len(strongest) else 0
    stop = min(len(text), start + WIDTH)
    inside = sorted(tuple(spans[at]) for at in strongest if spans[at][0] >= start and spans[at][1] <= stop)
    out, at = "", start
    for a, b in inside:
        out += f"{text[at:a]}**{text[a:b]}**"
        at = int(b)
    return " ".join((out + text[at:stop]).split())


def figures(rows: list[dict[str, str]]) -> None:
    """Print the shares of each judgement, by set and method."""
    for name in [*dict.fromkeys(row["set"] for row in rows), "all"]:
        for method in ("before", "new"):
            judged = Counter(row[method] for row in rows if name in (row["set"], "all"))
            total = judged.total()
            good, bad = (sum(judged[each] for each in kinds) / total for kinds in (GOOD, BAD))
            print(
                f"{name:<14} {method:<7} {total:4} names: {' or '.join(GOOD)} {good:.0%}, {' or '.join(BAD)} {bad:.0%}"
            )
            print("   ", ", ".join(f"{each} {count / total:.0%}" for each, count in judged.most_common()))
            names = [row[f"{method}_name"] for row in rows if name in (row["set"], "all")]
            print(f"    well-formed: {np.mean([is_well_formed(each) for each in names]):.0%}")


def is_well_formed(name: str) -> bool:
    """Return whether every part of a name is a noun phrase or a gerund to the tagger of TextBlob.

    Nouns and what may stand before them, the last word a noun; or one word that is a gerund.
    """
    from textblob.en import tag

    for part in name.split(","):
        tags = [kind for _, kind in tag(part.strip(), tokenize=False)]
        ends = tags[-1].startswith("NN") or tags[-1] == "CD" or tags == ["VBG"]
        if not ends or any(not kind.startswith(("NN", "JJ", "VBN", "VBG", "CD")) for kind in tags[:-1]):
            return False
    return True


if __name__ == "__main__":
    main()
