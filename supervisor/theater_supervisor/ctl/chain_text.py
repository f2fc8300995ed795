"""Transitions and verdicts in words: what people get from the chain commands.

Pure. Everything that came from a client or an actor is escaped.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final

from theater_protocol.chain import Genesis, Instance, Seal, Transition
from theater_protocol.messages import Payload, Reply
from theater_supervisor.ctl.tables import cut
from theater_supervisor.journal import verify
from theater_supervisor.replay import replay
from theater_supervisor.replay.comparison import Aspect, Divergence, Effect
from theater_supervisor.terminal import escape, quote

_TITLES: Final = ("SEQ", "TIME (UTC)", "KIND", "CONN", "OUTCOME", "HASH")
_LEAST_STORY_CHARS: Final = 16
_PREVIEW_CHARS: Final = 40
_SHOWN_REPLIES: Final = 3
_BEFORE_DIFFERENCE: Final = 12
_ASPECTS: Final[dict[Aspect, str]] = {
    "outcome": "another outcome",
    "replies": "other replies",
    "state_hash": "another state",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns lists of transitions have, and how many characters are left for INPUT → REPLIES."""

    has_time: bool = True
    has_hash: bool = True
    story_chars: int | None = None

    @classmethod
    def within(cls, room: int | None) -> "Layout":
        """Return what a terminal of `room` columns has room for; all where it is None."""
        if room is None:
            return cls()
        for layout in (cls(), cls(has_hash=False), cls(has_hash=False, has_time=False)):
            left = room - len("  ".join([*layout._columns(*_TITLES), ""]))
            if left >= _LEAST_STORY_CHARS:
                break
        return replace(layout, story_chars=max(1, left))

    @property
    def heading(self) -> str:
        """The titles over the lines."""
        return self._line(_TITLES, "INPUT → REPLIES")

    def line(self, hash_: bytes, transition: Transition) -> str:
        """Give a transition as one line; long texts are cut."""
        at = datetime.datetime.fromtimestamp(0, datetime.UTC) + datetime.timedelta(
            microseconds=transition.at_us
        )
        columns = (
            str(transition.seq),
            f"{at:%Y-%m-%d %H:%M:%S.%f}",
            transition.kind,
            str(transition.connection) if transition.connection else "-",
            transition.outcome,
            hash_.hex()[:8],
        )
        return self._line(columns, _story(transition))

    def _line(self, columns: tuple[str, str, str, str, str, str], story: str) -> str:
        shown = story if self.story_chars is None else cut(story, self.story_chars)
        return "  ".join([*self._columns(*columns), shown]).rstrip()

    def _columns(self, seq: str, time: str, kind: str, conn: str, outcome: str, hash_: str) -> list[str]:
        return [
            f"{seq:>7}",
            *([f"{time:26}"] if self.has_time else []),
            f"{kind:8}",
            f"{conn:>5}",
            f"{outcome:7}",
            *([f"{hash_:8}"] if self.has_hash else []),
        ]


def verification(verdict: verify.Verdict) -> str:
    """Say what verification found."""
    last_seq = verdict.first_seq + verdict.events - 1
    lines = []
    if verdict.fault is not None:
        lines.append(f"{escape(verdict.actor) or '?'}: seq {verdict.fault.seq}: {escape(verdict.fault.what)}")
        lines.append(f"{_counted(verdict.events, 'transition')} verified up to there")
    else:
        lines.append(
            f"{escape(verdict.actor)}: {_counted(verdict.events, 'transition')} verified, "
            f"seq {verdict.first_seq} to {last_seq}"
        )
        lines.append(f"head {verdict.head.hash.hex()}")
    if verdict.first_seq > 0:
        lines.append(
            f"seq 0 to {verdict.first_seq - 1} were dropped by retention; a sealed checkpoint stands for them"
        )
    return "\n".join(lines)


