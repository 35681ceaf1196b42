"""Model cards: the README.md of a repository of weights, with the front matter that the Hugging Face hub reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

CARD = "README.md"
"""The card's file."""
UNSTATED = "Not stated: whoever made it says here under which licence it may be used."


def model_card(
    title: str,
    what: str,
    *,
    facts: Mapping[str, object],
    code: str,
    tags: Sequence[str] = (),
    base_model: str | None = None,
    licence: str = UNSTATED,
) -> str:
    """Return the text of a card.

    Args:
        title: Its heading.
        what: A sentence about the files.
        facts: Rows of a table; rows that are None or empty are left out.
        code: Python that opens it.
        tags: For the hub's search, besides `steersearch` and `sparse-autoencoder`.
        base_model: ``owner/name`` of the embedder on the hub, where it has one.
        licence: A paragraph.
    """
    lines = ["---", "library_name: steersearch"]
    if base_model and "/" in base_model:
        # JSON is YAML, whatever the name holds.
        lines.append(f"base_model: {json.dumps(base_model)}")
    lines += ["tags:", *(f"- {json.dumps(tag)}" for tag in ("steersearch", "sparse-autoencoder", *tags)), "---", ""]
    lines += [f"# {title}", "", what, "", "| | |", "|---|---|"]
    shown = {name: " ".join(str(value).split()) for name, value in facts.items() if value not in (None, "")}
    lines += [f"| {name} | {_cell(value)} |" for name, value in shown.items()]
    return "\n".join([*lines, "", "```python", code.strip(), "```", "", "## Licence", "", licence, ""])


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")
