"""What pages are told: a function for each question, from a `Studio` and a state to JSON values."""
