"""Steered search inside other frameworks and engines; one file or folder each.

`adapter` is what the adapters of frameworks have in common, `agents` the two tools for agents, `engines` the engines
that hold vectors or codes, and `optional` what is said where a package is missing.
"""
