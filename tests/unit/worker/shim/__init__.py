"""The injected shim: the binary it goes into, the shapes it takes, and what its calls answer."""
