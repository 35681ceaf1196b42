"""Dense retrieval that people can read and steer.

Four parts, one arrow: ``training <- export -> runtime <- integrations``.

* `steersearch.training` fits a sparse autoencoder over sentence embeddings (extra ``train``).
* `steersearch.export` turns a checkpoint into a verified ONNX bundle (extra ``export``).
* `steersearch.runtime` searches and steers with a bundle, without torch (base install).
* `steersearch.integrations` brings that search into LangChain (extra ``langchain``).

Nothing is imported here, so that ``import steersearch`` stays cheap everywhere.
"""

__version__ = "0.1.0"
