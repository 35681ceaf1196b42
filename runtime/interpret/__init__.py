"""Interpretation of a bundle's latents: labels, patterns and examples from documents, scored on held-out documents.

Read in this order: `encoded_documents` (where each latent fires), `labels` (phrases for a latent), `scoring` (how well
a label predicts firing), `neuron2graph` (the same prediction from words alone), `passages` and `occlusion` (the
strongest sentences and their salient words), `families`, `tree` and `positions` (which latents belong together),
`pipeline` (all of it in order), `storage` (the files in the bundle), `report` and `export` (for people and other
programs). The records themselves and the reading of them are in `bundle/interpretation`, since a bundle opens them too.
"""

from ..bundle.interpretation import Entry, Interpretation, Passage, Pattern
from .neuron2graph import Neuron2Graph
from .pipeline import interpret
from .storage import read_graph, read_interpretation, save

__all__ = [
    "Entry",
    "Interpretation",
    "Neuron2Graph",
    "Passage",
    "Pattern",
    "interpret",
    "read_graph",
    "read_interpretation",
    "save",
]
