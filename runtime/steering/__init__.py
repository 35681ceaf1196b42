"""From a request (boost, clamp) to a steered query."""
