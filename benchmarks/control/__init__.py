"""Does steering bring what was asked for, and keep what the query is about? Against every baseline there is."""
