"""The labels that come with a general model, from its texts to the file, in one command.

    python -m benchmarks.retention.label NAME --data FOLDER [--mpnet FOLDER]

Every second text of the general model's documents is read (`general.DOCUMENTS`), half of them held out. Labels are
those of `sae features label`, made shorter where the first words alone do as well. Which of them are kept says
`steersearch.export.pretrained.holds`.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from steersearch.arrays import unit_rows
from steersearch.catalogue import find_pretrained
from steersearch.export import export_pretrained
from steersearch.export.pretrained import write_labels
from steersearch.runtime import Bundle
from steersearch.runtime.bundle.interpretation import Entry
from steersearch.runtime.interpret import interpret
from steersearch.runtime.interpret.names.label import Label
from steersearch.runtime.interpret.pipeline import InterpretationResult, coverage
from steersearch.runtime.interpret.scoring import EvaluationSplit, score

from .data import Source
from .general import general_parts

EVERY = 2
"""All texts would take twice as long; a latent fires on hundreds of these."""
WORSE = 0.02
"""AUC on the training documents that a shorter label may lose: three phrases of which one says it all read badly."""
CORPUS = "open texts: MedQuAD, 2Wiki, FOLDOC, debates, Perspectrum, Python"


def main() -> None:
    """Embed, export, interpret, shorten, and write the file beside the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["minilm", "mpnet"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--mpnet", help="folder of all-mpnet-base-v2")
    args = parser.parse_args()
    source = Source(args.data, args.mpnet if args.name == "mpnet" else "minilm", "bf16")
    parts = [texts[::EVERY] for texts in general_parts(source)]
    texts = [text for part in parts for text in part]
    embeddings = np.concatenate([source.embed(part) for part in parts])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "bundle")
        export_pretrained(args.name, folder, embedder=source.embedder)
        ids = [str(row) for row in range(len(texts))]
        found = interpret(Bundle.load(folder), ids, texts, corpus=CORPUS, embeddings=embeddings)
    weights = find_pretrained(args.name).weights
    path = weights.with_name(f"{args.name}.labels.jsonl.gz")
    kept = write_labels(with_short_labels(found).interpretation, weights, path)
    print(f"wrote {path}, {path.stat().st_size / 1e6:.2f} MB, {kept.settings['labels']} labels")


def with_short_labels(found: InterpretationResult) -> InterpretationResult:
    """Return the result with the shortest label of each latent that does as well on the training documents.

    Labels are scored on the held-out documents again, which had no part in the choice.
    """
    row = {phrase: at for at, phrase in enumerate(found.phrases.texts)}
    entries, taken = list(found.interpretation.entries), set()
    for latent in sorted(range(len(entries)), key=lambda f: (-entries[f].fires, f)):
        label, split = found.labels[latent], found.splits[latent]
        if label is None or split is None or not len(split.training.positives):
            continue
        short = _shortest(found, label, split, row)
        measured = score(split.project(found.documents.centred, short.direction), split.held_out, split.training)
        text = short.text if short.text not in taken else f"{short.text} (f{latent})"
        taken.add(text)
        entries[latent] = replace(entries[latent], label=text, phrases=short.phrases, score=measured)
    changed = tuple(entries)
    interpretation = replace(found.interpretation, entries=changed, covered=coverage(changed, found.documents))
    return replace(found, interpretation=interpretation)


def _shortest(found: InterpretationResult, label: Label, split: EvaluationSplit, row: dict[str, int]) -> Label:
    tried = []
    for size in range(1, len(label.phrases) + 1):
        phrases = label.phrases[:size]
        direction = unit_rows(found.phrases.centred[[row[phrase] for phrase in phrases]].sum(0)[None])[0]
        predicted = split.project(found.documents.centred, direction)
        tried.append((score(predicted, split.training, split.held_out).auc, Label(phrases, direction)))
    best = max(auc for auc, _ in tried)
    return next(each for auc, each in tried if auc >= best - WORSE)


def describe(entry: Entry) -> str:
    """Return a line about a label, to judge it by reading."""
    measured = entry.score
    figures = f"{measured.auc:.2f} {measured.positives}" if measured else "not measured"
    return f"{entry.name} {figures} {entry.label}"


if __name__ == "__main__":
    main()
