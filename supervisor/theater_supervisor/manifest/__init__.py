"""What is configured: a directory of TOML files, read and checked whole before anything starts."""
