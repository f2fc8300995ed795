"""What a journal must hold, kept in memory, and a random but repeatable course of batches for it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from random import Random

from tests.faults.disk import Disk
from theater_protocol.chain import Instance, TransitionKind, TransitionOutcome
from theater_protocol.messages import Changed, Payload, Reply, Unchanged
from theater_supervisor.journal.contents import Contents, Entry, Origin
from theater_supervisor.journal.database import Database
from theater_supervisor.journal.retention import KEEP_ALL, Retention
from theater_supervisor.journal.schema import Durability

COMPONENT = sha256(b"component").digest()
ACTOR = "chat"
START_US = 1_700_000_000_000_000


def sha(state: bytes | None) -> bytes | None:
    """Hash a state as the chain does."""
    return None if state is None else sha256(state).digest()


@dataclass(frozen=True, slots=True)
class Model:
    """A journal's contents as they must be; `seq` leaves out the seals that retention adds to the chain."""

    seq: int = field(default=0, compare=False)
    at_us: int = START_US
    state: bytes | None = None
    open: frozenset[int] = frozenset()
    last_connection: int = 0
    initialised: bool = False

    @classmethod
    def of(cls, contents: Contents) -> "Model":
        """Read a journal's contents into a model, to compare them."""
        ledger = contents.ledger
        assert ledger.state_hash == sha(contents.state)
        return cls(
            contents.head.seq,
            contents.at_us,
            contents.state,
            frozenset(ledger.open),
            ledger.last_connection,
            ledger.initialised,
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """What is committed at once, and the model after it."""

    entries: list[Entry]
    update: Changed | Unchanged
    after: Model


class Script:
    """Draws batches that a journal takes, from a seed."""

    def __init__(self, seed: int, *, state_bytes: int = 60, step_us: int = 1_000_000) -> None:
        self.random = Random(seed)
        self._state_bytes = state_bytes
        self._step_us = step_us

    def batch(self, before: Model, size: int | None = None) -> Batch:
        """Draw up to six entries that follow from `before`."""
        model = before
        entries = []
        for _ in range(size or self.random.randint(1, 6)):
            entry, model = self._entry(model)
            entries.append(entry)
        changed = sha(model.state) != sha(before.state) or self.random.random() < 0.2
        return Batch(entries, Changed(model.state) if changed else Unchanged(), model)

    def batches(self, before: Model, count: int) -> Iterator[Batch]:
        """Draw `count` batches in a row."""
        for _ in range(count):
            batch = self.batch(before)
            before = batch.after
            yield batch

    def _entry(self, model: Model) -> tuple[Entry, Model]:
        kind = self._kind(model)
        outcome: TransitionOutcome = "ok"
        if kind != "instance" and self.random.random() < 0.2:
            outcome = self.random.choice(("err", "trap", "timeout", "poison"))
        model = replace(model, seq=model.seq + 1, at_us=model.at_us + self.random.randint(1, self._step_us))
        if kind not in ("instance", "init") or (kind == "init" and outcome == "ok"):
            model = replace(model, initialised=True)
        if outcome == "ok" and kind != "instance" and self.random.random() < 0.7:
            model = replace(model, state=self._state())
        connection, model = self._connection(kind, model)
        given = Instance(self.random.randbytes(32), COMPONENT) if kind == "instance" else self._payload(kind)
        replies = self._replies() if outcome == "ok" and connection else ()
        return Entry(model.at_us, kind, connection, given, outcome, replies, sha(model.state)), model

    def _kind(self, model: Model) -> TransitionKind:
        kinds: list[TransitionKind] = ["instance", "connect", "connect"]
        if not model.initialised:
            kinds.append("init")
        if model.open:
            kinds += ["text", "text", "text", "binary", "ping", "pong", "close"]
        return self.random.choice(kinds)

    def _connection(self, kind: TransitionKind, model: Model) -> tuple[int, Model]:
        if kind in ("instance", "init"):
            return 0, model
        if kind == "connect":
            new = model.last_connection + self.random.randint(1, 2)
            return new, replace(model, open=model.open | {new}, last_connection=new)
        connection = self.random.choice(sorted(model.open))
        if kind == "close":
            model = replace(model, open=model.open - {connection})
        return connection, model

    def _payload(self, kind: str) -> Payload:
        match kind:
            case "init":
                return ACTOR
            case "text":
                return "wörter " * self.random.randint(0, 20)
            case "connect" | "close":
                return None
            case _:
                return self.random.randbytes(self.random.randint(0, 200))

    def _replies(self) -> tuple[Reply, ...]:
        choices = (
            Reply("text", "hello"),
            Reply("binary", b"\x00\xff"),
            Reply("ping", b""),
            Reply("close", None),
        )
        return tuple(self.random.choices(choices, k=self.random.randint(0, 2)))

    def _state(self) -> bytes | None:
        if self.random.random() < 0.1:
            return None
        return self.random.randbytes(self.random.randint(0, self._state_bytes))


def begin(
    path: Path,
    *,
    durability: Durability = "power-loss",
    retention: Retention = KEEP_ALL,
    disk: Disk | None = None,
) -> Database:
    """Open the test actor's journal, or begin it."""
    beneath = (disk.vfs, disk.log_file, disk.bodies) if disk else ()
    database = Database(path, durability, retention, *beneath)
    database.open(Origin(ACTOR, COMPONENT, None, START_US))
    return database


def run(database: Database, script: Script, count: int) -> Model:
    """Commit `count` batches and return the model after them."""
    model = Model.of(database.contents)
    for batch in script.batches(model, count):
        database.commit(batch.entries, batch.update)
        model = batch.after
    return model
