"""What is said of data that belongs to no actor."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import trio
from structlog.testing import capture_logs

from theater_supervisor.app import new_surroundings
from theater_supervisor.member import Member
from theater_supervisor.roster import Roster


def member(seq: int) -> Member:
    """As much of a member as is looked at: its journal's head."""
    return cast(Member, SimpleNamespace(journal=SimpleNamespace(head=SimpleNamespace(seq=seq))))


@pytest.mark.parametrize(
    ("seq", "kept", "warned"),
    [(0, "old", True), (5, "old", False), (0, "new", False), (0, ".old.123", False)],
    ids=["renamed", "has a history", "its own data", "what a purge left"],
)
def test_a_renamed_actor_is_warned_of(tmp_path: Path, seq: int, kept: str, warned: bool) -> None:
    """One that begins with nothing beside data of no actor, and what to do."""
    (tmp_path / "data" / kept).mkdir(parents=True)
    (tmp_path / "data" / kept / "journal.db").touch()

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            roster = Roster(nursery, new_surroundings(tmp_path), on_failure=lambda _error: None)
            roster.members["new"] = member(seq)
            roster.warn_of_orphans()

    with capture_logs() as logs:
        trio.run(work)
    assert [(one["event"], one["kept"], one["new"]) for one in logs] == (
        [("data_without_actor", ["old"], ["new"])] if warned else []
    )
