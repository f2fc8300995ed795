"""How a client that sends too fast is slowed, and when it is given up."""

import pytest

from theater_supervisor.gateway.connection.limits import RateLimit
from theater_supervisor.gateway.connection.rate import RateExceeded, RateLimiter

LIMIT = RateLimit(messages_per_s=10, burst=5, patience_s=3)


def test_a_burst_passes_and_then_the_rate_is_kept() -> None:
    """Five at once are free, each one after that waits for a tenth of a second more."""
    limiter = RateLimiter(LIMIT, 0)
    assert [limiter.take(0) for _ in range(7)] == pytest.approx([0, 0, 0, 0, 0, 0.1, 0.2])


def test_who_keeps_to_the_rate_is_never_slowed() -> None:
    """Ten a second for a minute."""
    limiter = RateLimiter(LIMIT, 0)
    assert {limiter.take(number / 10) for number in range(600)} == {0}


def test_who_presses_on_for_longer_than_the_patience_is_given_up() -> None:
    """Obeying the waits, but always with the next message ready."""
    limiter, now_s = RateLimiter(LIMIT, 0), 0.0
    try:
        for _ in range(1000):
            now_s += limiter.take(now_s)
    except RateExceeded:
        pass
    assert now_s == pytest.approx(3, abs=0.3)


def test_a_pause_starts_anew() -> None:
    """Bursts, each after as long a pause as fills the bucket, go on for ever."""
    limiter, now_s = RateLimiter(LIMIT, 0), 0.0
    for _ in range(100):
        for _ in range(8):
            now_s += limiter.take(now_s)
        now_s += 1
