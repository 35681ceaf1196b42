"""Requests in plain words: what a text asks for, wishes for and excludes."""
