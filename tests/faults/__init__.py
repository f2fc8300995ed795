"""Campaigns: faults injected again and again, and everything accounted for afterwards."""
