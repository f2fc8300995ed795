"""The output gate: everything of a batch in order, in turns where it is much."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import structlog
import trio

from theater_protocol.messages import UNCHANGED, Deliver, Reply, Result
from theater_supervisor.actor.clients import Clients
from theater_supervisor.actor.failures import Failures
from theater_supervisor.actor.output_gate import OutputGate
from theater_supervisor.actor.transition import Batch, to_batch
from theater_supervisor.logs.actor_log import ActorLog


class Keeping:
    """A client that keeps what it gets, and how much of it at the most at one go."""

    def __init__(self) -> None:
        self.texts: list[object] = []
        self.most = 0
        self.ended: int | None = None

    def send(self, *results: Sequence[Reply]) -> None:
        """Keep the replies."""
        self.most = max(self.most, sum(map(len, results)))
        self.texts += (reply.payload for replies in results for reply in replies)

    def send_in_parts(self, replies: Sequence[Reply]) -> Iterator[None]:
        """Keep the replies, a hundred at each step."""
        for at in range(0, len(replies), 100):
            self.send(replies[at : at + 100])
            yield

    def end(self, code: int, reason: str, error: str = "") -> None:
        """Keep the code."""
        self.ended = code


def result_of(number: int, size: int) -> Result:
    """Make a result with so many replies, a failed one for -1."""
    if size < 0:
        return Result(number, "err", "no", (), None, UNCHANGED)
    replies = tuple(Reply("text", f"{number}.{n}") for n in range(size))
    return Result(number, "ok", None, replies, None, UNCHANGED)


def batch_of(sizes: Sequence[int]) -> Batch:
    """Make a batch of one client's results with so many replies each, a failed one for -1."""
    delivers = [Deliver(number, 1, "text", 5, "x") for number in range(len(sizes))]
    results = [result_of(number, size) for number, size in enumerate(sizes)]
    return to_batch(delivers, results, None)


async def released(sizes: Sequence[int], log: ActorLog, *, cancelled: bool = False) -> tuple[Keeping, int]:
    """Release a batch; return the client and how many turns another task had until it was over."""
    clients, client, batch, turns = Clients(), Keeping(), batch_of(sizes), 0
    clients.add(1, client)
    gate = OutputGate(clients, log, Failures(structlog.get_logger()))

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        with trio.CancelScope() as scope:
            if cancelled:
                scope.cancel()
            await gate.release(1, batch, len(sizes), 10)
        nursery.cancel_scope.cancel()
    assert gate.takes_turns(batch) is bool(turns)
    return client, turns


CASES = {
    "one event with many": [3000],
    "many with many": [1000] * 4,
    "many with some": [200] * 10,
    "some before and behind many": [3, 2000, 3],
}


@pytest.mark.parametrize("cancelled", [False, True], ids=["", "cancelled"])
@pytest.mark.parametrize("sizes", CASES.values(), ids=CASES)
def test_many_replies_leave_in_order_while_others_have_turns(
    sizes: list[int], cancelled: bool, tmp_path: Path
) -> None:
    """However many there are, no turn is longer than some hundred; cancelled, it is over first."""
    log = ActorLog(tmp_path / "a.log", "a", debug=False, echo=None)
    client, turns = trio.run(lambda: released(sizes, log, cancelled=cancelled))
    assert client.texts == [f"{number}.{n}" for number, size in enumerate(sizes) for n in range(size)]
    assert client.most <= 512
    assert turns >= sum(sizes) // 1024


@pytest.mark.parametrize("sizes", [[1], [1] * 256, [512], [0] * 5000], ids=["one", "256", "512", "none"])
def test_few_replies_leave_at_one_go(sizes: list[int], tmp_path: Path) -> None:
    """Nobody waits for a turn on the short way."""
    log = ActorLog(tmp_path / "a.log", "a", debug=False, echo=None)
    client, turns = trio.run(lambda: released(sizes, log))
    assert len(client.texts) == sum(sizes)
    assert not turns


def test_many_failures_take_turns(tmp_path: Path) -> None:
    """Each is a line in the log, which is written at once."""
    log = ActorLog(tmp_path / "a.log", "a", debug=False, echo=None)
    client, turns = trio.run(lambda: released([1] * 5 + [-1] * 100, log))
    assert len(client.texts) == 5
    assert client.ended == 1011
    assert turns
    assert (tmp_path / "a.log").read_text().count("err on text of connection 1: no") == 100
