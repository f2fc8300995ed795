"""The events of interface 2: what an actor is told, one at a time.

Records only, as wit/v2/theater.wit has them, but for what follows from the chain: the attachment of a message
or a disconnect is the ledger's. Named tuples, for they are made for every event.
"""

from typing import Final, Literal, NamedTuple

Frame = str | bytes
Closer = Literal["client", "actor", "host"]
CLOSERS: Final = frozenset({"client", "actor", "host"})


class Identity(NamedTuple):
    """Who logged in. `claims` is the token's JSON text, "{}" where there are none."""

    subject: str
    claims: str


class Handshake(NamedTuple):
    """What a client asked for: only what the manifest lets through, for all of it is kept.

    `path` is below the handler's, `query` without the token's parameter and None where there is no "?",
    `headers` those named by `pass_headers` in lower case and in the order they came, `subprotocols` the
    offered ones without bearer tokens, `remote` the client's address with `pass_remote`.
    """

    path: str
    query: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    subprotocols: tuple[str, ...] = ()
    identity: Identity | None = None
    remote: str | None = None


class Ending(NamedTuple):
    """How a connection ended: the peer's code, or ours if we closed first; 1005 none, 1006 no frame."""

    code: int
    reason: str
    clean: bool
    by: Closer


class Configure(NamedTuple):
    """The actor's name, its key (for one of many instances) and the manifest's `[config]`."""

    actor: str
    key: str | None = None
    config: tuple[tuple[str, str], ...] = ()


class Connect(NamedTuple):
    """A handshake. Its answer leaves when the effects of this are committed."""

    connection: int
    handshake: Handshake


class Message(NamedTuple):
    """A complete message: text is str, binary is bytes."""

    connection: int
    frame: Frame


class Disconnect(NamedTuple):
    """The end of a connection that was accepted; the last of its events."""

    connection: int
    ending: Ending


class Timer(NamedTuple):
    """A timer has come due; `due_us` is the time it was set for."""

    name: str
    due_us: int


class Operator(NamedTuple):
    """An operator's doing, which the actor is not told of: `action` by `who`; its effects are recorded."""

    action: Literal["send"]
    who: str


Event = Configure | Connect | Message | Disconnect | Timer
EventKind = Literal["configure", "connect", "message", "disconnect", "timer", "operator"]
EVENT_KINDS: Final[dict[type, EventKind]] = {
    Configure: "configure",
    Connect: "connect",
    Message: "message",
    Disconnect: "disconnect",
    Timer: "timer",
    Operator: "operator",
}
