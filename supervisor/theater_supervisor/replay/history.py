"""Where a replay can begin, and the recorded transitions from there on, one instance after the other.

Only reads the journal. A replay can begin wherever a fresh instance was started and the state that it was
given is still kept; states are found by their hash.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from theater_protocol.chain import Transition
from theater_supervisor.journal.errors import JournalRefused
from theater_supervisor.journal.reader import read, rows
from theater_supervisor.journal.retention import hash_state


@dataclass(frozen=True, slots=True)
class History:
    """A journal's head and the states that it keeps, as of one moment.

    `states` has the kept states by their hash (None: the state none), the one after the head among them;
    `snapshot_seqs`, ascending, says after which transitions one was kept on purpose.
    """

    path: Path
    head_seq: int
    states: Mapping[bytes | None, bytes | None]
    snapshot_seqs: tuple[int, ...]

    def beginning(self, seq: int) -> int:
        """Return where to begin to read so that the replay gets to `seq` in few steps."""
        return max((kept for kept in self.snapshot_seqs if kept <= seq), default=0)

    def transition(self, seq: int) -> Transition | None:
        """Return one transition, None when it is not there."""
        return next((transition for _, transition in rows(self.path, seq, seq)), None)

    def instances(self, since_seq: int, until_seq: int) -> Iterator[Iterator[Transition]]:
        """Yield the transitions in groups, each from one `instance` or `state` to before the next.

        The first group begins where the reading does, which may be no `instance`. Take each group's
        transitions before the next group. Raises what reader.rows raises.
        """
        started = 0

        def instance_of(transition: Transition) -> int:
            nonlocal started
            started += transition.kind in ("instance", "state")
            return started

        transitions = (transition for _, transition in rows(self.path, since_seq, until_seq))
        for _, group in groupby(transitions, instance_of):
            yield group


def open_history(path: Path) -> History:
    """Read what a replay needs to begin. Raises JournalRefused, JournalFailed."""
    with read(path) as journal:
        head = journal.head()
        if head is None:
            raise JournalRefused(f"{path}: damaged: its head is missing: run `theaterctl chain verify`")
        snapshots = journal.snapshots()
        kept: list[bytes | None] = [*snapshots.values(), None]
        try:
            kept.append(journal.state())
        except KeyError:
            raise JournalRefused(
                f"{path}: damaged: its state is missing: run `theaterctl chain verify`"
            ) from None
    return History(path, head[0], {hash_state(state): state for state in kept}, tuple(snapshots))
