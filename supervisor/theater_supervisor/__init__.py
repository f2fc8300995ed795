"""The supervisor process: connections, actors, their journals and what an operator touches."""
