"""The wall clock's steps against the clock that no one sets, and an actor's time on top of both."""

from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from theater_supervisor.clock import BELIEVED_AFTER_US, SETTLED_AFTER_US, ActorClock, WallClock

START_US = 1_700_000_000_000_000
TEN_YEARS_US = 315_360_000_000_000
SECOND_US = 1_000_000


@dataclass
class Machine:
    """Two clocks in a test's hands."""

    wall: int = START_US
    boot: int = 5 * SECOND_US

    def passes(self, us: int) -> None:
        """Let time pass on both."""
        self.wall += us
        self.boot += us

    def clock(self) -> WallClock:
        """Return a clock of this machine."""
        return WallClock(lambda: self.wall, lambda: self.boot)


@pytest.mark.parametrize("step_us", [TEN_YEARS_US, -TEN_YEARS_US], ids=["ahead", "back"])
def test_a_moment_of_a_wrong_clock_is_not_believed(step_us: int) -> None:
    """Time goes on from where it was, and is said to; then nothing was."""
    machine = Machine()
    clock = machine.clock()
    machine.wall += step_us
    with capture_logs() as logs:
        machine.passes(SECOND_US)
        assert clock.now_us() == START_US + SECOND_US
        assert not clock.settled()
        machine.wall -= step_us
        machine.passes(SECOND_US)
        assert clock.now_us() == START_US + 2 * SECOND_US
    assert [one["event"] for one in logs] == ["clock_stepped", "clock_step_ignored"]


def test_a_step_that_lasts_is_believed_and_settles_later() -> None:
    """For stamps after a minute, for dropping history after an hour more."""
    machine = Machine()
    clock = machine.clock()
    machine.passes(SETTLED_AFTER_US)
    assert clock.settled()
    machine.wall += TEN_YEARS_US
    clock.now_us()
    machine.passes(BELIEVED_AFTER_US)
    assert clock.now_us() == machine.wall
    assert not clock.settled()
    machine.passes(SETTLED_AFTER_US)
    assert clock.settled()


def test_small_corrections_and_a_suspended_machine_are_no_steps() -> None:
    """Both clocks go on while the machine sleeps."""
    machine = Machine()
    clock = machine.clock()
    with capture_logs() as logs:
        for _ in range(100):
            machine.wall += SECOND_US // 2
            machine.passes(SECOND_US)
            assert clock.now_us() == machine.wall
        machine.passes(30 * 86_400 * SECOND_US)
        assert clock.now_us() == machine.wall
    assert logs == []


def test_nothing_is_settled_right_after_a_start() -> None:
    """What the clock was before is not known."""
    assert not Machine().clock().settled()


def test_an_actors_time_goes_back_only_when_it_recovers() -> None:
    """It stands still while ahead; a second ahead is no reason to go back."""
    machine = Machine()
    actor = ActorClock(START_US + TEN_YEARS_US, machine.clock())
    machine.passes(SECOND_US)
    assert actor.now_us() == START_US + TEN_YEARS_US
    assert actor.recover() == TEN_YEARS_US - SECOND_US
    assert actor.now_us() == machine.wall
    assert ActorClock(machine.wall + SECOND_US, machine.clock()).recover() == 0
