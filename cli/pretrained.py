"""`sae pretrained list`, `show` and `get`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markdown import Markdown
from rich.table import Table

from .choices import Commands
from .console import console, harmless, stderr
from .options import Json
from .output import print_json

if TYPE_CHECKING:
    from ..catalogue import PretrainedModel

pretrained_app = Commands(
    no_args_is_help=True,
    help="Models that are ready to use: those of the package, and bundles of the Hugging Face hub.\n\n"
    "`sae export --pretrained minilm` makes a bundle without training.",
)


@pretrained_app.command("list")
def list_models(json: Json = False) -> None:
    """List the autoencoders that come with the package, and what is missing to export them. Needs no torch.

    Example: `sae pretrained list`, then `sae export --pretrained minilm --out bundle`
    """
    from ..catalogue import pretrained_models

    models = pretrained_models()
    if json:
        print_json([_json(model) for model in models])
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "embedder", "width", "latents", "k", "MB", "labelled", "to do first"):
        left = heading in ("", "embedder", "to do first")
        table.add_column(heading, justify="left" if left else "right", overflow="fold")
    for model in models:
        table.add_row(
            harmless((model.name, "bold")),
            harmless(model.embedder),
            f"{model.d_in:,}",
            f"{model.n_latents:,}",
            f"{model.k}",
            f"{model.bytes / 1e6:.1f}",
            f"{model.labels:,}" if model.labels else "no",
            harmless("; ".join(model.missing) or "nothing"),
        )
    console.print(table)
    stderr.print("next: sae export --pretrained NAME --out bundle; sae pretrained show NAME", style="dim")


@pretrained_app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One of `sae pretrained list`.")],
    json: Json = False,
) -> None:
    """Print the model card: texts, recipe, figures, limits, licences. Example: `sae pretrained show minilm`."""
    from ..catalogue import find_pretrained

    model = find_pretrained(name)
    card = model.card.read_text(encoding="utf-8") if model.card else ""
    if json:
        print_json(_json(model) | {"card": card})
        return
    console.print(Markdown(card) if card else f"{model.name} has no card")


@pretrained_app.command()
def get(
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A bundle on the Hugging Face hub.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("bundle"),
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit; a commit gives the same bundle for ever.")
    ] = None,
    json: Json = False,
) -> None:
    """Download a bundle from the Hugging Face hub: the files that its manifest lists, each compared with its checksum.

    A bundle decides what its embeddings and labels say, so take it from somebody you trust.
    Example: `sae pretrained get owner/name --out bundle`
    """
    from ..runtime import Bundle

    bundle = Bundle.from_pretrained(repo, revision, out=out)
    size = sum(int(entry["bytes"]) for entry in bundle.manifest.files.values())
    origin = bundle.origin or {}
    if json:
        print_json({"bundle": str(out), "bytes": size, "origin": origin or None})
        return
    stderr.print(
        f"wrote {out} ({size / 1e6:.0f} MB), {origin.get('repo', repo)} at {origin.get('commit', 'no commit')}"
    )
    stderr.print(f"next: sae index --bundle {out} --data docs.jsonl")


def _json(model: PretrainedModel) -> dict[str, Any]:
    names = ("name", "embedder", "d_in", "n_latents", "k", "bytes", "labels", "corpus", "missing")
    return {name: getattr(model, name) for name in names} | {"labelled": model.labels > 0}
