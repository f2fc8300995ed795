"""Tests of an open connection."""
