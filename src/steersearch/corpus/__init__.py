"""Documents to train on, to index and to evaluate with, read as a stream and without torch.

`documents` has the corpus, `formats` the table of file formats, `chunks` cuts long documents.
"""

from .documents import Corpus, Document
from .pairs import read_pairs, read_qrels, read_queries
from .pydocs import python_documentation

__all__ = ["Corpus", "Document", "python_documentation", "read_pairs", "read_qrels", "read_queries"]
