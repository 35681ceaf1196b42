"""The table of hostile inputs: a name, what is run, what must come of it, and the marks and limits that differ.

A row is written for what must be.
"""

from . import table_bundles, table_commands, table_documents, table_indexes
from .hostile import ROWS

PARTS = (table_documents, table_bundles, table_indexes, table_commands)
"""The modules whose rows are in `ROWS`."""
__all__ = ["PARTS", "ROWS"]
