"""That README and docs are true: what they show is run, what they list is what the code has."""
