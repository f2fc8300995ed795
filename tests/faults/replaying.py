"""Replays for tests, with the compiled components that all tests share."""

from pathlib import Path

import trio

from tests.faults.counts import FULL
from theater_protocol.messages import Limits
from theater_supervisor.journal.verify import verify
from theater_supervisor.replay.components import Components
from theater_supervisor.replay.history import open_history
from theater_supervisor.replay.replay import Replay, Verdict, state_at

CACHE = Path(__file__).parents[2] / "build" / "cache"
MEMORY_BYTES = 256 * 1024 * 1024
PATIENCE_S = 900 if FULL else 60


def replayed(
    data: Path, component: Path | None = None, *, from_seq: int = 0, call_timeout_s: float = 5.0
) -> Verdict:
    """Replay the journal in a data directory, which must verify."""

    async def main() -> Verdict:
        history = open_history(data / "journal.db")
        limits = Limits(round(call_timeout_s * 1e6), MEMORY_BYTES)
        with Components(data / "components", CACHE, component) as components, trio.fail_after(PATIENCE_S):
            replay = Replay(data.name, history, components, limits)
            return await replay.run(history.beginning(from_seq), history.head_seq)

    assert verify(data / "journal.db").fault is None
    return trio.run(main)


def states(data: Path, seqs: list[int]) -> list[bytes | None]:
    """Get the states after these transitions, each by a replay of its own."""

    async def main() -> list[bytes | None]:
        history = open_history(data / "journal.db")
        limits = Limits(5_000_000, MEMORY_BYTES)
        with Components(data / "components", CACHE) as components, trio.fail_after(PATIENCE_S):
            return [await state_at(data.name, history, seq, components, limits) for seq in seqs]

    return trio.run(main)
