"""The supervisor process: connections, actors, their journals and what an operator touches."""

__version__ = "0.1.0"
