"""The worker, mostly as the real process."""
