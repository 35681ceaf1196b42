"""Write a small judged collection, as `sae eval` reads it: the topics of Python's own ``help()``, in paragraphs.

    python make_corpus.py topics

Needs nothing but Python and makes ``topics/corpus.jsonl``, ``topics/queries.jsonl`` and ``topics/qrels/test.tsv``.
"""

import json
import re
import sys
from pathlib import Path
from pydoc_data.topics import topics

QUESTIONS = {
    "how do I stop a program when a condition is wrong": ["assert"],
    "what does an except clause catch": ["try", "exceptions"],
    "leave a loop early": ["break"],
    "skip to the next round of a loop": ["continue"],
    "load code from another file": ["import"],
    "a small function without a name": ["lambda"],
    "pause a program and step through it": ["debugger"],
    "print a number with two decimals": ["formatstrings"],
    "close a file even when an error occurs": ["with", "context-managers"],
    "which operator comes first in an expression": ["operator-summary"],
    "run something for each item of a list": ["for"],
    "write a value for each key": ["dict", "typesmapping"],
    "wait for a result without blocking": ["async", "await"],
    "make a new type with its own methods": ["class"],
    "take a part of a list from one position to another": ["slicings"],
    "change a variable of the enclosing function": ["nonlocal"],
    "compare two values": ["comparisons"],
    "turn text into upper case": ["string-methods"],
    "a function that gives one value at a time": ["yield"],
    "which values count as false": ["truth", "booleans"],
}
"""Question -> the topics that answer it. Every paragraph of these is judged relevant."""

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "topics")
(folder / "qrels").mkdir(parents=True, exist_ok=True)
paragraphs: dict[str, str] = {}
for topic, text in topics.items():
    kept = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    for number, part in enumerate((part for part in kept if len(part) >= 80), start=1):
        paragraphs[f"{topic}.{number}"] = part

with (folder / "corpus.jsonl").open("w", encoding="utf-8") as corpus:
    for name, text in paragraphs.items():
        corpus.write(json.dumps({"_id": name, "title": "", "text": text}) + "\n")
with (
    (folder / "queries.jsonl").open("w", encoding="utf-8") as queries,
    (folder / "qrels" / "test.tsv").open("w", encoding="utf-8") as judgments,
):
    judgments.write("query-id\tcorpus-id\tscore\n")
    for number, (question, answers) in enumerate(QUESTIONS.items(), start=1):
        queries.write(json.dumps({"_id": f"q{number}", "text": question}) + "\n")
        for name in paragraphs:
            if name.rpartition(".")[0] in answers:
                judgments.write(f"q{number}\t{name}\t1\n")
