"""Search and steer with a bundle, without torch."""
