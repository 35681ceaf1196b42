"""What a sentence-transformers folder says about prompts: the text in front of each query, and of each document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import DataError
from ..text import shown
from .sentence_model import read_json

SETTINGS = "config_sentence_transformers.json"
DOCUMENT_NAMES = ("document", "passage", "corpus")
"""Names of the prompt of documents, in the order in which sentence-transformers looks for them."""


def read_prompts(folder: Path, query: str | None = None, document: str | None = None) -> tuple[str, str]:
    """Return the prompts of queries and of documents, as `encode_query` and `encode_document` choose them.

    sentence-transformers writes empty prompts called query and document into every folder since version 5. So an empty
    one counts as missing, and a prompt called passage is found behind it. `default_prompt_name` is for texts of
    unknown purpose, which there are none of here.

    Args:
        folder: Of a sentence-transformers model.
        query: A prompt, or the name of one in the folder; ``""`` for none; None for what the folder says.
        document: The same for documents.

    Raises:
        DataError: The file cannot be used, or it has prompts of which none is said to be for queries.
    """
    path = folder / SETTINGS
    prompts = read_settings(folder).get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise DataError(f"{path} has prompts {shown(prompts)}, expected texts by name: copy the model again")
    query, document = (text if text is None else prompts.get(text, text) for text in (query, document))
    if query is None:
        query = prompts.get("query", "")
        others = sorted(name for name, text in prompts.items() if text and name not in ("query", *DOCUMENT_NAMES))
        if not query and others:
            raise DataError(
                f"{path} has prompts called {shown(', '.join(others), 200)} and none for queries: choose one with "
                f"--query-prompt NAME, give a text, or --query-prompt '' for none (in Python query_prompt=)"
            )
    if document is None:
        document = next((prompts[name] for name in DOCUMENT_NAMES if prompts.get(name)), "")
    return query, document


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the content of config_sentence_transformers.json; empty where it is missing or no object."""
    content = read_json(folder / SETTINGS)
    return content if isinstance(content, dict) else {}
