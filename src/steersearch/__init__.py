"""Dense retrieval that people can read and steer.

Four parts, whose imports point one way: ``training <- export -> runtime <- integrations``.

* `steersearch.training` fits a sparse autoencoder over sentence embeddings (extra ``train``).
* `steersearch.export` turns a checkpoint into a verified ONNX bundle (extra ``export``).
* `steersearch.runtime` searches and steers with a bundle, without torch (base install).
* `steersearch.integrations` brings that search into LangChain and other frameworks (one extra each).

`steersearch.cli` is the command line over all of them. The modules beside this file are their ground floor and import
nothing of the parts. Nothing heavy is imported here, so that ``import steersearch`` stays cheap; the telemetry of other
libraries is switched off here, since every module of ours is imported after this one.
"""

from .telemetry import switch_off

__version__ = "0.1.0"

switch_off()
