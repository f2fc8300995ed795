"""Tests of one worker process."""
