"""`sae features`: find, show and edit what a bundle can be steered by.

`sae features WORDS` is short for `show` where the words name one feature, and for `search` where they do not; without
words it is `list`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ...errors import ConfigError
from ..choices import Commands, Group
from ..options import BundlePath, Json
from .edit import hide, merge, note, rename, reset, unhide
from .export import export, report
from .label import label
from .show import Limit, list_features, search, show, similar
from .tree import tree

SHORT = "look"


class _FeaturesGroup(Group):
    """A group whose short form is taken where the first word is no command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # While a shell asks what may follow, a word may be the beginning of a command.
        if not ctx.resilient_parsing and (not args or args[0] not in self.commands):
            args = ["--help"] if "--help" in args else [SHORT, *args]
        return super().parse_args(ctx, args)


features_app = Commands(
    cls=_FeaturesGroup,
    help="Find, show and edit what a bundle can be steered by.\n\n"
    'Short forms: `sae features` lists, `sae features "network sockets"` searches, `sae features f412` shows.\n\n'
    "What you edit is kept in a file beside the bundle, and stays when the bundle is exported or labelled again.",
)
features_app.command("label")(label)
features_app.command("list")(list_features)
named: list[Callable[..., None]] = [
    tree,
    search,
    show,
    similar,
    export,
    report,
    rename,
    merge,
    hide,
    unhide,
    note,
    reset,
]
for command in named:
    features_app.command(command.__name__)(command)


@features_app.command(SHORT, hidden=True)
def _look(
    words: Annotated[str | None, typer.Argument(help="A phrase, or one feature: f412 or its label.")] = None,
    bundle: BundlePath = Path("bundle"),
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List, search or show."""
    if words is None:
        list_features(bundle=bundle, limit=limit, json=json)
        return
    if words in {command.name for command in features_app.registered_commands}:
        raise ConfigError(
            f"{words!r} is a command: write it before the options, as `sae features {words} --bundle {bundle}`; "
            f"to look for the word: `sae features search {words} --bundle {bundle}`"
        )
    from ...runtime import Bundle

    if Bundle.load(bundle).features.find(words) is not None:
        show(words, bundle=bundle, json=json)
    else:
        search(words, bundle=bundle, limit=limit, json=json)
