"""Options that several commands share, and how their words are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..corpus.formats import any_of, document_formats, row_formats, single_formats
from ..errors import ConfigError
from .choices import choice
from .console import stderr

if TYPE_CHECKING:
    from ..runtime import Blend, Bundle, Concept, Fusion, Key, MemoryProfile, Removable, Steering, Strength
    from ..runtime.bundle.fast_queries.table import Queries
else:
    # typer reads annotations when it starts, and the runtime is imported when a command runs.
    MemoryProfile = Queries = str

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]
BundlePath = Annotated[Path, typer.Option("--bundle", "-b", help="The folder that `sae export` wrote.")]
IndexPath = Annotated[Path, typer.Option("--index", "-i", help="The folder that `sae index` wrote.")]
IndexBundle = Annotated[
    Path | None,
    typer.Option("--bundle", "-b", help="The bundle; by default that of the index, and `bundle` for a new one."),
]
MovedBundle = Annotated[Path | None, typer.Option("--bundle", "-b", help="Where the bundle is now, if it was moved.")]
ProfileOption = Annotated[
    MemoryProfile,
    choice("PROFILE", "--profile", help="`lean` takes the least memory and one CPU; answers are the same."),
]
QueriesOption = Annotated[
    Queries,
    choice(
        "QUERIES",
        "--queries",
        help="What embeds the query: the `transformer`; `fast`, the table of `sae fast-queries`; or `auto`, the table "
        "where it is sure enough.",
    ),
]
BackendOption = Annotated[
    str,
    choice(
        "BACKEND",
        help="`hnsw` and `usearch` are faster on large corpora and need steersearch[hnsw] (a compiler) or "
        "steersearch[usearch] (none); `usearch` holds 16 bits a number, `-i8` 8. An index remembers what it was "
        "made for.",
    ),
]

DocumentsArgument = Annotated[
    Path | None,
    typer.Argument(
        help=f"Documents: a folder of {any_of(document_formats(), 'and')} files; a {any_of(row_formats())} file (one "
        f"per line); one {any_of(single_formats())} file; or a BEIR folder."
    ),
]
DataOption = Annotated[Path | None, typer.Option("--data", help="The same as PATH.")]
ChunkTokens = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Longest chunk in tokens of the bundle's tokenizer; by default as long as the embedder reads. Without a "
        "tokenizer one is 3 to 5 characters, and the default 512.",
    ),
]
Overlap = Annotated[
    int | None,
    typer.Option(
        min=0, help="A chunk repeats the last sentences of the one before, up to so many tokens; an eighth by default."
    ),
]
NoChunks = Annotated[
    bool, typer.Option("--no-chunks", help="Store every document whole; what the embedder does not read is not found.")
]
TextColumn = Annotated[
    str | None, typer.Option(help="The column or field that holds the text, of a .csv, .parquet or .jsonl file.")
]

VectorColumn = Annotated[
    str | None, typer.Option(help="Column of --vectors that holds them. [default: embedding, vector, or the only]")
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="With --vectors: leave out documents whose vector is missing, zero or NaN.")
]

BoostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--boost",
        help="CONCEPT or CONCEPT=STRENGTH, may be repeated. A concept is a phrase, a feature's label, a latent like "
        "f412, or @FILE that --save-concept wrote. 1, the default, counts as much as the query; with -1 documents "
        "about it go down. auto is 1, and with --blend move the largest that --keep allows.",
    ),
]
ClampOption = Annotated[
    list[str] | None,
    typer.Option("--clamp", help="CONCEPT=VALUE: set it in the query itself; 0 removes the concept from the query."),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        help="CONCEPT that no document may be about, beyond what the query asks for; may be repeated.",
    ),
]
RemoveOption = Annotated[
    list[str] | None,
    typer.Option(
        "--remove",
        help="CONCEPT to take out of the query and all documents, so that none is ranked by it, or @FILE of `sae audit "
        "--out`; may be repeated.",
    ),
]
BlendOption = Annotated[
    str,
    choice(
        "BLEND",
        "--blend",
        help="How boosts work: `both` ranks documents by how much they are about the query and about the concepts; "
        "`move` moves the query, by strengths in typical activations.",
    ),
]
UnderstandOption = Annotated[
    bool,
    typer.Option(
        "--understand",
        help='Read wishes of the query: with "cafés in Rome, not touristy", what is touristy goes down. Prints what '
        "was read.",
    ),
]
KeepOption = Annotated[
    float | None,
    typer.Option(
        "--keep",
        help="With --blend move, how much of the query `auto` keeps: its cosine to itself, above 0 and at most 1.  "
        "[default: 0.96]",
    ),
]
ProtectOption = Annotated[
    bool,
    typer.Option("--protect", help="Leave alone what the query's own strongest features express of a concept."),
]


def one_path(path: Path | None, data: Path | None) -> Path:
    """Return where the documents are, given as PATH or with --data; neither or both is a `ConfigError`."""
    if path is None:
        path, data = data, None
    if path is None or data is not None:
        raise ConfigError("give the documents once, as PATH or with --data PATH")
    return path


def parse_fusion(text: str) -> Fusion:
    """Return `"rrf"` as it is, and `"dense=.4,words=.6"` as weights; no number is a `ConfigError`."""
    if text == "rrf":
        return "rrf"
    try:
        return {view.strip(): float(weight) for view, weight in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise ConfigError(f"--fusion is {text!r}: write rrf, or weights like dense=.4,latent=.2,words=.4") from None


def parse_boost(options: Sequence[str] | None) -> dict[str, Strength]:
    """Return `["jazz=2", "f7", "stars=auto"]` as `{"jazz": 2.0, "f7": 1.0, "stars": "auto"}`, or raise."""
    return {concept: 1.0 if strength is None else strength for concept, strength in _parse(options, "--boost", "1")}


def parse_exclude(options: Sequence[str] | None, name: str = "--exclude") -> list[str]:
    """Return the concepts of `--exclude` or `--remove`; one with a strength is a `ConfigError`."""
    for option in options or []:
        concept, equals, strength = option.rpartition("=")
        if equals and _is_strength(strength):
            raise ConfigError(
                f"{name} {option!r} has a strength: write {name} {concept!r}, or --boost {concept + '=-1'!r} for "
                "less of it"
            )
    return [option.strip() for option in options or []]


def _is_strength(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return word.strip().casefold() in ("auto", "-auto")
    return True


def parse_clamp(options: Sequence[str] | None) -> dict[str, float]:
    """Return `["jazz=0"]` as `{"jazz": 0.0}`; a value that is missing or no number is a `ConfigError`."""
    clamp: dict[str, float] = {}
    for concept, value in _parse(options, "--clamp", "0"):
        if value is None:
            raise ConfigError(f"--clamp {concept!r} has no value: write it as {concept}=0")
        if isinstance(value, str):
            raise ConfigError(f"--clamp {concept}={value}: a clamp sets a number; {value} is for --boost")
        clamp[concept] = value
    return clamp


def _parse(options: Sequence[str] | None, name: str, example: str) -> Iterator[tuple[str, Strength | None]]:
    """Yield each concept and its strength; None where an option has no `=`."""
    for option in options or []:
        concept, equals, strength = option.rpartition("=")
        word = strength.strip().casefold()
        if not equals:
            if found := re.fullmatch(r"(.*\w)\s*:\s*([+-]?\d+(?:\.\d+)?|-?auto)", option.strip()):
                stderr.print(
                    f"{option.strip()!r} is a phrase here; for a strength write {name} {found[1] + '=' + found[2]!r}",
                    markup=False,
                    soft_wrap=True,
                )
            yield option.strip(), None
        elif word in ("auto", "-auto"):
            yield concept.strip(), cast("Strength", word)
        else:
            try:
                yield concept.strip(), float(strength)
            except ValueError:
                raise ConfigError(
                    f"{name} {option!r}: {strength!r} is not a number; write it like jazz={example}"
                ) from None


def read_steering(
    bundle: Bundle,
    boost: Mapping[str, Strength],
    clamp: Mapping[str, float],
    *,
    exclude: Sequence[str] = (),
    remove: Sequence[str] = (),
    blend: str = "both",
    keep: float | None = None,
    protect: bool = False,
    like: Sequence[str] = (),
    unlike: Sequence[str] = (),
) -> Steering:
    """Return the request to steer of a command.

    The concept `@FILE` is read from that file. `like` and `unlike`, ids or texts, are the examples of one more concept,
    which is boosted by `"auto"`. A file that cannot be read, or a number out of range, is a `ConfigError`.
    """
    from ..runtime import Concept, Steering

    def concept(key: str) -> str | Concept:
        return Concept.load(Path(key[1:]), bundle) if key.startswith("@") else key

    boosted: dict[Key, Strength] = {concept(key): strength for key, strength in boost.items()}
    clamped: dict[Key, float] = {concept(key): value for key, value in clamp.items()}
    if like:
        boosted[Concept.from_examples(like, unlike)] = "auto"
    share = {} if keep is None else {"keep": keep}
    excluded = tuple(concept(key) for key in exclude)
    removed = tuple(_removable(key, concept) for key in remove)
    return Steering(boosted, clamped, excluded, cast("Blend", blend), protect=protect, remove=removed, **share)


def _removable(key: str, concept: Callable[[str], str | Concept]) -> Removable:
    """Return what a word of `--remove` names: a concept, or the attribute or concept of `@FILE`."""
    from ..runtime import Attribute

    if key.startswith("@") and Attribute.is_file(Path(key[1:])):
        return Attribute.load(Path(key[1:]))
    return concept(key)
