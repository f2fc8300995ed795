"""Tests of what makes a component."""
