"""The views of an index, nearest-neighbour search, and rank fusion."""
