def test_x(tiny_embedder): assert tiny_embedder.is_dir()
