"""Transitions and verdicts in words: what people get from the chain commands.

Pure. Everything that came from a client or an actor is escaped.
"""

import datetime
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from theater_protocol.chain import Genesis, Instance, Transition
from theater_protocol.messages import Payload, Reply
from theater_supervisor.journal import verify
from theater_supervisor.replay import replay
from theater_supervisor.replay.comparison import Aspect, Divergence, Effect

HEADING: Final = (
    f"{'SEQ':>7}  {'TIME (UTC)':26}  {'KIND':8}  {'CONN':>5}  {'OUTCOME':7}  {'HASH':8}  INPUT → REPLIES"
)

_PREVIEW_CHARS: Final = 40
_SHOWN_REPLIES: Final = 3
_BEFORE_DIFFERENCE: Final = 12
_ASPECTS: Final[dict[Aspect, str]] = {
    "outcome": "another outcome",
    "replies": "other replies",
    "state_hash": "another state",
}


def transition_line(hash_: bytes, transition: Transition) -> str:
    """Give a transition as one line under HEADING; long texts are cut."""
    at = datetime.datetime.fromtimestamp(0, datetime.UTC) + datetime.timedelta(microseconds=transition.at_us)
    connection = str(transition.connection) if transition.connection else "-"
    columns = (
        f"{transition.seq:>7}",
        f"{at:%Y-%m-%d %H:%M:%S.%f}",
        f"{transition.kind:8}",
        f"{connection:>5}",
        f"{transition.outcome:7}",
        hash_.hex()[:8],
        _story(transition),
    )
    return "  ".join(columns).rstrip()


def verification(verdict: verify.Verdict) -> str:
    """Say what verification found."""
    last_seq = verdict.first_seq + verdict.events - 1
    lines = []
    if verdict.fault is not None:
        lines.append(f"{verdict.actor or '?'}: seq {verdict.fault.seq}: {verdict.fault.what}")
        lines.append(f"{_counted(verdict.events, 'transition')} verified up to there")
    else:
        lines.append(
            f"{verdict.actor}: {_counted(verdict.events, 'transition')} verified, "
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
        sides = [_side("recorded", divergence.recorded, None), f"  replayed  {divergence.detail}"]
    else:
        what = "the replay came to " + " and ".join(_ASPECTS[aspect] for aspect in divergence.aspects)
        sides = [
            _side("recorded", divergence.recorded, divergence.replayed),
            _side("replayed", divergence.replayed, divergence.recorded),
        ]
        if divergence.detail:
            sides.append(f"            {divergence.detail!r:.300}")
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
            return f"actor {actor!r} component {component_sha256.hex()[:8]}"
        case Instance(seed, component_sha256):
            return f"component {component_sha256.hex()[:8]} seed {seed.hex()[:8]}"
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
    return f" {before}{payload[start:end]!r}{after}{length}"


def _counted(count: int, thing: str) -> str:
    return f"1 {thing}" if count == 1 else f"{count} {thing}s"
