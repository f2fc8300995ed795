"""Tests over random inputs and random courses of events."""
