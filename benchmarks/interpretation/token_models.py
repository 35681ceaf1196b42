"""What Neuron-to-Graph gains when its token model starts from what each token adds by itself.

    python -m benchmarks.interpretation.token_models --bundle BUNDLE --data FOLDER [--sets agnews-test 20newsgroups]

Sentences are drawn at random from the half that predictions are made from. Printed is the median AUC (near misses /
random) over the features that fire on at least 20 documents. BUNDLE must tell what tokens add: an export of an embedder
that pools by the mean.
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial
from pathlib import Path

import numpy as np

from steersearch.arrays import FloatArray, unit_rows
from steersearch.corpus import Corpus
from steersearch.embedding_cache import default_cache_dir
from steersearch.runtime import Bundle
from steersearch.runtime.interpret.encoded_documents import EncodedDocuments, centred_rows
from steersearch.runtime.interpret.neuron2graph import fit_token_model
from steersearch.runtime.interpret.passages import sentences_of
from steersearch.runtime.interpret.pipeline import CachedEmbedder
from steersearch.runtime.interpret.scoring import EvaluationSplit, score_directions, select_splits
from steersearch.runtime.interpret.sentence_parts import read_parts

EVERY = {"20newsgroups": 2}
SENTENCES = 9000
MIN_FIRES = 20


def main() -> None:
    """Print a line per corpus and start of the fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--sets", nargs="*", default=["agnews-test", "20newsgroups"])
    parser.add_argument("--sentences", type=int, default=SENTENCES)
    args = parser.parse_args()
    bundle = Bundle.load(args.bundle)
    for name in args.sets:
        measure(bundle, args.data / name, EVERY.get(name, 1), args.sentences)


def measure(bundle: Bundle, data: Path, every: int, count: int) -> None:
    """Print the figures of one corpus."""
    read = list(Corpus.open(data).documents())[::every]
    embed = CachedEmbedder(bundle, default_cache_dir(), lambda step, done, total: None)
    texts = [document.text for document in read]
    documents = EncodedDocuments.encode(bundle, [d.id for d in read], texts, embed(texts, "read documents"))
    splits = [
        split if len(rows) >= MIN_FIRES else None
        for split, (rows, _) in zip(select_splits(documents), documents.firing, strict=True)
    ]
    training = np.flatnonzero(~documents.held_out)
    sentences = sorted({sentence for row in training for sentence in sentences_of(texts[row])})
    np.random.default_rng(0).shuffle(sentences)
    sentences = sentences[:count]
    parts = read_parts(bundle, sentences, {}, documents.embeddings.mean(0), lambda done, total: None)
    tokens = bundle.tokenise(texts)
    fit = partial(fit_token_model, [tokens[row] for row in training], documents.centred[training])
    both = (bundle.tokenise(sentences), centred_rows(parts.embeddings))
    nothing = np.empty((0, bundle.d_in), np.float32)
    for start, model in {
        "documents": fit([], nothing),
        "documents and sentences": fit(*both),
        "documents and sentences, from the tokens' parts": fit(*both, parts.means),
    }.items():
        _print(f"{data.name}, {start}", splits, model.directions(tokens), bundle.atoms)
    # What the embeddings themselves would tell.
    _print(f"{data.name}, no words but embeddings", splits, unit_rows(documents.centred), bundle.atoms)


def _print(what: str, splits: list[EvaluationSplit | None], rows: FloatArray, atoms: FloatArray) -> None:
    found = [score for score in score_directions(splits, rows, atoms) if score is not None]
    near, random, both = (statistics.median(getattr(s, f"auc{k}") for s in found) for k in ("_near", "_random", ""))
    print(f"{what:<75} {both:.3f} ({near:.3f} / {random:.3f}), {len(found)} features", flush=True)


if __name__ == "__main__":
    main()
