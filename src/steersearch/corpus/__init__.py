"""Documents to train on, to index and to evaluate with: files read as a stream, without torch."""

from .documents import Corpus, Document
from .pairs import read_pairs, read_qrels, read_queries
from .pydocs import python_documentation

__all__ = ["Corpus", "Document", "python_documentation", "read_pairs", "read_qrels", "read_queries"]
