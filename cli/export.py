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
        Literal["fp32", "fp16", "w8", "small", "int8"],
        typer.Option(
            help="Of the embedder: fp32; w8 = 8-bit weights, under a third of the size and nearly as exact; small = w8 "
            "with 4-bit token vectors; int8 = fastest, least exact. A static embedder: fp32, fp16 or w8."
        ),
    ] = "fp32",
    revision: Annotated[str | None, typer.Option(help="Of --pretrained owner/name: a branch, tag or commit.")] = None,
    embedder: Annotated[
        str | None, typer.Option(help="Where the embedder's weights are now, if not where they were at training.")
    ] = None,
    query_prompt: Annotated[
        str | None,
        typer.Option(
            help="Text in front of each query, or the name of a prompt in the embedder's folder; '' for none. "
            "[default: that of the training]"
        ),
    ] = None,
    document_prompt: Annotated[
        str | None,
        typer.Option(help="The same for documents, where the training was on bare embeddings and knows of none."),
    ] = None,
    truncate_dim: Annotated[
        int | None, typer.Option(help="Numbers kept of an embedding, where the training was on bare embeddings.")
    ] = None,
    via: Annotated[
        Literal["auto", "optimum", "torch"],
        typer.Option(help="Which exporter makes the embedder's graph; auto takes the other where one cannot."),
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is already there.")] = False,
    json: Json = False,
) -> None:
    """Turn a checkpoint into a bundle: embedder, encoder and decoder, checked text by text, that run without torch.

    Nothing is written unless they reproduce the model. Then: `sae index --bundle bundle --data docs.jsonl`.
    The bundle puts the prompts of the training before queries and documents: nobody has to type them.
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
        "query_prompt": query_prompt,
        "document_prompt": document_prompt,
        "truncate_dim": truncate_dim,
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
    if manifest.embedder_kind == "none":
        made = manifest.embedder["id"] or "the model that made the vectors"
        stderr.print(f"wrote {out} ({size / 1e6:.1f} MB, without an embedder); against torch: {figures}")
        stderr.print(
            f"it encodes vectors, searches by them and steers by features; texts, so also phrases, need {made}: "
            "embedder= in Python, --embedder-url on the command line"
        )
        stderr.print(f"next: sae index --bundle {out} --embedder-url URL --data docs.jsonl")
        return
    stderr.print(f"wrote {out} ({size / 1e6:.0f} MB, {manifest.precision}); against torch: {figures}")
    stderr.print(
        f"next: sae index --bundle {out} --data docs.jsonl, sae features label --bundle {out} --data docs.jsonl"
    )
