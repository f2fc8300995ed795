"""How many long pieces of work a round of the event loop has."""

import trio

from theater_supervisor.gateway.connection.turns import Turns


class Rounds(trio.abc.Instrument):
    """Counts what the event loop does in each of its rounds."""

    def __init__(self) -> None:
        self.done: list[int] = [0]

    def before_io_wait(self, timeout: float) -> None:
        """A round is over."""
        self.done.append(0)


def test_a_crowd_takes_turns_a_few_in_each_round() -> None:
    """Of a hundred who want one at once two get theirs in a round; none has two before all have had one."""
    rounds, order = Rounds(), list[int]()

    async def main() -> None:
        turns = Turns()

        async def work(number: int) -> None:
            for _ in range(3):
                await turns.next()
                order.append(number)
                rounds.done[-1] += 1

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(work, number)

    trio.run(main, instruments=[rounds])
    assert {count for count in rounds.done if count} == {2}
    assert set(order[:100]) == set(order[100:200]) == set(order[200:])


def test_who_gives_up_waiting_keeps_nobody_from_a_turn() -> None:
    """A cancelled one passes nothing on, and the next has its turn."""

    async def main() -> None:
        turns, done = Turns(), list[int]()

        async def work(number: int) -> None:
            await turns.next()
            done.append(number)

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as leaving:
                        for number in range(10):
                            leaving.start_soon(work, number)
                        scope.cancel()
                nursery.start_soon(work, 10)
        assert done == [10]

    trio.run(main)
