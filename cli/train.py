"""`sae train`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..corpus.formats import row_formats
from ..errors import ConfigError
from ..files import absolute, check_place
from .console import stderr
from .embedders import EmbedderDimensions, EmbedderModel, MaxCalls, MaxTexts, brought
from .fast_queries import check_texts_to_fit, fit_table_of
from .live import training_table
from .options import Json, SkipBad, VectorColumn
from .output import print_json


def train(
    data: Annotated[
        Path | None,
        typer.Option(
            help=f"Documents: all that `sae index` takes ({', '.join(row_formats())}, a folder of files …); or .npy."
        ),
    ] = None,
    vectors: Annotated[
        Path | None,
        typer.Option(
            help="Vectors that you have already, in place of an embedder: .npy, .jsonl or .parquet. Matched to --data "
            "by id or by order; .jsonl and .parquet may hold the texts too."
        ),
    ] = None,
    vector_column: VectorColumn = None,
    text_column: Annotated[str | None, typer.Option(help="Column that holds the text, where it is not `text`.")] = None,
    query_vectors: Annotated[
        Path | None, typer.Option(help="Vectors of real queries, .npy; with --pairs one row per pair.")
    ] = None,
    skip_bad: SkipBad = False,
    embedder_name: Annotated[
        str, typer.Option(help="What the model that made --vectors is called, for messages: text-embedding-3-small.")
    ] = "",
    out: Annotated[Path, typer.Option(help="Where the checkpoint goes.")] = Path("model.pt"),
    embedder: Annotated[
        str | None,
        typer.Option(
            help="A folder of sentence-transformers or model2vec, one with model.onnx and tokenizer.json, or a name. "
            "`minilm` = the weights of the extra steersearch[minilm]. With --vectors: the one that made them, if you "
            "have it.",
            show_default="sentence-transformers/all-MiniLM-L6-v2",
        ),
    ] = None,
    pooling: Annotated[
        str,
        typer.Option(
            help="How the token vectors of an ONNX graph become one, where no file beside it says so: mean, cls, max, "
            "lasttoken, weightedmean or mean_sqrt_len_tokens."
        ),
    ] = "",
    query_prompt: Annotated[
        str | None,
        typer.Option(
            help="Text in front of each query, such as 'query: ', or the name of a prompt in the embedder's folder; '' "
            "for none. [default: what the folder says]"
        ),
    ] = None,
    document_prompt: Annotated[
        str | None, typer.Option(help="The same in front of each document. [default: what the folder says]")
    ] = None,
    truncate_dim: Annotated[
        int | None,
        typer.Option(help="Keep the first so many numbers of each embedding; for embedders trained so (Matryoshka)."),
    ] = None,
    embedder_url: Annotated[
        str | None,
        typer.Option(
            help="With --vectors: the service that made them, as https://api.openai.com/v1. Up to 20,000 short "
            "queries, made from the documents, are sent to it: more of the ranking is kept. Its key: see `sae search`."
        ),
    ] = None,
    embedder_model: EmbedderModel = None,
    embedder_dimensions: EmbedderDimensions = None,
    max_texts: MaxTexts = None,
    max_calls: MaxCalls = None,
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
    depth: Annotated[
        int, typer.Option(help="Encoder depth: 2 corrects each code once by what it left over; 1 is the paper's.")
    ] = 2,
    patience: Annotated[
        int, typer.Option(help="Stop after so many measurements in a row that were no better; 0 never stops early.")
    ] = 0,
    metrics: Annotated[
        Path | None,
        typer.Option(help="JSON-lines file for the figures of every step. [default: OUT with .metrics.jsonl]"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same machine: same weights.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on after an interrupt, from OUT.resume; also to another number of --steps."),
    ] = False,
    fast_queries: Annotated[
        bool,
        typer.Option(
            "--fast-queries",
            help="Then fit a table that embeds queries without the transformer, in a tenth of a millisecond: minutes "
            "more. It goes into the checkpoint; see `sae fast-queries`.",
        ),
    ] = False,
    cache: Annotated[Path | None, typer.Option(help="Where embeddings are kept between runs.")] = None,
    json: Json = False,
) -> None:
    """Fit a sparse autoencoder to the embeddings of your documents.

    Embeddings are made once and cached; an interrupted run goes on with `--resume`. Every 250 steps the model is
    measured on queries that were held out, and the weights that did best there are kept: `retention` is the share of
    the dense top 10 that reconstructions and sparse codes keep. With at least 100 pairs, shares of dense nDCG@10 too.
    On several GPUs: `torchrun --nproc-per-node 4 --no-python sae train …`. Then: `sae export --ckpt model.pt`.

    Many embedders want a prompt before queries, some before documents too. Those in the embedder's own files are used,
    and go into the bundle. Where they are only on its page, give them:
    `--query-prompt "query: " --document-prompt "passage: "`.

    With `--vectors` nothing is embedded: `sae train --vectors v.npy --data docs.jsonl`.
    """
    from ..training import SaeConfig, TrainConfig
    from ..training import train as fit
    from ..vectors import open_vectors
    from .training_service import TrainingService

    if data is None and vectors is None:
        raise ConfigError("give documents with --data PATH, or vectors that you have with --vectors FILE")
    # Here, and not when hours of training are to be saved.
    if not out.name or out.is_dir():
        raise ConfigError(f"--out is {str(out)!r}, a folder: name the file to write, such as {out / 'model.pt'}")
    log_path = metrics or out.with_suffix(".metrics.jsonl")
    for path in (out, log_path):
        check_place(absolute(path))
    recipe = TrainConfig.paper if loss == "paper" else TrainConfig
    training = recipe(loss=loss, steps=steps, seed=seed, device=device, patience=patience)
    if fast_queries:
        check_texts_to_fit(data, vectors)
    unfinished = out.with_name(out.name + ".resume")
    started = time.monotonic()
    with _told_how_to_go_on(unfinished), training_table() as show:
        held = None
        if vectors is not None:
            columns = {"column": vector_column, "text_column": text_column}
            held = open_vectors(vectors, data, **columns, skip_bad=skip_bad, folder=cache)
        model = embedder_model or (embedder_name if embedder_url else None) or None
        given = brought(embedder_url, model, embedder_dimensions, max_texts, max_calls)
        service = None
        if given is not None:
            if held is None or embedder:
                raise ConfigError("--embedder-url embeds queries for --vectors, and takes no --embedder beside it")
            service = TrainingService(given, held)
        sae = fit(
            data if held is None else None,
            embedder if service is None else service,
            SaeConfig(n_latents=latents, k=k, encoder_depth=depth),
            training,
            vectors=held,
            queries=query_vectors,
            embedder_name=embedder_name or embedder_model or "",
            pairs=pairs,
            pooling=pooling,
            query_prompt=query_prompt,
            document_prompt=document_prompt,
            truncate_dim=truncate_dim,
            cache_dir=cache,
            resume_path=unfinished,
            resume=resume,
            log_path=log_path,
            progress=show,
        )
    # Of several processes only the first writes.
    if stderr.quiet:
        return
    sae.save(out)
    if service is not None:
        service.report()
    table = fit_table_of(out, data, pairs, embedder, cache) if fast_queries and data is not None else None
    figures = {name: round(value, 4) for name, value in sae.info.metrics.items()}
    if json:
        seconds = round(time.monotonic() - started, 1)
        print_json({"checkpoint": str(out), "seconds": seconds, "metrics": figures, **(table or {})})
        return
    stderr.print(
        f"wrote {out} in {time.monotonic() - started:.0f} s: " + ", ".join(f"{n} {v:g}" for n, v in figures.items())
    )
    if held is not None and sae.info.embedder is None:
        stderr.print(
            "queries will be embedded by what made the vectors: see the help of --embedder-url in `sae search`"
        )
    stderr.print(f"next: sae export --ckpt {out}")


@contextmanager
def _told_how_to_go_on(unfinished: Path) -> Iterator[None]:
    """Say where the state of a training is that is interrupted inside ``with``, and how it goes on."""
    began = time.time()
    try:
        yield
    except KeyboardInterrupt:
        if unfinished.exists() and unfinished.stat().st_mtime >= began - 1:
            stderr.print(
                f"what was trained is in {unfinished}: the same command with --resume goes on from there",
                soft_wrap=True,
            )
        raise
