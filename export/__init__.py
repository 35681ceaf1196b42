"""Turn a checkpoint into a verified ONNX bundle (extra ``export``)."""
