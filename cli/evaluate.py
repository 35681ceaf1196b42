"""`sae eval`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ..errors import ConfigError
from .console import console, stderr
from .embedders import (
    EmbedderDimensions,
    EmbedderModel,
    EmbedderUrl,
    MaxCalls,
    MaxTexts,
    announce,
    brought,
    report_calls,
)
from .live import progress_bars
from .options import BundlePath, Json
from .output import print_json
from .steerings import evaluate_steerings

if TYPE_CHECKING:
    from ..runtime import Bundle


def evaluate(
    data: Annotated[
        Path | None, typer.Option(help="A BEIR folder: corpus.jsonl(.gz), queries.jsonl(.gz), qrels/SPLIT.tsv.")
    ] = None,
    bundle: BundlePath = Path("bundle"),
    split: Annotated[str, typer.Option(help="Which judgments: qrels/SPLIT.tsv.")] = "test",
    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            help="Keep the index here and use it again next time; with --steering, the index that is searched.",
        ),
    ] = None,
    steering: Annotated[
        list[Path] | None,
        typer.Option(help="A steering that the studio kept, to measure on --judgments; may be repeated."),
    ] = None,
    judgments: Annotated[
        Path | None,
        typer.Option(help='With --steering: lines {"query": "...", "id": "...", "grade": 1}, as the studio writes.'),
    ] = None,
    fail_below: Annotated[
        float | None,
        typer.Option(help="With --steering: end with 1 when an nDCG@10 is below this, in place of what was recorded."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="With --steering: write what was measured into the file, to compare with.")
    ] = False,
    embedder_url: EmbedderUrl = None,
    embedder_model: EmbedderModel = None,
    embedder_dimensions: EmbedderDimensions = None,
    max_texts: MaxTexts = None,
    max_calls: MaxCalls = None,
    json: Json = False,
) -> None:
    """Measure what a bundle keeps of dense retrieval on judged queries.

    Ways to search the same index: dense, dense steered with an empty boost (must be the same), reconstruction (the
    paper's), latent, words (BM25), and hybrid by rank and by weights. nDCG@10, MRR@10 and R@100 by trec_eval's
    definitions, each also as a share of dense.

    Without judgments (no qrels/SPLIT.tsv; --data is then any documents that `sae index` takes) it measures what it can:
    the share of dense's ten best documents that each view finds too, on queries.jsonl or on first sentences.

    With --steering it measures steerings on an index instead: nDCG@10 and how much of the plain results stays. It ends
    with 1 when one is worse than what --record wrote into its file.

    Examples: `sae eval --data scifact`, `sae eval --index my-index --steering beginners.json --judgments j.jsonl`
    """
    if steering:
        if data is not None:
            raise ConfigError("--data measures a bundle and --steering a steering: give one of the two")
        embedder = brought(embedder_url, embedder_model, embedder_dimensions, max_texts, max_calls)
        # `bundle` has a default, which an index does not need: it knows its own.
        moved = None if bundle == Path("bundle") else bundle
        evaluate_steerings(steering, index, judgments, moved, embedder, fail_below, record, json)
        return
    if data is None or judgments is not None or record or fail_below is not None:
        raise ConfigError("give --data FOLDER to measure a bundle, or --steering FILE and --judgments FILE")
    from ..corpus import Corpus
    from ..extras import require
    from ..runtime import Bundle
    from ..runtime.evaluate import evaluate as run

    judged = data.is_dir() and (data / "qrels").is_dir()
    if judged:
        require("eval", "ir_measures")
    embedder = brought(embedder_url, embedder_model, embedder_dimensions, max_texts, max_calls)
    opened = Bundle.load(bundle, embedder=embedder)
    if opened.manifest.embedder_kind == "none":
        announce(opened, len(Corpus.open(data)), "documents, and the judged queries")
    if not judged:
        _agreement(opened, data, index, json)
        return
    with progress_bars() as show:
        report = run(opened, data, split=split, index_path=index, progress=show)
    report_calls(opened)
    if json:
        print_json(asdict(report))
        return
    table = Table(title=f"{report.dataset}, {report.queries} queries, {report.documents} documents, {report.precision}")
    for column in ("view", "nDCG@10", "", "MRR@10", "", "R@100", ""):
        table.add_column(column, justify="left" if column == "view" else "right")
    for name, figures in report.views.items():
        shares = report.share_of_dense[name]
        cells = [cell for metric in figures for cell in (f"{figures[metric]:.4f}", f"{shares[metric]:.1%}")]
        table.add_row(name.replace("_", " "), *cells)
    console.print(table)
    console.print(", ".join(f"{name} {value:.4g}" for name, value in report.sparsity.items()))


def _agreement(bundle: Bundle, data: Path, index: Path | None, json: bool) -> None:
    """Print how far the views agree with dense, where nothing is judged."""
    from ..runtime.agreement import measure_agreement

    with progress_bars(json) as show:
        found = measure_agreement(bundle, data, index_path=index, progress=show)
    report_calls(bundle)
    if json:
        print_json(asdict(found))
        return
    stderr.print(
        f"{data} has no judgments (qrels/test.tsv), so nobody knows which documents are right; this is how far each "
        "view agrees with dense:",
        soft_wrap=True,
    )
    title = f"{found.dataset}, {found.queries} queries ({found.queries_from}), {found.documents} documents"
    table = Table("view", title=title)
    table.add_column("of dense's ten best", justify="right")
    for name, share in found.kept.items():
        table.add_row(name.replace("_", " "), f"{share:.1%}")
    console.print(table)
    console.print(", ".join(f"{name} {value:.4g}" for name, value in found.sparsity.items()))
