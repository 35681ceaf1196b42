"""`sae features export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...errors import BundleError, ConfigError
from ..console import stderr
from ..options import BundlePath, Json
from ..output import print_json

TABLE, ATLAS = Path("features.csv"), Path("atlas.parquet")
"""What is written without --out."""


def export(
    feature: Annotated[
        str | None, typer.Argument(help="One feature: f412 or its label. Without one, all of them.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="All features: .csv or .jsonl. What makes one fire: .json, .dot or .svg. An atlas: .parquet.",
        ),
    ] = TABLE,
    bundle: BundlePath = Path("bundle"),
    atlas: Annotated[
        bool, typer.Option("--atlas", help="Write the documents of --index with their features, for embedding-atlas.")
    ] = False,
    index: Annotated[
        Path | None, typer.Option("--index", "-i", help="With --atlas: the index; its own bundle is taken.")
    ] = None,
    embeddings: Annotated[
        bool, typer.Option("--embeddings/--no-embeddings", help="With --atlas: write the vectors too.")
    ] = True,
    json: Json = False,
) -> None:
    """Write all features as a table, or the words that make one feature fire as a graph, or documents by features.

    Examples: `sae features export --out features.csv`, `sae features export f412 --out f412.svg`,
    `sae features export --atlas --index my-index --out atlas.parquet`
    """
    if atlas or index is not None:
        _export_atlas(feature, index, ATLAS if out == TABLE else out, atlas, embeddings, json)
        return
    from ...runtime import Bundle
    from ...runtime.interpret.export import export_feature, export_features

    opened = Bundle.load(bundle)
    if feature is None:
        export_features(opened.features, out)
        written = len(opened.features)
    else:
        export_feature(opened, feature, out)
        written = 1
    if json:
        print_json({"out": str(out), "features": written})
        return
    stderr.print(f"{out}: {written:,} features" if feature is None else f"{out}: {opened.features.get(feature)}")


def _export_atlas(
    feature: str | None, index: Path | None, out: Path, atlas: bool, embeddings: bool, json: bool
) -> None:
    if not atlas:
        raise ConfigError(f"--index {index} belongs to --atlas: add it, or leave --index out")
    if index is None:
        raise ConfigError("--atlas needs the documents: name their index, as --index my-index")
    if feature is not None:
        raise ConfigError(f"--atlas writes the features of all documents: leave {feature!r} out")
    from ...runtime import SteerableIndex
    from ...runtime.atlas import export_atlas

    with SteerableIndex.open(index, readonly=True) as opened:
        written = export_atlas(opened, out, embeddings=embeddings)
    if json:
        print_json({"out": str(out), "documents": written})
        return
    vectors = "--vector embedding" if embeddings else "--x x --y y"
    stderr.print(f"{out}: {written:,} documents")
    stderr.print(f"Open it: embedding-atlas {out} --text text --features features {vectors}", soft_wrap=True)


def report(
    bundle: BundlePath = Path("bundle"),
    out: Annotated[Path, typer.Option("--out", "-o", help="The page; it is replaced when it is there.")] = Path(
        "report.html"
    ),
    json: Json = False,
) -> None:
    """Write one page with all features: a table, a map, and a section for each. It needs no network to be read.

    Example: `sae features report --out report.html`
    """
    from ...runtime import Bundle
    from ...runtime.interpret.report import write_report

    opened = Bundle.load(bundle)
    if opened.interpretation is None:
        raise BundleError(f"{bundle} was never interpreted: sae features label --bundle {bundle} --data docs.jsonl")
    write_report(opened.interpretation, opened.features, out, title=f"Features on {opened.interpretation.corpus}")
    if json:
        print_json({"report": str(out), "bytes": out.stat().st_size})
        return
    stderr.print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, open it in a browser")
