"""Tests of theaterctl."""
