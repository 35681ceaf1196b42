"""`sae export`, also installed as `sae-export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .console import stderr
from .options import Json
from .output import print_json


def export(
    ckpt: Annotated[Path | None, typer.Option(help="The checkpoint that `sae train` wrote.")] = None,
    pretrained: Annotated[
        str | None,
        typer.Option(
            help="In place of --ckpt: a general model, no training needed: one of `sae pretrained list`, or owner/name "
            "on the Hugging Face hub."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("bundle"),
    precision: Annotated[
        Literal["fp32", "w8", "small", "int8"],
        typer.Option(
            help="Of the embedder: fp32; w8 = 8-bit weights, under a third of the size and nearly as exact; small = w8 "
            "with 4-bit token vectors; int8 = fastest, least exact."
        ),
    ] = "fp32",
    revision: Annotated[str | None, typer.Option(help="Of --pretrained owner/name: a branch, tag or commit.")] = None,
    embedder: Annotated[
        str | None, typer.Option(help="Where the embedder's weights are now, if not where they were at training.")
    ] = None,
    via: Annotated[
        Literal["auto", "optimum", "torch"], typer.Option(help="Which exporter makes the embedder's graph.")
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is already there.")] = False,
    json: Json = False,
) -> None:
    """Turn a checkpoint into a bundle: three ONNX graphs, checked text by text against torch, that run without torch.

    Nothing is written unless the graphs reproduce the model. Then: `sae index --bundle bundle --data docs.jsonl`.
    """
    from ..errors import ConfigError
    from ..export import export_bundle, export_pretrained

    if (ckpt is None) == (pretrained is None):
        raise ConfigError("give either --ckpt model.pt (from `sae train`) or --pretrained minilm")
    if revision is not None and pretrained is None:
        raise ConfigError(f"--revision {revision} is of a repository: give it with --pretrained owner/name")
    how: dict[str, Any] = {
        "precision": precision,
        "embedder": embedder,
        "via": via,
        "overwrite": overwrite,
        "progress": None if json else (lambda stage: stderr.print(stage, style="dim")),
    }
    if pretrained is None:
        manifest = export_bundle(str(ckpt), out, **how)
    else:
        manifest = export_pretrained(pretrained, out, revision=revision, **how)
    size = sum(int(entry["bytes"]) for entry in manifest.files.values())
    if json:
        print_json(
            {"bundle": str(out), "bytes": size, "precision": manifest.precision, "parity": dict(manifest.parity)}
        )
        return
    figures = ", ".join(f"{name} {float(value):.3g}" for name, value in manifest.parity.items())
    stderr.print(f"wrote {out} ({size / 1e6:.0f} MB, {manifest.precision}); against torch: {figures}")
    stderr.print(
        f"next: sae index --bundle {out} --data docs.jsonl, sae features label --bundle {out} --data docs.jsonl"
    )
