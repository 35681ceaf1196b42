"""Beside the graphs: documents that share a node, a test of recall, and checks of files before a library reads them."""
