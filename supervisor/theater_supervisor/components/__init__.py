"""From source to compiled component: built, compiled, and checked before it is served."""
