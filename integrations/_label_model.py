"""Chat models by name."""

from __future__ import annotations

import re

from .._extras import installed, require

require("langchain", "langchain_core")

from langchain_core.language_models import BaseChatModel  # noqa: E402

from ..errors import ConfigError, MissingExtraError  # noqa: E402
from ._label_calls import shortened  # noqa: E402


def open_model(model: str) -> BaseChatModel:
    """A chat model by name, `provider:name`.

    Raises:
        MissingExtraError: The package langchain or the provider's package is not installed.
        ConfigError: There is no such provider, or its key is not set.
    """
    if not installed("langchain"):
        raise MissingExtraError(
            f"the chat model {model!r} is opened by langchain, which is not installed: "
            "pip install langchain, and the provider's package, for example langchain-openai"
        )
    from langchain.chat_models import init_chat_model

    try:
        return init_chat_model(model)
    except ImportError as error:
        command = re.search(r"pip install [\w\"'\[\]-]+", str(error))
        raise MissingExtraError(
            f"the chat model {model!r} needs a package that is not installed: "
            f"{command[0] if command else shortened(error)}"
        ) from error
    except Exception as error:  # every provider has errors of its own for a missing key
        raise ConfigError(
            f"the chat model {model!r} cannot be opened: {shortened(error)}; it is written provider:name, and the "
            "provider's key is an environment variable"
        ) from error


def model_name(model: BaseChatModel) -> str:
    """What a chat model calls itself."""
    names = (getattr(model, name, None) for name in ("model_name", "model", "model_id"))
    return next((name for name in names if isinstance(name, str) and name), type(model).__name__)
