"""A chat model proposes labels; the better score wins."""
