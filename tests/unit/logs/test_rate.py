"""The rate of a log: a burst, then what comes back, in few gaps."""

from hypothesis import given
from hypothesis import strategies as st

from theater_supervisor.logs.rate import LogRate


def test_a_burst_passes_and_then_a_second_is_waited_for() -> None:
    """Once the burst is spent nothing passes until a second's worth is back, and then that passes."""
    rate = LogRate(bytes_per_s=100, burst_bytes=300)
    assert rate.allows(0.0)
    rate.spend(300)
    assert [rate.allows(now_s) for now_s in (0.0, 0.5, 0.99, 1.0)] == [False, False, False, True]
    rate.spend(50)
    assert rate.allows(1.0)
    rate.spend(50)
    assert not rate.allows(1.0)


def test_a_debt_is_paid_first() -> None:
    """Bytes beyond the burst take their time to come back, and a quiet log has its whole burst again."""
    rate = LogRate(bytes_per_s=100, burst_bytes=300)
    rate.spend(500)
    assert [rate.allows(now_s) for now_s in (1.0, 2.9, 3.1)] == [False, False, True]
    assert rate.allows(1000.0)
    rate.spend(299)
    assert rate.allows(1000.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 1000)), max_size=200))
def test_what_passes_is_bounded(chunks: list[tuple[float, int]]) -> None:
    """In any time no more passes than the burst, what came back, and the last chunk."""
    rate, now_s, passed = LogRate(bytes_per_s=100, burst_bytes=300), 0.0, 0
    for wait_s, octets in chunks:
        now_s += wait_s
        if rate.allows(now_s):
            rate.spend(octets)
            passed += octets
    assert passed <= 300 + 100 * now_s + 1000
