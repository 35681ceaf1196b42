"""Sparse codes in other engines, so that the latent view and hybrid search run there too; one file per engine.

`qdrant.SteeredQdrant`, `pgvector.SteeredPgvector` and `milvus.SteeredMilvus` write documents with their vectors and
codes and search them steered. They stand where an index stands: ``SteerableRetriever(index=..., view="hybrid")``.
"""

from ...errors import MissingExtraError
from ...extras import installed


def need(module: str, package: str) -> None:
    """Raise when the client of an engine is missing.

    Raises:
        MissingExtraError: The module is not installed.
    """
    if not installed(module):
        raise MissingExtraError(f"{module} is not installed: pip install {package}")
