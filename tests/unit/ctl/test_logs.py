"""How lines of logs are shown."""

import json

from theater_supervisor.ctl.logs import event_lines


def test_an_event_is_shown_as_people_read_it() -> None:
    """Time, level, event, then the fields; a traceback below, and nothing that acts on a terminal."""
    event = {
        "actor": "chat\x1b[2J",
        "reason": "it \u202e was full",
        "count": 3,
        "names": ["a"],
        "exception": "Traceback\n  ValueError: \x9b",
        "event": "worker_ended",
        "level": "warning",
        "timestamp": "2026-11-22T19:07:02.123456Z",
    }
    assert event_lines(json.loads(json.dumps(event))) == [
        "2026-11-22T19:07:02.123456Z  warning   worker_ended  "
        'actor=chat\\x1b[2J  reason="it \\u202e was full"  count=3  names=["a"]',
        "  Traceback",
        "    ValueError: \\x9b",
    ]


def test_an_event_without_its_fields_is_shown_all_the_same() -> None:
    """Whatever is in the file."""
    assert event_lines({}) == [f"{'-':27}  {'-':8}  -"]
