"""A real supervisor, or a real gateway, and real clients."""
