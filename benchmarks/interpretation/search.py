"""Does `sae features search` find what a person means? The first three features of 100 phrases, judged by a reader.

    python -m benchmarks.interpretation.search --bundle LABELLED --set scifact --sheet sheet.txt
    python -m benchmarks.interpretation.search [--judged FOLDER]

The first form writes a sheet: for each phrase of phrases/SET.txt the features that this search and the earlier one
(words of labels and the cosine of atoms) put first, mixed, without saying which found what; each with its label and the
places of its five strongest documents where a word of the phrase stands, or their beginnings. It also writes what was
found to results/search/SET.json. A reader judges every feature of the sheet: one line per phrase, its number and a
digit per feature, 1 for useful. `--verdicts FILE` puts that into the table. The second form computes the figures of
all tables.

Useful: at least three of the five documents are about what the phrase says, or about the part of it that carries its
meaning, so that somebody who typed it would steer or filter by this feature. A broader subject is useful where it is
the next one up (cardiology for a heart failure); the label is shown and does not count.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from steersearch.arrays import unit_rows
from steersearch.runtime import Bundle
from steersearch.runtime.bundle.features import Features
from steersearch.runtime.bundle.word_index import words_of

PHRASES = Path(__file__).with_name("phrases")
JUDGED = Path(__file__).parent.parent / "results" / "search"
FIRST, DOCUMENTS, WIDTH = 3, 5, 64


def main() -> None:
    """Write a sheet, take verdicts, or print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="a bundle that was labelled on the set")
    parser.add_argument("--set", choices=sorted(path.stem for path in PHRASES.glob("*.txt")))
    parser.add_argument("--sheet", type=Path, help="where the sheet is written")
    parser.add_argument("--verdicts", type=Path, help="lines of a phrase's number and a digit for each of its features")
    parser.add_argument("--judged", type=Path, default=JUDGED, help="folder of judged tables")
    args = parser.parse_args()
    if args.sheet:
        write_sheet(Bundle.load(args.bundle), args.set, args.sheet, args.judged)
    elif args.verdicts:
        take_verdicts(args.judged / f"{args.set}.json", args.verdicts)
    else:
        for path in sorted(args.judged.glob("*.json")):
            print_figures(path)


def earlier(features: Features, bundle: Bundle, text: str) -> list[int]:
    """Return what the search found before it read passages: by words of labels, and the cosine of atoms."""
    scores = dict(features._words.scores(text))
    cosines = bundle.atoms @ unit_rows((bundle.embed_documents([text])[0] - features._contrast)[None])[0]
    for latent in np.flatnonzero((cosines > 0) & (features.typical > 0)):
        scores[int(latent)] = scores.get(int(latent), 0.0) + float(cosines[latent])
    return sorted(scores, key=lambda latent: (-scores[latent], latent))[:FIRST]


def write_sheet(bundle: Bundle, name: str, sheet: Path, judged: Path) -> None:
    """Write the sheet of a set, and the table without verdicts; verdicts of an earlier table are kept."""
    entries = bundle.interpretation.entries if bundle.interpretation else ()
    path = judged / f"{name}.json"
    known = {row["phrase"]: row["useful"] for row in json.loads(path.read_text())} if path.is_file() else {}
    rng, lines, rows = random.Random(0), [], []
    for number, phrase in enumerate((PHRASES / f"{name}.txt").read_text().split("\n")[:-1]):
        found = {
            "now": [feature.id for feature in bundle.features.search(phrase, FIRST)],
            "earlier": earlier(bundle.features, bundle, phrase),
        }
        pool = sorted({latent for latents in found.values() for latent in latents})
        rng.shuffle(pool)
        rows.append({"phrase": phrase, "pool": pool, "found": found, "useful": known.get(phrase, {})})
        lines.append(f"{number} {phrase}")
        for at, latent in enumerate(pool):
            places = [place(passage.text, phrase) for passage in entries[latent].top[:DOCUMENTS]]
            lines.append(f"  {at} [{entries[latent].label}] " + " | ".join(places))
    judged.mkdir(parents=True, exist_ok=True)
    path.write_text(table(rows))
    sheet.write_text("\n".join(lines) + "\n")


def place(text: str, phrase: str) -> str:
    """Return the part of a text around the first word of a phrase that it has."""
    low = text.casefold()
    places = [low.find(word[: max(4, len(word) - 2)]) for word in words_of(phrase)]
    first = min((at for at in places if at >= 0), default=0)
    start = max(0, min(first - WIDTH // 2, len(text) - WIDTH))
    return " ".join(text[start : start + WIDTH].split())


def take_verdicts(path: Path, verdicts: Path) -> None:
    """Put a reader's digits into a table."""
    rows = json.loads(path.read_text())
    for line in verdicts.read_text().split("\n"):
        if line.strip():
            number, digits = line.split()
            row = rows[int(number)]
            if len(digits) != len(row["pool"]) or set(digits) - {"0", "1"}:
                raise SystemExit(f"{row['phrase']}: {digits}, expected {len(row['pool'])} digits")
            row["useful"] |= {str(f): int(digit) for f, digit in zip(row["pool"], digits, strict=True)}
    path.write_text(table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as JSON, a line for each."""
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


def print_figures(path: Path) -> None:
    """Print the share of phrases with a useful feature first, and among the first three."""
    rows = [row for row in json.loads(path.read_text()) if set(map(str, row["pool"])) <= row["useful"].keys()]
    for which in ("earlier", "now"):
        verdicts = [[row["useful"][str(latent)] for latent in row["found"][which]] for row in rows]
        first = sum(bool(each and each[0]) for each in verdicts) / max(len(rows), 1)
        three = sum(any(each) for each in verdicts) / max(len(rows), 1)
        useful = sum(map(sum, verdicts)) / max(sum(map(len, verdicts)), 1)
        print(
            f"{path.stem:<14} {which:<8} {len(rows)} phrases: useful in the first three {three:.2f}, "
            f"first {first:.2f}, of all that was shown {useful:.2f}"
        )


if __name__ == "__main__":
    main()
