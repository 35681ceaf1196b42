"""The models behind `training.embedding.Embedder`, one file per kind.

Read in this order: `model` (what every kind has), `folders` (which kind a folder is), `transformer`, `static`, `graph`.
"""
