"""Options that bring an embedder to a bundle without one, and what its calls will be and have been."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..errors import ConfigError
from .console import stderr

if TYPE_CHECKING:
    from ..runtime import Bundle, ExternalEmbedder
    from ..runtime.bundle.external.brought import BroughtEmbedder

EmbedderUrl = Annotated[
    str | None,
    typer.Option(
        "--embedder-url",
        help="For a bundle without an embedder: the service that made its vectors, as https://api.openai.com/v1. Its "
        "key is STEERSEARCH_EMBEDDER_KEY in the environment, or OPENAI_API_KEY for OpenAI.",
    ),
]
EmbedderModel = Annotated[
    str | None,
    typer.Option("--embedder-model", help="With --embedder-url: the model's name there; by default the bundle's."),
]
EmbedderDimensions = Annotated[
    int | None,
    typer.Option("--embedder-dimensions", min=1, help="With --embedder-url: ask for vectors cut to so many numbers."),
]
MaxTexts = Annotated[
    int | None,
    typer.Option(
        "--max-texts",
        min=0,
        help="With --embedder-url: texts that may be sent, 100,000 by default; those whose vectors are kept are free.",
    ),
]
MaxCalls = Annotated[
    int | None, typer.Option("--max-calls", min=0, help="With --embedder-url: calls that may be made; any by default.")
]


def brought(
    url: str | None,
    model: str | None,
    dimensions: int | None = None,
    max_texts: int | None = None,
    max_calls: int | None = None,
) -> ExternalEmbedder | None:
    """Return the embedder of the options, None without an address; a `ConfigError` for the others without one."""
    settings = {
        "--embedder-model": model,
        "--embedder-dimensions": dimensions,
        "--max-texts": max_texts,
        "--max-calls": max_calls,
    }
    if url is None:
        for name, value in settings.items():
            if value is not None:
                raise ConfigError(f"{name} is for an embedder from outside: name it with --embedder-url")
        return None
    from ..runtime import EmbeddingService, ExternalEmbedder
    from ..runtime.bundle.external.external_embedder import MAX_TEXTS

    service = EmbeddingService(url, model, dimensions=dimensions)
    return ExternalEmbedder(service, max_texts=MAX_TEXTS if max_texts is None else max_texts, max_calls=max_calls)


def announce(bundle: Bundle, texts: int, what: str) -> None:
    """Say on stderr, before a long job, how many calls an embedder from outside will get; nothing for another one."""
    embedder = _embedder_of(bundle)
    if embedder is not None:
        calls = embedder.calls_for(texts)
        stderr.print(
            f"{what}: about {texts:,} texts, so up to {calls:,} call{'s' if calls != 1 else ''} of {embedder.name}; "
            "vectors that are kept from before cost none",
            soft_wrap=True,
        )


def report_calls(bundle: Bundle) -> None:
    """Say on stderr what an embedder from outside got; nothing for another one."""
    embedder = _embedder_of(bundle)
    if embedder is not None:
        usage = embedder.usage
        stderr.print(
            f"{usage.calls:,} calls with {usage.texts:,} texts; {usage.cached:,} vectors were there", soft_wrap=True
        )


def _embedder_of(bundle: Bundle) -> BroughtEmbedder | None:
    if bundle.manifest.embedder_kind != "none" or not bundle.embeds:
        return None
    return cast("BroughtEmbedder", bundle.embedder)
