"""What the latents of a bundle mean: read from documents, said in words, and measured on documents held out.

Read in this order: `reading` (documents as the bundle sees them), `evidence` (where each latent fires), `phrases` and
`labels` (what it is called), `trials` and `detection` (whether that is true), `token_model` and `neuron2graph` (whether
it fires, from words alone), `passages`, `occlusion`, `patterns` and `trie` (the words that matter), `pipeline` (all of
it in order), `entries` and `storage` (what is kept), `relabel` (other labels, tested the same way), `families`,
`positions`, `find`, `export` and `report` (for people), `edits` (by people).
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
