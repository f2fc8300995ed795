"""Tests of how the worker hosts components of interface 2."""
