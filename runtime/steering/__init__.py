"""The path from a steering request (boost, clamp) to a steered query."""
