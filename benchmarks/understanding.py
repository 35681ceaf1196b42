"""Are requests in plain words read as a person reads them, and ordinary queries left alone?

    python -m benchmarks.understanding --data FOLDER [--wrong]

FOLDER holds exclusion-queries, negconstraint and sets of ordinary queries, in the layout of BEIR. The labels are in
tests/data/understood.jsonl: for each query its set, its line, a digest, and what a person who read it said are the
words of the query, of a wish and of what is excluded, as (start, end) of words. They have no text, which may not be
shipped. The part "developed" was read while the grammar was written. The other three were labelled before the grammar
had seen them, one after the other; 138 of 150, 109 of 120 and 74 of 80 were right then. What they showed was mended
afterwards, so that only those figures say what to expect elsewhere. `--wrong` prints what is read differently.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steersearch.runtime import Request, understand

LABELS = Path(__file__).parents[1] / "tests" / "data" / "understood.jsonl"
FILES = {
    "excluir": ("exclusion-queries/excluir.jsonl.gz", "query"),
    "quest": ("exclusion-queries/quest_val.jsonl.gz", "query"),
    "negconstraint": ("negconstraint/queries.jsonl.gz", "text"),
}
"""Set -> its file and the field of the query."""
ORDINARY = ("scifact", "medquad", "cisi", "med", "vaswani", "liveqa-med", "climate-fever-sent")
"""Sets of queries that ask for no exclusion, but for `REAL`."""
REAL = frozenset({"What, besides cipro, penicillin, and drugs containing dairy products, treats UTI?"})
"""Ordinary queries that do exclude something."""
WORD = re.compile(r"\w+(?:['’]\w+)*")
"""A word, as the labels count them."""
CUES = frozenset(
    "not without except excepting excluding exclude besides apart aside don't don’t aren't isn't wasn't "
    "weren't mention mentioning including avoiding avoid disregarding ignoring ignore omit omitting skip "
    "instead exception".split()
)
"""Words of cues: as many may remain in the query as a person left there."""
EITHER = CUES | frozenset(
    "a an the and or but of to in on at for from by with as about any some all no nor neither than other "
    "others beside excludes excluded do does doesn't did didn't please also only solely just while that "
    "which who is are was were be been being if so then it its they include included mentions mentioned "
    "information info detail details anything everything something nothing references reference referencing "
    "referring refer related relating relation regarding regardless concerning specific specialized "
    "specifically discuss discussing discussion discussions consider considering note i i'm am interested "
    "asking leave leaving looking out let's let rather addition top outside beyond refrain refraining "
    "delving touch touching bring bringing up giving give away cite focus focusing focused more less "
    "especially particularly preferably fact association associated connected independent drawing involving "
    "involve provide provides provided unrelated thank thanks you your response keeping mind into account "
    "taking further lets we can can't cannot itself mainly primarily emphasis emphasizing terms regard "
    "respect aren’t".split()
)
"""Words of grammar, of cues and of talking about an answer: with the query, with what is excluded, or left out."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--wrong", action="store_true", help="print every query that is read differently")
    args = parser.parse_args()
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for label, text in labelled(args.data):
        request = understand(text)
        agree = agrees(label, text, request)
        for part in (f"{label['part']}, {label['set']}", label["part"], "all"):
            right[part] += agree
            total[part] += 1
        if args.wrong and not agree:
            print(f"{label['part']}: {text}\n    {request}")
    for part in sorted(total):
        print(f"{part:26} {right[part]:4} of {total[part]:4} right  {right[part] / total[part]:6.1%}")
    alarms = every = 0
    for name in ORDINARY:
        texts = set(queries(args.data / name / "queries.jsonl.gz", "text")) - REAL
        excluded = [text for text in sorted(texts) if understand(text).exclude]
        wished = sum(understand(text).steered for text in texts) - len(excluded)
        print(f"{name:26} {len(excluded):4} of {len(texts):5} ordinary queries exclude something, {wished} only wish")
        alarms, every = alarms + len(excluded), every + len(texts)
        for text in excluded if args.wrong else ():
            print(f"    {text}\n    {understand(text)}")
    print(f"false alarms               {alarms:4} of {every:5}  {alarms / every:.2%}")


def queries(path: Path, field: str) -> list[str]:
    """Return the queries of a file, in the order of its lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)[field] for line in lines]


def labelled(data: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each label with the text of its query; a ValueError where the file is another than the one labelled."""
    texts = {name: queries(data / file, field) for name, (file, field) in FILES.items()}
    for line in LABELS.read_text(encoding="utf-8").splitlines():
        label = json.loads(line)
        text = texts[label["set"]][label["line"]]
        if digest(text) != label["digest"]:
            raise ValueError(f"line {label['line']} of {label['set']} is not the query that was labelled")
        yield label, text


def digest(text: str) -> str:
    """Return 12 hexadecimal digits that tell one query from another."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def agrees(label: dict[str, Any], text: str, request: Request) -> bool:
    """Return whether a request has the words of its label in the query, in the wishes, and in what is excluded.

    The words of `EITHER` do not count, but no cue may be left over. How a list is cut into its items does not count.
    """
    words = _words(text)
    marked = {part: [words[at] for first, end in label[part] for at in range(first, end)] for part in _PARTS}
    read = {"query": _words(request.query), "boost": _words(*request.boost), "exclude": _words(*request.exclude)}
    return (
        _content(marked["query"]) == _content(read["query"])
        and all(sorted(_content(marked[part])) == sorted(_content(read[part])) for part in ("boost", "exclude"))
        and sum(word in CUES for word in marked["query"]) == sum(word in CUES for word in read["query"])
        and bool(label["exclude"]) == bool(request.exclude)
    )


_PARTS = ("query", "boost", "exclude")


def _words(*texts: str) -> list[str]:
    return [match[0].casefold() for text in texts for match in WORD.finditer(text)]


def _content(words: list[str]) -> list[str]:
    return [word for word in words if word not in EITHER]


if __name__ == "__main__":
    main()
