"""All tests; what is tested with what is in the folders' names."""
