"""Where a commit runs: quick ones on the event loop, within bounds, everything else in a thread."""

from theater_supervisor.journal.pace import QUICK_ENTRIES, QUICK_S, Pace


def test_a_small_commit_runs_on_the_loop() -> None:
    """An idle supervisor on a quick disk answers without a thread."""
    assert Pace().allows(QUICK_ENTRIES, now_s=1.0)


def test_a_large_commit_runs_in_a_thread() -> None:
    """Work that would hold up the others is never done on the loop."""
    assert not Pace().allows(QUICK_ENTRIES + 1, now_s=1.0)


def test_the_loop_is_held_up_for_half_of_its_time_at_most() -> None:
    """With many actors' commits following each other, threads take what is over the budget."""
    pace = Pace()
    now_s, on_loop_s = 0.0, 0.0
    while now_s < 10.0:
        if pace.allows(1, now_s):
            pace.used(1, 0.0004, on_loop=True)
            on_loop_s += 0.0004
        now_s += 0.0004
    assert 4.0 < on_loop_s < 5.1


def test_a_slow_disk_is_left_to_threads_until_it_is_quick_again() -> None:
    """Three stalls in a row are enough to leave the loop; quick commits in threads lead back."""
    pace = Pace()
    assert pace.allows(1, now_s=1.0)
    for _ in range(3):
        pace.used(1, 0.030, on_loop=True)
    assert not pace.allows(1, now_s=100.0)
    for _ in range(20):
        pace.used(1, QUICK_S / 4, on_loop=False)
    assert pace.allows(1, now_s=101.0)


def test_neighbours_that_take_the_processor_now_and_then_are_no_slow_disk() -> None:
    """One commit in eight takes ten times as long as a thread would be worth: the loop keeps the others."""
    pace = Pace()
    for number in range(80):
        assert pace.allows(1, now_s=float(number))
        pace.used(1, 0.010 if number % 8 == 7 else QUICK_S / 4, on_loop=True)


def test_a_stall_uses_up_the_budget_for_the_moment() -> None:
    """However it came about, the loop was held up: what comes right after it is for threads."""
    pace = Pace()
    assert pace.allows(1, now_s=1.0)
    pace.used(1, 0.030, on_loop=True)
    assert not pace.allows(1, now_s=1.001)
    assert pace.allows(1, now_s=2.0)
