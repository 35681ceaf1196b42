"""Names of features."""
