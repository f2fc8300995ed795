"""When a silent client is pinged, and when it is gone."""

import pytest

from theater_supervisor.gateway.connection.keepalive import Due, Keepalive


@pytest.mark.parametrize(
    ("interval_s", "timeout_s", "asked", "answers"),
    [
        (20, 20, [(0, False)], [Due(None, 20)]),
        (20, 20, [(20, False), (40, False)], [Due("ping", 20), Due("gone", 0)]),
        (20, 20, [(20, False), (40, True)], [Due("ping", 20), Due("ping", 20)]),
        (20, 5, [(20, False), (25, False)], [Due("ping", 5), Due("gone", 0)]),
        (20, 5, [(20, False), (25, True), (40, True)], [Due("ping", 5), Due(None, 15), Due("ping", 5)]),
        (
            5,
            12,
            [(5, False), (10, False), (15, False), (17, False)],
            [Due("ping", 5), Due("ping", 5), Due("ping", 2), Due("gone", 0)],
        ),
        (5, 12, [(5, False), (10, True), (15, False)], [Due("ping", 5), Due("ping", 5), Due("ping", 5)]),
        (20, 0, [(20, False), (40, False), (60, False)], [Due("ping", 20)] * 3),
    ],
)
def test_pings_are_due_and_silence_ends(
    interval_s: float, timeout_s: float, asked: list[tuple[float, bool]], answers: list[Due]
) -> None:
    """A ping every interval; gone when nothing was heard for the timeout after one; never with timeout 0."""
    keepalive = Keepalive(interval_s, timeout_s, now_s=0)
    assert [keepalive.ask(now_s, heard=heard) for now_s, heard in asked] == answers


def test_an_answer_is_told_from_the_pongs_that_are_the_actors() -> None:
    """Every payload is new, each of them is recognised, and nobody else's is."""
    keepalive, other = Keepalive(1, 1, 0), Keepalive(1, 1, 0)
    payloads = [keepalive.payload() for _ in range(3)]
    assert len(set(payloads)) == 3
    assert all(keepalive.is_answer(payload) for payload in payloads)
    assert not keepalive.is_answer(other.payload())
    assert not keepalive.is_answer(b"")
