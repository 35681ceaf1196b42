"""Which words of a document a score comes from: `parts.Words`, made by `in_words`."""
