"""Tests of a worker's lines."""
