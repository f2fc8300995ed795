"""The gateway's pure modules."""
