"""How times, sizes, names and tables are shown."""

import pytest

from theater_supervisor.ctl.explain import explanation
from theater_supervisor.ctl.tables import Column, duration, print_table, size
from theater_supervisor.names import UnknownName, choose


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (59.4, "59s"),
        (61, "1m01s"),
        (3720, "1h02m"),
        (90000, "1d01h"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    """In the two largest units that matter."""
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (3 << 20, "3.0 MiB"),
        (5 << 40, "5120.0 GiB"),
    ],
)
def test_sizes(octets: int | None, shown: str) -> None:
    """In the largest unit that has a whole one."""
    assert size(octets) == shown


def test_a_table_is_plain_columns_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Words to the left, numbers to the right, no colours, nothing after the last cell."""
    print_table(
        [Column("NAME"), Column("N", number=True), Column("NOTE")], [["a", "10", ""], ["bc", "9", "x"]]
    )
    assert capsys.readouterr().out == "NAME   N  NOTE\na     10\nbc     9  x\n"


def test_names_are_chosen_or_met_with_the_nearest() -> None:
    """None is all of them, repetitions count once, what is unknown is told with what was meant."""
    known = ["chat", "echo"]
    assert choose([], known) == ["chat", "echo"]
    assert choose(["echo", "chat", "echo"], known) == ["echo", "chat"]
    with pytest.raises(UnknownName, match="no actor named 'chta': did you mean 'chat'"):
        choose(["echo", "chta"], known)
    with pytest.raises(UnknownName, match="there are chat, echo"):
        choose(["zzzzzz"], known)
    with pytest.raises(UnknownName, match="there is none"):
        choose(["chat"], [])


NEXT = {
    "starting": "a worker is being started",
    "waiting": "the next worker is due in 3.0s; events are kept meanwhile",
    "held": "clients are refused; probed in 3.0s; `theaterctl reset chat` starts it afresh",
    "ended": "there will be no next worker; `theaterctl start chat` starts one",
    "stopped": "the operator stopped it; `theaterctl start chat` starts it",
    "recovering": "it waits for its journal: is the disk full? see supervisor.log",
    "ready": "worker chat/4 serves, since 2.0s",
}


def test_who_is_held_for_the_sandbox_waits_for_the_operator() -> None:
    """Nothing probes it, and so the explanation says."""
    end = {"at_us": 0, "incarnation": 1, "pid": 8, "class": "sandbox_violated", "how": "killed by SIGSYS"}
    end |= {"lived_s": 1.0, "ready_s": 0.5, "in_hand": "", "lines": [], "then": "held"}
    actor = {"name": "chat", "state": "held", "note": "", "exits": [end], "next_try_s": None}
    expected = "  now: clients are refused, and nothing is tried; `theaterctl reset chat` starts it afresh"
    assert explanation(actor)[-1] == expected


@pytest.mark.parametrize("state", NEXT)
def test_an_explanation_tells_the_past_and_what_comes(state: str) -> None:
    """When, how, how long it lived, what it had in hand, its last lines, what was decided, and now."""
    end = {
        "at_us": 1_700_000_000_000_000,
        "incarnation": 3,
        "pid": 812,
        "class": "killed",
        "how": "killed by SIGKILL",
        "lived_s": 61.0,
        "ready_s": None,
        "in_hand": "text of connection 7",
        "lines": ["last words"],
        "then": "restart at once",
    }
    actor = {
        "name": "chat",
        "state": state,
        "note": "a note",
        "incarnation": 4,
        "uptime_s": 2.0,
        "next_try_s": 3.0,
        "exits": [end],
    }
    assert explanation(actor)[1:] == [
        "  2023-11-14 22:13:20 UTC  worker chat/3, pid 812: killed by SIGKILL",
        "    it had lived 1m01s, never ready",
        "    in hand: text of connection 7",
        "    its last lines:",
        "      last words",
        "    then: restart at once",
        f"  now: {NEXT[state]}",
    ]
