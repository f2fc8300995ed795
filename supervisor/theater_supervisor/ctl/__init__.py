"""theaterctl: a file for each command."""
