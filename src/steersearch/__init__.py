"""Dense retrieval that people can read and steer.

Four parts, whose imports point one way: ``training <- export -> runtime <- integrations``.

* `steersearch.training` fits a sparse autoencoder over sentence embeddings (extra ``train``).
* `steersearch.export` turns a checkpoint into a verified ONNX bundle (extra ``export``).
* `steersearch.runtime` searches and steers with a bundle, without torch (base install).
* `steersearch.integrations` brings that search into LangChain and other frameworks (one extra each).

`steersearch.cli` is the command line over all of them. The modules beside this file are their ground floor and import
nothing of the parts. Nothing heavy is imported here, so that ``import steersearch`` stays cheap; the telemetry of other
libraries is switched off here, since every module of ours is imported after this one.

The names that people type can be imported from here, ``from steersearch import SteerableIndex``; each comes from its
part when it is first asked for, and those of an extra need that extra.
"""

import warnings
from typing import TYPE_CHECKING, Any

from .telemetry import switch_off

if TYPE_CHECKING:
    from .corpus import python_documentation as python_documentation
    from .errors import SteeringWarning as SteeringWarning
    from .errors import SteersearchError as SteersearchError
    from .export import export_bundle as export_bundle
    from .export import export_pretrained as export_pretrained
    from .integrations.langchain import SteerableRetriever as SteerableRetriever
    from .integrations.langchain import SteerableVectorStore as SteerableVectorStore
    from .runtime import Boost as Boost
    from .runtime import Bundle as Bundle
    from .runtime import Concept as Concept
    from .runtime import Explanation as Explanation
    from .runtime import Feature as Feature
    from .runtime import Features as Features
    from .runtime import Hit as Hit
    from .runtime import Hits as Hits
    from .runtime import Key as Key
    from .runtime import Profile as Profile
    from .runtime import Request as Request
    from .runtime import SteerableIndex as SteerableIndex
    from .runtime import SteeredQuery as SteeredQuery
    from .runtime import Steering as Steering
    from .runtime import Strength as Strength
    from .runtime import understand as understand
    from .training import SaeConfig as SaeConfig
    from .training import TrainConfig as TrainConfig
    from .training import train as train

__version__ = "0.1.0"

# A test compares this with the imports above, which type checkers read.
_PLACES = {
    "corpus": "python_documentation",
    "errors": "SteeringWarning SteersearchError",
    "export": "export_bundle export_pretrained",
    "integrations.langchain": "SteerableRetriever SteerableVectorStore",
    "runtime": "Boost Bundle Concept Explanation Feature Features Hit Hits Key Profile Request SteerableIndex "
    "SteeredQuery Steering Strength understand",
    "training": "SaeConfig TrainConfig train",
}
_FROM = {name: place for place, names in _PLACES.items() for name in names.split()}

switch_off()
# In a notebook without ipywidgets tqdm, which others import, says so with a path of the machine. Its bars show anyway.
warnings.filterwarnings("ignore", "IProgress not found")


def __getattr__(name: str) -> Any:
    """Import a name of one of the parts when it is first asked for."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    globals()[name] = value = getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
    return value


def __dir__() -> list[str]:
    """List the names that are not imported yet too, for completion."""
    return sorted({*globals(), *_FROM})
