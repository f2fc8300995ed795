"""The control socket's server: who may ask, one bounded request, the answer."""
