"""Log lines that peers cause: how long, how many, and what becomes of the rest."""

from collections.abc import Iterator
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from theater_supervisor.logs.peer_log import MAX_SHOWN, PeerLog, PeerLogRates


class Clock:
    """A time that is set."""

    now_s = 0.0

    def __call__(self) -> float:
        """Return it."""
        return self.now_s


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """Give what is logged."""
    with capture_logs() as logged:
        yield logged


def test_a_long_field_is_cut(lines: list[Any]) -> None:
    """Wherever it comes from; numbers are as they are."""
    log = PeerLog(PeerLogRates(Clock())).bind(remote="r" * 1000)
    log.info("refused", note="n" * (MAX_SHOWN + 1), status=403)
    assert lines == [
        {
            "event": "refused",
            "log_level": "info",
            "remote": "r" * MAX_SHOWN + "…",
            "note": "n" * MAX_SHOWN + "…",
            "status": 403,
        }
    ]


def test_a_flood_of_a_kind_is_counted_and_costs_the_other_kinds_nothing(lines: list[Any]) -> None:
    """However many peers cause it, and whatever is in it; a pause brings lines again."""
    clock = Clock()
    rates = PeerLogRates(clock)
    for number in range(2000):
        PeerLog(rates).bind(remote=str(number)).info("refused", note="n" * MAX_SHOWN)
    written = len(lines)
    assert 100 < written < 500
    PeerLog(rates).warning("failed")
    assert lines[-1] == {"event": "failed", "log_level": "warning"}
    rates.report()
    assert lines[-1] == {
        "event": "lines_suppressed",
        "log_level": "warning",
        "of": "refused",
        "count": 2000 - written,
    }
    lines.clear()
    rates.report()
    assert not lines
    clock.now_s = 60
    PeerLog(rates).info("refused")
    assert [line["event"] for line in lines] == ["refused"]


def test_what_was_left_out_is_told_soon(lines: list[Any]) -> None:
    """Within ten seconds, and at the end."""

    async def main() -> None:
        rates = PeerLogRates()
        log = PeerLog(rates)

        def flood() -> None:
            for _ in range(1000):
                log.info("refused")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(rates.keep_reporting)
            flood()
            await trio.sleep(10.1)
            assert lines[-1]["event"] == "lines_suppressed"
            flood()
            nursery.cancel_scope.cancel()
        assert lines[-1]["event"] == "lines_suppressed"
        told = sum(line["count"] for line in lines if line["event"] == "lines_suppressed")
        assert told + sum(line["event"] == "refused" for line in lines) == 2000

    trio.run(main, clock=MockClock(autojump_threshold=0))
