"""Embedders from outside, for a bundle that has none: `embedder=` of `Bundle.load` and of `SteerableIndex.open`."""
