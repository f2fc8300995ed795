"""How times, sizes, names and tables are shown."""

import pytest

from theater_supervisor.ctl.explain import explanation
from theater_supervisor.ctl.status import status_lines
from theater_supervisor.ctl.tables import Column, duration, lines_of, print_table, size, text_width
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


COLUMNS = [Column("NAME"), Column("N", number=True, goes=2), Column("M", goes=1), Column("NOTE", cut_to=6)]
ROWS = [["chat", "1000", "mm", "it is quite a long note"], ["日本", "2", "m", ""]]


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (None, ["NAME     N  M   NOTE", "chat  1000  mm  it is quite a long note", "日本     2  m"]),
        (40, ["NAME     N  M   NOTE", "chat  1000  mm  it is quite a long note", "日本     2  m"]),
        (30, ["NAME     N  M   NOTE", "chat  1000  mm  it is quite a…", "日本     2  m"]),
        (20, ["NAME  M   NOTE", "chat  mm  it is qui…", "日本  m", "--wide shows also N"]),
        (14, ["NAME  NOTE", "chat  it is q…", "日本", "--wide shows …"]),
        (8, ["NAME  N…", "chat  i…", "日本", "--wide …"]),
    ],
    ids=str,
)
def test_a_table_fits_or_drops_columns(room: int | None, expected: list[str]) -> None:
    """What may be cut is cut first, then columns go, the least important first; no line is ever broken."""
    lines = lines_of(COLUMNS, ROWS, room)
    assert lines == expected
    assert room is None or all(text_width(line) <= room for line in lines)


@pytest.mark.parametrize("room", range(16, 220, 8))
def test_the_status_never_wraps(room: int) -> None:
    """Whatever the terminal, each line fits; name, state and note are always there."""
    actor = {
        "name": "a-name-as-long-as-many",
        "state": "waiting",
        "pid": 4_000_000,
        "uptime_s": 90_000.0,
        "restarts_in_period": 10,
        "restarts": 1000,
        "connections": 1024,
        "max_connections": 1024,
        "received_per_s": 10_000.0,
        "sent_per_s": 10_000.0,
        "errors_per_s": 120.5,
        "p99_ms": 1234.56,
        "rss_bytes": 1 << 31,
        "sandbox_level": 2,
        "queue": 10_000,
        "seq": 123_456_789,
        "head": "0" * 64,
        "note": "next try in 3.0 s; killed by SIGKILL\x1b[2J\tand more",
    }
    seen = {
        "version": "0.1.0",
        "phase": "serving",
        "pid": 4_000_000,
        "at_us": 100_000_000,
        "started_at_us": 0,
        "rss_bytes": 1 << 31,
        "loop_lag_ms": 1234.5,
        "preparing": [],
        "actors": [actor],
    }
    _, head, row, *_ = status_lines(seen, room)
    assert all(text_width(line) <= room for line in status_lines(seen, room))
    if room >= 80:
        assert {"NAME", "STATE", "NOTE"} <= set(head.split())
        assert "a-name-as-long-as-many  waiting" in row
    assert "\x1b" not in "".join(status_lines(seen, None))


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
    actor = {"name": "chat", "state": "held", "note": "", "exits": [end], "failures": [], "next_try_s": None}
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
    failure = {
        "at_us": 1_700_000_001_000_000,
        "incarnation": 3,
        "kind": "text",
        "connection": 7,
        "seq": 17,
        "outcome": "err",
        "reason": "ValueError: no such room",
        "error": "1a2b3c4d",
    }
    actor = {
        "name": "chat",
        "state": state,
        "note": "a note",
        "incarnation": 4,
        "uptime_s": 2.0,
        "next_try_s": 3.0,
        "exits": [end],
        "failures": [failure],
        "errors": 12,
        "errors_per_s": 1.5,
    }
    assert explanation(actor)[1:] == [
        "  2023-11-14 22:13:20 UTC  worker chat/3, pid 812: killed by SIGKILL",
        "    it had lived 1m01s, never ready",
        "    in hand: text of connection 7",
        "    its last lines:",
        "      last words",
        "    then: restart at once",
        "  12 events failed, 1.5 a second now; the last ones:",
        "    2023-11-14 22:13:21 UTC  text of connection 7, seq 17: err: ValueError: no such room; "
        "the client was shown [1a2b3c4d]",
        f"  now: {NEXT[state]}",
    ]