def replaying(actor: str, verdict: replay.Verdict) -> str:
    """Say what a replay came to; at a divergence with both sides."""
    lines = []
    if verdict.divergence is not None:
        lines.append(difference(actor, verdict.divergence))
    span = "" if verdict.first_seq is None else f", seq {verdict.first_seq} to {verdict.last_seq}"
    before = " before it" if verdict.divergence is not None else ""
    lines.append(
        f"{actor}: {_counted(verdict.identical, 'event')}{before} replayed bit-identically{span}, "
        f"in {_counted(verdict.instances, 'instance')}"
    )
    if verdict.quarantined:
        lines.append(
            f"{_counted(verdict.quarantined, 'event')} with outcome poison not run: workers died on them"
        )
    if verdict.unreachable:
        lines.append(
            f"{_counted(verdict.unreachable, 'event')} before that not run: "
            "the state they began with is not kept"
        )
    return "\n".join(lines)


def difference(actor: str, divergence: Divergence) -> str:
    """Show a divergence: where, the input, and both sides."""
    transition = divergence.transition
    whose = f" of connection {transition.connection}" if transition.connection else ""
    where = f"{actor}: seq {transition.seq}, {transition.kind}{whose}"
    if divergence.replayed is None:
        what = "the replay came to nothing"
        sides = [_side("recorded", divergence.recorded, None), f"  replayed  {escape(divergence.detail)}"]
    else:
        what = "the replay came to " + " and ".join(_ASPECTS[aspect] for aspect in divergence.aspects)
        sides = [
            _side("recorded", divergence.recorded, divergence.replayed),
            _side("replayed", divergence.replayed, divergence.recorded),
        ]
        if divergence.detail:
            sides.append(f"            {quote(divergence.detail):.300}")
    return "\n".join([f"{where}: {what}", f"  input     {_input_text(transition)}", *sides])


def _side(name: str, effect: Effect, other: Effect | None) -> str:
    state = f"state {effect.state_hash.hex() if effect.state_hash else 'none'}"
    replies = _differing_replies(effect.replies, other.replies) if other else _replies_text(effect.replies)
    return f"  {name}  {effect.outcome}, {state}, replies: {replies or 'none'}"


def _differing_replies(replies: Sequence[Reply], others: Sequence[Reply]) -> str:
    """Show the replies, or the first one that differs, from a little before where it does."""
    if replies == others:
        return _replies_text(replies)
    pairs = enumerate(zip_longest(replies, others), 1)
    number, (mine, other) = next((number, pair) for number, pair in pairs if pair[0] != pair[1])
    if mine is None:
        return f"only {number - 1}"
    offset = _first_difference(mine.payload, other.payload if other else None)
    return f"number {number}: {mine.kind}{_excerpt(mine.payload, max(0, offset - _BEFORE_DIFFERENCE))}"


def _first_difference(payload: Payload, other: Payload) -> int:
    if payload is None or type(payload) is not type(other) or other is None:
        return 0
    shared = (index for index, (one, two) in enumerate(zip(payload, other, strict=False)) if one != two)
    return next(shared, min(len(payload), len(other)))


def _story(transition: Transition) -> str:
    replies = _replies_text(transition.replies)
    return f"{_input_text(transition)} → {replies}".lstrip() if replies else _input_text(transition)


def _input_text(transition: Transition) -> str:
    match transition.input:
        case Genesis(actor, component_sha256):
            return f"actor {quote(actor)} component {component_sha256.hex()[:8]}"
        case Instance(seed, component_sha256):
            return f"component {component_sha256.hex()[:8]} seed {seed.hex()[:8]}"
        case Seal(seq, seal):
            return f"checkpoint after seq {seq} seal {seal.hex()[:8]}"
        case payload:
            return _excerpt(payload).lstrip()


def _replies_text(replies: Sequence[Reply]) -> str:
    texts = [reply.kind + _excerpt(reply.payload) for reply in replies[:_SHOWN_REPLIES]]
    if len(replies) > _SHOWN_REPLIES:
        texts.append(f"… {len(replies) - _SHOWN_REPLIES} more")
    return ", ".join(texts)


def _excerpt(payload: Payload, start: int = 0) -> str:
    """Quote a part of a payload, with a space in front; nothing for None."""
    if payload is None:
        return ""
    end = start + _PREVIEW_CHARS
    before, after = "…" if start else "", "…" if end < len(payload) else ""
    unit = "characters" if isinstance(payload, str) else "bytes"
    length = f" ({len(payload)} {unit})" if before or after else ""
    return f" {before}{quote(payload[start:end])}{after}{length}"


def _counted(count: int, thing: str) -> str:
    return f"1 {thing}" if count == 1 else f"{count} {thing}s"
