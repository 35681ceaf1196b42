"""The documents of an index in SQLite, with vectors, sparse codes, checksums and caches."""
