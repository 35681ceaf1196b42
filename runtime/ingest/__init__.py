"""Documents on their way into an index."""
