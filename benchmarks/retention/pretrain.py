"""A general model that comes with the package, from the texts to the file, in one command.

    python -m benchmarks.retention.pretrain --data FOLDER
    python -m benchmarks.retention.pretrain --data FOLDER --embedder mpnet --mpnet FOLDER

K = 64, seed 0. For minilm the recipe of the group `transfer`, whose table says what it keeps on sets it has never
seen. For mpnet each fourth of the same texts, cut at 128 tokens (group `general_mpnet`), and weights in 8 bits.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from steersearch.export.pretrained import write_pretrained
from steersearch.training import SparseAutoencoder
from steersearch.training.latent_statistics import describe_latents, latent_statistics
from steersearch.training.sae import encode_all

from .__main__ import STEPS
from .experiments import Experiment, general_mpnet, transfer
from .general import general_texts
from .run import EVERY, Bench

NAME = (
    "MedQuAD (CC BY 4.0), passages of 2WikiMultihopQA (Wikipedia, CC BY-SA), FOLDOC (GFDL), "
    "debate paragraphs (Wikipedia and others, CC BY-SA), Perspectrum (CC BY-SA 4.0), Python's documentation (PSF)"
)
MPNET_ID = "sentence-transformers/all-mpnet-base-v2"


def main() -> None:
    """Train unless the benchmark has done so already, describe the latents, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--embedder", choices=["minilm", "mpnet"], default="minilm")
    parser.add_argument("--mpnet", help="folder of all-mpnet-base-v2")
    parser.add_argument("--work", type=Path, default=Path("demo/retention"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    out = args.out or Path(f"export/weights/{args.embedder}.safetensors")
    bench = Bench(args.data, args.work, args.mpnet)
    wide = args.embedder == "mpnet"
    source = bench.sources["mpnet-short" if wide else "minilm"]
    experiment = next(e for e in _experiments(wide) if e.k == 64)
    if not (args.work / f"{experiment.key}.pt").exists():  # figures alone may have come from an earlier report
        (args.work / f"{experiment.key}.json").unlink(missing_ok=True)
    bench.run(experiment)
    sae = SparseAutoencoder.load(args.work / f"{experiment.key}.pt")
    texts, material = general_texts(source, EVERY if wide else 1), bench.material(source, "general")
    statistics = latent_statistics(*encode_all(sae, material.documents), sae.config.n_latents)
    sae.info.features = describe_latents(statistics, texts)
    sae.info.corpus = {"name": NAME, "n_documents": len(texts)}
    sae.info.embedder = source.model().describe()
    if wide:
        # Texts were cut to save time; the model itself reads more. Its folder does not know its name on the hub.
        sae.info.embedder |= {"id": MPNET_ID, "max_length": bench.sources["mpnet"].model().max_length}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_pretrained(sae, out, int8=wide)
    print(f"wrote {out}, {out.stat().st_size / 1e6:.1f} MB")


def _experiments(wide: bool) -> Iterator[Experiment]:
    return general_mpnet(1, STEPS["general_mpnet"]) if wide else transfer(1, STEPS["transfer"])


if __name__ == "__main__":
    main()
