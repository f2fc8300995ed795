"""What a transition came to, as it was recorded and as it was when it was run again.

Pure: no trio, no disk. How it was run again is in replay.py, how a difference is shown in ctl/chain_text.py.
"""

from dataclasses import dataclass
from typing import Literal

from theater_protocol.chain import Transition
from theater_protocol.messages import Reply
from theater_supervisor.journal.contents import Entry

Aspect = Literal["outcome", "replies", "state_hash"]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a transition did; `state_hash` is None where the state is none."""

    outcome: str
    replies: tuple[Reply, ...]
    state_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first transition that came to something else than what was recorded.

    `replayed` is None when it came to nothing: the worker ended. `detail` is then why, else the actor's error
    or the reason of a trap or time limit, "" when there was none.
    """

    transition: Transition
    replayed: Effect | None
    detail: str

    @property
    def recorded(self) -> Effect:
        """What the chain says."""
        return effect(self.transition)

    @property
    def aspects(self) -> list[Aspect]:
        """In what the two sides differ; nothing when there is only one side."""
        return [] if self.replayed is None else _differing(self.recorded, self.replayed)


def compare(transition: Transition, entry: Entry, detail: str | None) -> Divergence | None:
    """Compare a recorded transition with the entry that running it again would have added to the chain."""
    if _differing(effect(transition), effect(entry)):
        return Divergence(transition, effect(entry), detail or "")
    return None


def effect(made: Transition | Entry) -> Effect:
    """Take the effect out of a transition."""
    return Effect(made.outcome, made.replies, made.state_hash)


def _differing(recorded: Effect, replayed: Effect) -> list[Aspect]:
    aspects: list[Aspect] = []
    if recorded.outcome != replayed.outcome:
        aspects.append("outcome")
    if recorded.replies != replayed.replies:
        aspects.append("replies")
    if recorded.state_hash != replayed.state_hash:
        aspects.append("state_hash")
    return aspects
