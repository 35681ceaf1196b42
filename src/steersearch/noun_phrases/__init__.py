"""Noun phrases of English texts, without a model: what names of features are made of."""

from .phrases import NounPhrases, Phrase

__all__ = ["NounPhrases", "Phrase"]
