"""The neighbours of a busy machine: one for each processor, in sessions of their own, gone afterwards."""

import os

import pytest
from benchmarks.neighbours import neighbours


def test_neighbours_are_there_for_as_long_as_something_is_measured() -> None:
    """One for each processor, and each leads a session, as another service does."""
    with neighbours("busy") as pids:
        assert len(pids) == len(os.sched_getaffinity(0))
        assert all(os.getsid(pid) == pid for pid in pids)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_quiet_machine_has_none() -> None:
    """It is measured as it is."""
    with neighbours("quiet") as pids:
        assert not pids
