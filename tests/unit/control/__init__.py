"""Tests of the control socket's server."""
