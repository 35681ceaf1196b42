"""The labels that come with a general model, from its texts to the file, in one command.

    python -m benchmarks.retention.label NAME --data FOLDER [--mpnet FOLDER]

Every second text of the general model's documents is read (`general.DOCUMENTS`), half of them held out. Labels are
those of `sae features label`. Which of them are kept says `steersearch.export.pretrained.holds`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from steersearch.catalogue import find_pretrained
from steersearch.export import export_pretrained
from steersearch.export.pretrained import write_labels
from steersearch.runtime import Bundle
from steersearch.runtime.bundle.interpretation import Entry
from steersearch.runtime.interpret import interpret

from .data import Source
from .general import general_parts

EVERY = 2
"""All texts would take twice as long; a latent fires on hundreds of these."""
CORPUS = "open texts: MedQuAD, 2Wiki, FOLDOC, debates, Perspectrum, Python"


def main() -> None:
    """Embed, export, interpret, and write the file beside the weights."""
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
    kept = write_labels(found.interpretation, weights, path)
    print(f"wrote {path}, {path.stat().st_size / 1e6:.2f} MB, {kept.settings['labels']} labels")


def describe(entry: Entry) -> str:
    """Return a line about a label, to judge it by reading."""
    measured = entry.score
    figures = f"{measured.auc:.2f} {measured.positives}" if measured else "not measured"
    return f"{entry.name} {figures} {entry.label}"


if __name__ == "__main__":
    main()
