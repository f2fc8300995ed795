"""Tests of replay: where it begins and what it compares."""
