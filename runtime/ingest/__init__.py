"""Adding documents to an index: from any source, in chunks, in shards, and with codes."""
