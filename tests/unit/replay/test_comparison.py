"""What counts as a difference between a recorded transition and its replay."""

from hashlib import sha256

import pytest

from theater_protocol.chain import NO_HASH, Transition
from theater_protocol.messages import Reply
from theater_supervisor.journal.contents import Entry
from theater_supervisor.replay.comparison import Effect, compare

STATE = sha256(b"1").digest()
REPLIES = (Reply("text", "1 hello"), Reply("binary", b"\0"))
RECORDED = Transition(7, NO_HASH, 1, "text", 1, "hello", "ok", REPLIES, STATE)
SAME = Entry(1, "text", 1, "hello", "ok", REPLIES, STATE)


def test_the_same_effect_is_no_difference() -> None:
    """Place, time and input are the chain's affair."""
    assert compare(RECORDED, SAME, None) is None


@pytest.mark.parametrize(
    ("replayed", "aspects"),
    [
        pytest.param(SAME._replace(replies=REPLIES[:1]), ["replies"], id="reply missing"),
        pytest.param(SAME._replace(replies=(*REPLIES, REPLIES[0])), ["replies"], id="reply added"),
        pytest.param(SAME._replace(replies=REPLIES[::-1]), ["replies"], id="other order"),
        pytest.param(
            SAME._replace(replies=(Reply("text", "1 hellO"), REPLIES[1])), ["replies"], id="one bit"
        ),
        pytest.param(SAME._replace(state_hash=sha256(b"2").digest()), ["state_hash"], id="other state"),
        pytest.param(SAME._replace(state_hash=None), ["state_hash"], id="no state"),
        pytest.param(SAME._replace(outcome="trap", replies=()), ["outcome", "replies"], id="trap"),
    ],
)
def test_every_aspect_counts(replayed: Entry, aspects: list[str]) -> None:
    """The divergence has both sides and says in what they differ."""
    divergence = compare(RECORDED, replayed, "why")
    assert divergence is not None
    assert divergence.aspects == aspects
    assert divergence.recorded == Effect("ok", REPLIES, STATE)
    assert divergence.replayed == Effect(replayed.outcome, replayed.replies, replayed.state_hash)
    assert divergence.detail == "why"
