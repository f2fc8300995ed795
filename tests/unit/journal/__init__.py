"""Tests of the journal's parts, and the model and script that other journal tests share."""
