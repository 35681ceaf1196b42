"""An opened sentence-transformers model, made ready for the prompts and the lengths of its source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import DataError
from ..text import shown
from .embedder_source import EmbedderSource
from .sentence_model import VECTORS_CURE

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def prepare_model(model: SentenceTransformer, source: EmbedderSource) -> None:
    """Let an opened model read `max_length` tokens, and check that prompts and dimensions of its source are possible.

    Raises:
        DataError: A prompt leaves no room for a text or is to be left out of the pooling, or more numbers are to be
            kept than there are.
    """
    model.max_seq_length = source.max_length
    width = int(model.get_sentence_embedding_dimension() or 0)
    if source.truncate_dim is not None and source.truncate_dim > width > 0:
        raise DataError(
            f"truncate_dim is {source.truncate_dim}, but {source.id} gives {width} numbers: choose at most {width}"
        )
    for side, prompt in (("query", source.query_prefix), ("document", source.document_prefix)):
        if not prompt:
            continue
        if any(getattr(module, "include_prompt", True) is False for module in model):
            raise DataError(
                f"{source.id} has a Pooling module with include_prompt false, which leaves the prompt out of the mean; "
                f"a bundle cannot: switch prompts off (--query-prompt '' --document-prompt ''), or {VECTORS_CURE}"
            )
        tokens = model.tokenize([prompt]).get("input_ids")
        if tokens is not None and tokens.shape[-1] >= source.max_length:
            raise DataError(
                f"the {side} prompt {shown(prompt)} alone fills the {source.max_length} tokens that {source.id} reads: "
                f"shorten it with --{side}-prompt, or raise max_seq_length in its sentence_bert_config.json"
            )
