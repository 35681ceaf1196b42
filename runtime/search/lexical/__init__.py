"""Search by words, and the words of documents as evidence."""
