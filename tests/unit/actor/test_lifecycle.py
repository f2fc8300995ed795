"""An actor's states: what a worker's end and an operator's wish make of them, on virtual time."""

from collections.abc import Awaitable, Callable

import pytest
import structlog
import trio
import trio.testing

from theater_supervisor.actor.lifecycle import Lifecycle
from theater_supervisor.manifest.tables import RestartPolicy
from theater_supervisor.process.exit import EXITS_KEPT, CannotStart, Exit, Exited, Stopped

DEATH = Exit(Exited(1), pid=7)


def run(scenario: Callable[[Lifecycle], Awaitable[None]], **policy: object) -> None:
    """Run a scenario with a lifecycle whose delays are not shortened; time passes when nothing else does."""

    async def main() -> None:
        lifecycle = Lifecycle(
            RestartPolicy.model_validate(policy), structlog.get_logger(), chance=lambda: 0.0
        )
        await scenario(lifecycle)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def live(lifecycle: Lifecycle, ended: Exit = DEATH) -> None:
    """Let a worker come and go."""
    lifecycle.starting()
    if not isinstance(ended.how, CannotStart):
        lifecycle.ready()
    lifecycle.ended(1, ended, "", ())


async def waited_s(lifecycle: Lifecycle) -> float:
    """Wait until the next worker is due; return for how long."""
    begin_s = trio.current_time()
    while not lifecycle.due():
        await lifecycle.wait()
    return trio.current_time() - begin_s


def test_delays_and_holds_take_their_time() -> None:
    """At once, a delay, then held until the probe; clients are told how long, and let in once it is ready."""

    async def scenario(lifecycle: Lifecycle) -> None:
        assert (lifecycle.state, lifecycle.due()) == ("starting", True)
        live(lifecycle)
        assert (lifecycle.state, await waited_s(lifecycle)) == ("waiting", 0.0)
        live(lifecycle)
        assert lifecycle.next_try_s == pytest.approx(0.25)
        assert lifecycle.retry_after_s is None
        assert await waited_s(lifecycle) == pytest.approx(0.25)
        live(lifecycle)
        assert (lifecycle.state, lifecycle.retry_after_s) == ("held", 300)
        await trio.sleep(100.5)
        assert lifecycle.retry_after_s == 200
        assert await waited_s(lifecycle) == pytest.approx(199.5)
        lifecycle.starting()
        assert (lifecycle.state, lifecycle.retry_after_s) == ("held", 5)
        lifecycle.ready()
        assert (lifecycle.state, lifecycle.retry_after_s) == ("ready", None)

    run(scenario, intensity=2)


def test_trouble_of_the_host_ends_no_hold() -> None:
    """While no process can be had the actor stays held, and is tried again by the host's own delays."""

    async def scenario(lifecycle: Lifecycle) -> None:
        live(lifecycle)
        await waited_s(lifecycle)
        live(lifecycle, Exit(CannotStart("EAGAIN")))
        assert lifecycle.state == "held"
        assert await waited_s(lifecycle) == pytest.approx(0.25)

    run(scenario, intensity=0)


def test_pause_is_stronger_than_the_policy() -> None:
    """No end of a worker starts another, nothing does but resume, and that forgets the deaths."""

    async def scenario(lifecycle: Lifecycle) -> None:
        live(lifecycle)
        lifecycle.starting()
        lifecycle.pause()
        lifecycle.ready()
        lifecycle.ended(1, DEATH, "", ())
        lifecycle.try_now()
        lifecycle.reset()
        with trio.move_on_after(10_000) as forever:
            await waited_s(lifecycle)
        assert forever.cancelled_caught
        assert (lifecycle.state, lifecycle.retry_after_s, lifecycle.next_try_s) == ("stopped", 5, None)
        lifecycle.resume()
        assert (await waited_s(lifecycle), lifecycle.deaths_in_period) == (0.0, 0)

    run(scenario)


def test_the_operator_ends_a_wait() -> None:
    """try_now does not count as a death and forgets none; it has no effect on a worker that runs."""

    async def scenario(lifecycle: Lifecycle) -> None:
        for _ in range(3):
            await waited_s(lifecycle)
            live(lifecycle)
        assert lifecycle.next_try_s == pytest.approx(0.5)
        lifecycle.try_now()
        assert (await waited_s(lifecycle), lifecycle.deaths_in_period) == (0.0, 3)
        lifecycle.starting()
        lifecycle.ready()
        lifecycle.try_now()
        assert not lifecycle.due()

    run(scenario)


def test_an_actor_that_has_ended_starts_again_when_told_to() -> None:
    """A temporary actor's worker is not replaced, until the operator wants it."""

    async def scenario(lifecycle: Lifecycle) -> None:
        live(lifecycle)
        assert (lifecycle.state, lifecycle.retry_after_s, lifecycle.due()) == ("ended", 5, False)
        lifecycle.try_now()
        assert lifecycle.due()

    run(scenario, policy="temporary")


def test_the_last_exits_are_remembered_and_all_are_counted() -> None:
    """Five records, the newest last, with what was decided; counts by the way they ended."""

    async def scenario(lifecycle: Lifecycle) -> None:
        for number in range(7):
            lifecycle.starting()
            lifecycle.ended(number, DEATH, "text of connection 1", ("last",))
        lifecycle.ended(7, Exit(Stopped()), "", ())
        assert [record.incarnation for record in lifecycle.exits] == [3, 4, 5, 6, 7]
        assert len(lifecycle.exits) == EXITS_KEPT
        first = lifecycle.exits[0]
        assert (first.in_hand, first.lines, first.then) == (
            "text of connection 1",
            ("last",),
            "restart in 1 s",
        )
        assert lifecycle.exit_counts == {"exited": 7, "stopped": 1}

    run(scenario)
