"""Fit a sparse autoencoder over sentence embeddings (extra ``train``)."""
