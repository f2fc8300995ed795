"""Histories of the test actor `counter`, written into a journal without running it.

What counter does is simple enough to be written down: the n-th text makes the state `n` in decimal and is
answered with "n text"; nothing else changes or answers anything.
"""

import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import cast

from theater_protocol.chain import Instance, TransitionInput, TransitionKind, TransitionOutcome
from theater_protocol.messages import Changed, Payload, Reply, Unchanged
from theater_supervisor.journal.contents import Entry, Origin
from theater_supervisor.journal.database import Database
from theater_supervisor.journal.retention import KEEP_ALL, Retention, hash_state

NAME = "counter"
START_US = 1_700_000_000_000_000
COMPONENT = sha256(b"a component that is never run").digest()


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where a history is kept."""

    var: Path

    @property
    def data(self) -> Path:
        """The actor's directory."""
        return self.var / "data" / NAME

    @property
    def journal(self) -> Path:
        """The journal."""
        return self.data / "journal.db"


class Recorder:
    """Writes a counter's history, an event at a time, each a batch of its own. Close it when done."""

    def __init__(self, var: Path, component: Path | None = None, retention: Retention = KEEP_ALL) -> None:
        self.recorded = Recorded(var)
        self.component_sha256 = COMPONENT if component is None else self._keep(component)
        self._database = Database(self.recorded.journal, retention=retention)
        self._database.open(Origin(NAME, self.component_sha256, None, START_US))
        self._at_us = START_US
        self._instances = 0

    @property
    def seq(self) -> int:
        """The newest seq."""
        return self._database.contents.head.seq

    @property
    def state(self) -> bytes | None:
        """The current state."""
        return self._database.contents.state

    def instance(self) -> None:
        """Record a fresh instance."""
        self._instances += 1
        seed = sha256(b"seed %d" % self._instances).digest()
        self.commit("instance", Instance(seed, self.component_sha256), connection=0)

    def connect(self, connection: int = 1) -> None:
        """Record a connection."""
        self.commit("connect", None, connection=connection)

    def count(self, texts: int, connection: int = 1) -> None:
        """Record text messages as counter handles them."""
        for _ in range(texts):
            number = int(self.state or b"0") + 1
            reply = Reply("text", f"{number} hello")
            update = Changed(b"%d" % number)
            self.commit("text", "hello", connection=connection, replies=(reply,), update=update)

    def commit(
        self,
        kind: TransitionKind,
        given: TransitionInput,
        *,
        connection: int = 1,
        outcome: TransitionOutcome = "ok",
        replies: tuple[Reply, ...] = (),
        update: Changed | Unchanged | None = None,
    ) -> None:
        """Record anything."""
        self._at_us += 1_000_000
        changed = update or Unchanged()
        state = changed.state if isinstance(changed, Changed) else self.state
        entry = Entry(self._at_us, kind, connection, given, outcome, replies, hash_state(state))
        self._database.commit([entry], changed)

    def event(self, kind: TransitionKind, payload: Payload, outcome: str = "ok") -> None:
        """Record an event that changes and answers nothing."""
        self.commit(kind, payload, outcome=cast(TransitionOutcome, outcome))

    def close(self) -> Recorded:
        """Close the journal."""
        self._database.close()
        return self.recorded

    def _keep(self, component: Path) -> bytes:
        """Keep the component beside the journal, as the supervisor does."""
        digest = sha256(component.read_bytes()).digest()
        kept = self.recorded.data / "components" / f"{digest.hex()}.wasm"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(component, kept)
        return digest
