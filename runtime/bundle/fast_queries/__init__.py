"""Queries without a transformer: a table of token vectors, fitted to the embedder's own query vectors.

Read `table` (text to vector) first, then `storage` (its file in the bundle).
"""
