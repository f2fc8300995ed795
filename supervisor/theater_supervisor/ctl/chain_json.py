"""Transitions and verdicts as JSON objects: what scripts get from the chain commands.

Pure. Hashes are in hex, bytes are {"base64": …}, times are µs since 1970. The keys are a contract.
"""

import base64
from collections.abc import Sequence
from typing import assert_never

from theater_protocol.chain import FORMAT, Genesis, Instance, Seal, Transition, TransitionInput
from theater_protocol.messages import Payload, Reply
from theater_supervisor.journal import verify
from theater_supervisor.replay import replay
from theater_supervisor.replay.comparison import Divergence, Effect


def transition_object(hash_: bytes, transition: Transition) -> dict[str, object]:
    """Give a transition as a JSON object: hashes in hex, bytes as {"base64": …}, `at` in µs."""
    return {
        "seq": transition.seq,
        "hash": hash_.hex(),
        "prev": transition.prev.hex(),
        "at": transition.at_us,
        "kind": transition.kind,
        "connection": transition.connection,
        "input": _input_object(transition.input),
        "outcome": transition.outcome,
        "replies": _replies_object(transition.replies),
        "state_hash": _hex(transition.state_hash),
    }


def verification_object(verdict: verify.Verdict) -> dict[str, object]:
    """Give what verification found as a JSON object."""
    fault = verdict.fault
    return {
        "actor": verdict.actor,
        "verified": verdict.events,
        "first_seq": verdict.first_seq,
        "head": {"seq": verdict.head.seq, "hash": verdict.head.hash.hex()},
        "fault": None if fault is None else {"seq": fault.seq, "what": fault.what},
    }


def replay_object(actor: str, verdict: replay.Verdict) -> dict[str, object]:
    """Give what a replay came to as a JSON object."""
    divergence = verdict.divergence
    return {
        "actor": actor,
        "identical": verdict.identical,
        "first_seq": verdict.first_seq,
        "last_seq": verdict.last_seq if verdict.first_seq is not None else None,
        "instances": verdict.instances,
        "quarantined": verdict.quarantined,
        "unreachable": verdict.unreachable,
        "divergence": None if divergence is None else _divergence_object(divergence),
    }


def _divergence_object(divergence: Divergence) -> dict[str, object]:
    transition, other = divergence.transition, divergence.replayed
    return {
        "seq": transition.seq,
        "kind": transition.kind,
        "connection": transition.connection,
        "input": _input_object(transition.input),
        "differs": divergence.aspects,
        "recorded": _effect_object(divergence.recorded),
        "replayed": None if other is None else _effect_object(other),
        "detail": divergence.detail,
    }


def _effect_object(effect: Effect) -> dict[str, object]:
    return {
        "outcome": effect.outcome,
        "replies": _replies_object(effect.replies),
        "state_hash": _hex(effect.state_hash),
    }


def _input_object(given: TransitionInput) -> object:
    match given:
        case Genesis(actor, component_sha256):
            return {"actor": actor, "component_sha256": component_sha256.hex(), "format": FORMAT}
        case Instance(seed, component_sha256):
            return {"seed": seed.hex(), "component_sha256": component_sha256.hex()}
        case Seal(seq, seal):
            return {"checkpoint_seq": seq, "seal": seal.hex()}
        case payload:
            return _payload_object(payload)


def _payload_object(payload: Payload) -> object:
    match payload:
        case None | str():
            return payload
        case bytes():
            return {"base64": base64.b64encode(payload).decode("ascii")}
        case _:
            assert_never(payload)


def _replies_object(replies: Sequence[Reply]) -> list[list[object]]:
    return [[reply.kind, _payload_object(reply.payload)] for reply in replies]


def _hex(hash_: bytes | None) -> str | None:
    return None if hash_ is None else hash_.hex()
