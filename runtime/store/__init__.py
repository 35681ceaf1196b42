"""Documents, vectors and codes in SQLite, and the files beside it."""
