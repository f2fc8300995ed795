"""One connection that is open: its frames, messages, bounds and end."""
