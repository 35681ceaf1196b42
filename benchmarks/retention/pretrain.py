"""The general model that comes with the package, from the texts to the file, in one command.

    python -m benchmarks.retention.pretrain --data FOLDER [--out export/weights/minilm.safetensors]

K = 64, seed 0, the recipe of the group `transfer`, whose table says what it keeps on sets it has never seen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from steersearch.export.pretrained import write_pretrained
from steersearch.training import SparseAutoencoder
from steersearch.training.latent_statistics import describe_latents, latent_statistics
from steersearch.training.sae import encode_all

from .__main__ import STEPS
from .experiments import transfer
from .general import general_material, general_texts
from .run import Bench

NAME = (
    "MedQuAD (CC BY 4.0), passages of 2WikiMultihopQA (Wikipedia, CC BY-SA), FOLDOC (GFDL), "
    "debate paragraphs (Wikipedia and others, CC BY-SA), Perspectrum (CC BY-SA 4.0), Python's documentation (PSF)"
)


def main() -> None:
    """Train unless the benchmark has done so already, describe the latents, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("demo/retention"))
    parser.add_argument("--out", type=Path, default=Path("export/weights/minilm.safetensors"))
    args = parser.parse_args()
    bench = Bench(args.data, args.work, None)
    source = bench.sources["minilm"]
    experiment = next(e for e in transfer(1, STEPS["transfer"]) if e.k == 64)
    if not (args.work / f"{experiment.key}.pt").exists():  # figures alone may have come from an earlier report
        (args.work / f"{experiment.key}.json").unlink(missing_ok=True)
    bench.run(experiment)
    sae = SparseAutoencoder.load(args.work / f"{experiment.key}.pt")
    texts, material = general_texts(source), general_material(source)
    statistics = latent_statistics(*encode_all(sae, material.documents), sae.config.n_latents)
    sae.info.features = describe_latents(statistics, texts)
    sae.info.corpus = {"name": NAME, "n_documents": len(texts)}
    sae.info.embedder = source.model().describe()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_pretrained(sae, args.out)
    print(f"wrote {args.out}, {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
