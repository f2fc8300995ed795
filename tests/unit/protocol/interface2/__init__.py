"""Tests of the second version of the interface, as the protocol has it."""
