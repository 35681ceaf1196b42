"""The views of an index, nearest neighbours, and how results are joined."""
