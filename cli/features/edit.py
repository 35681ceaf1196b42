"""`sae features rename`, `merge`, `hide`, `unhide`, `note` and `reset`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import BundlePath, Json
from ..output import print_json
from .output import feature_json, print_features

if TYPE_CHECKING:
    from ...runtime.bundle.feature_editor import FeatureEditor

One = Annotated[str, typer.Argument(metavar="FEATURE", help="f412, or its label.")]
Several = Annotated[list[str], typer.Argument(metavar="FEATURE", help="f412, or labels.")]


def rename(
    feature: One,
    label: Annotated[str, typer.Argument(help="Its new label: a few words that no other feature has.")],
    bundle: BundlePath = Path("bundle"),
    json: Json = False,
) -> None:
    """Give a feature a better label. From then on it is a key like any other: `--boost "stem cells=1"`.

    Example: `sae features rename f412 "stem cells"`
    """
    _edit(bundle, [feature], lambda editor, latents: editor.rename(latents[0], label), json)


def merge(
    features: Several,
    into: Annotated[str, typer.Option("--into", help="The family's name; it may be there already.")],
    bundle: BundlePath = Path("bundle"),
    json: Json = False,
) -> None:
    """Put features that say the same into one family.

    Example: `sae features merge f412 f77 --into "stem cells"`, then `sae features list --family "stem cells"`
    """
    _edit(bundle, features, lambda editor, latents: editor.merge(latents, into), json)


def hide(features: Several, bundle: BundlePath = Path("bundle"), json: Json = False) -> None:
    """Leave features out of lists, searches, reports and explanations. As a key, f412 still works.

    Example: `sae features hide f412 f77`, and back with `sae features unhide f412`
    """
    _edit(bundle, features, lambda editor, latents: editor.hide(*latents), json)


def unhide(features: Several, bundle: BundlePath = Path("bundle"), json: Json = False) -> None:
    """Show hidden features again. `sae features list --hidden` lists them.

    Example: `sae features unhide f412`
    """
    _edit(bundle, features, lambda editor, latents: editor.show(*latents), json)


def note(
    feature: One,
    text: Annotated[str, typer.Argument(help="The note; an empty one removes it.")],
    bundle: BundlePath = Path("bundle"),
    json: Json = False,
) -> None:
    """Write something down about a feature, for people.

    Example: `sae features note f412 "fires on reviews, not on trials"`
    """
    _edit(bundle, [feature], lambda editor, latents: editor.note(latents[0], text), json)


def reset(features: Several, bundle: BundlePath = Path("bundle"), json: Json = False) -> None:
    """Take label, family, note and hiding of features back.

    Example: `sae features reset f412`
    """
    _edit(bundle, features, lambda editor, latents: editor.clear(*latents), json)


def _edit(bundle: Path, keys: Sequence[str], change: Callable[[FeatureEditor, list[int]], None], json: bool) -> None:
    """Change the edits of features, save them, and print the features as they are then."""
    from ...runtime import Bundle
    from ...runtime.bundle.feature_editor import FeatureEditor

    opened = Bundle.load(bundle)
    latents = [opened.features.get(key).id for key in keys]
    editor = FeatureEditor.load(opened)
    change(editor, latents)
    editor.save()
    now = [opened.features[latent] for latent in dict.fromkeys(latents)]
    if json:
        print_json([feature_json(feature) for feature in now])
        return
    families = [feature.family or "" for feature in now]
    print_features(now, [("family", families)] if any(families) else [])
