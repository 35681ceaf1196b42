"""`sae train`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from ._common import Json, print_json, progress_bars, stderr


def train(
    data: Annotated[
        Path,
        typer.Option(
            help="Documents: .jsonl(.gz), .csv, .txt (one per line), a folder of .txt/.md, a BEIR folder; or .npy."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where the checkpoint goes.")] = Path("model.pt"),
    embedder: Annotated[
        str,
        typer.Option(
            help="A sentence-transformers folder or name. `minilm` = the weights of the extra steersearch[minilm]."
        ),
    ] = "sentence-transformers/all-MiniLM-L6-v2",
    k: Annotated[
        int, typer.Option(help="Latents active per text. More keeps more of the ranking, fewer are easier to read.")
    ] = 32,
    latents: Annotated[
        int, typer.Option(help="Number of latents. A few times the number of topics in the documents.")
    ] = 4096,
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 2000,
    loss: Annotated[
        Literal["ranking", "paper", "mse"],
        typer.Option(
            help="`ranking` keeps the ranking; `paper` is arXiv 2411.00786 as coded; `mse` only reconstructs."
        ),
    ] = "ranking",
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Query-document pairs: .jsonl {query, id}, .tsv or .csv. Without them, documents make the queries."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same machine: same weights.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interrupt, from OUT.resume.")] = False,
    cache: Annotated[Path | None, typer.Option(help="Where embeddings are kept between runs.")] = None,
    json: Json = False,
) -> None:
    """Fit a sparse autoencoder to the embeddings of your documents.

    Embeddings are made once and cached; an interrupted run goes on with `--resume`. Then: `sae export --ckpt model.pt`.
    """
    from steersearch.training import SaeConfig, TrainConfig
    from steersearch.training import train as fit

    recipe = TrainConfig.paper if loss == "paper" else TrainConfig
    training = recipe(loss=loss, steps=steps, seed=seed, device=device)
    started = time.monotonic()
    with progress_bars() as show:
        sae = fit(
            data,
            embedder,
            SaeConfig(n_latents=latents, k=k),
            training,
            pairs=pairs,
            cache_dir=cache,
            resume_path=out.with_name(out.name + ".resume"),
            resume=resume,
            progress=show,
        )
    sae.save(out)
    figures = {name: round(value, 4) for name, value in sae.info.metrics.items()}
    if json:
        print_json({"checkpoint": str(out), "seconds": round(time.monotonic() - started, 1), "metrics": figures})
        return
    stderr.print(
        f"wrote {out} in {time.monotonic() - started:.0f} s: " + ", ".join(f"{n} {v:g}" for n, v in figures.items())
    )
    stderr.print(f"next: sae export --ckpt {out}")
