"""What the chain commands print: for people, and as JSON for scripts."""

import json
from hashlib import sha256

import pytest

from theater_protocol.chain import NO_HASH, Genesis, Instance, Transition
from theater_protocol.messages import Payload, Reply
from theater_protocol.verifier import Fault
from theater_supervisor.ctl import chain_json, chain_text
from theater_supervisor.journal import verify
from theater_supervisor.journal.contents import Head
from theater_supervisor.replay import replay
from theater_supervisor.replay.comparison import Divergence, Effect

HASH = sha256(b"a transition").digest()
STATE = sha256(b"1").digest()
TEXT = Transition(7, NO_HASH, 1_700_000_000_123_456, "text", 3, "hello", "ok", (Reply("close", None),), STATE)


def shown(given: Payload) -> str:
    """Show a transition with this input; return that part of the line."""
    return chain_text.Layout().line(HASH, TEXT._replace(input=given)).split("  ")[-1].split(" → ")[0]


def test_a_line_has_every_column() -> None:
    """Seq, time in UTC, kind, connection, outcome, hash, and what went in and out."""
    line = chain_text.Layout().line(HASH, TEXT)
    assert line == (
        f"      7  2023-11-14 22:13:20.123456  text          3  ok       {HASH.hex()[:8]}  'hello' → close"
    )
    heading = chain_text.Layout().heading
    assert [
        line[heading.index(name) :].split()[0] for name in ("TIME", "KIND", "OUTCOME", "HASH", "INPUT")
    ] == [
        "2023-11-14",
        "text",
        "ok",
        HASH.hex()[:8],
        "'hello'",
    ]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        pytest.param("\x1b[31m\r\n", r"'\x1b[31m\r\n'", id="terminal control"),
        pytest.param("\u202eevil\u200b", r"'\u202eevil\u200b'", id="invisible characters"),
        pytest.param("é", "'é'", id="readable beyond ASCII"),
        pytest.param("x" * 41, f"'{'x' * 40}'… (41 characters)", id="long text"),
        pytest.param(b"\0\xff", r"b'\x00\xff'", id="bytes"),
        pytest.param(b"x" * 1000, f"b'{'x' * 40}'… (1000 bytes)", id="many bytes"),
    ],
)
def test_payloads_are_escaped_and_cut(given: Payload, text: str) -> None:
    """Nothing that a client sent reaches the terminal as it is."""
    assert shown(given) == text


def test_boundaries_name_the_component() -> None:
    """Genesis and instance have no connection."""
    genesis = TEXT._replace(kind="genesis", connection=0, input=Genesis("chat", HASH), replies=())
    instance = genesis._replace(kind="instance", input=Instance(STATE, HASH))
    assert chain_text.Layout().line(HASH, genesis).endswith(f"actor 'chat' component {HASH.hex()[:8]}")
    assert (
        chain_text.Layout()
        .line(HASH, instance)
        .endswith(f"component {HASH.hex()[:8]} seed {STATE.hex()[:8]}")
    )


def test_the_json_of_a_transition_keeps_its_contract() -> None:
    """Keys in their order, hashes in hex, bytes in base64, µs as an integer."""
    transition = TEXT._replace(
        kind="binary", input=b"\0\xff", replies=(Reply("text", "é"), Reply("ping", b"1"))
    )
    assert json.loads(json.dumps(chain_json.transition_object(HASH, transition))) == {
        "seq": 7,
        "hash": HASH.hex(),
        "prev": "00" * 32,
        "at": 1_700_000_000_123_456,
        "kind": "binary",
        "connection": 3,
        "input": {"base64": "AP8="},
        "outcome": "ok",
        "replies": [["text", "é"], ["ping", {"base64": "MQ=="}]],
        "state_hash": STATE.hex(),
    }
    assert list(chain_json.transition_object(HASH, transition)) == (
        ["seq", "hash", "prev", "at", "kind", "connection", "input", "outcome", "replies", "state_hash"]
    )


def test_the_json_of_boundaries_is_readable() -> None:
    """Their inputs are objects; no state is null."""
    genesis = TEXT._replace(kind="genesis", input=Genesis("chat", HASH), replies=(), state_hash=None)
    instance = genesis._replace(kind="instance", input=Instance(STATE, HASH))
    made = chain_json.transition_object(HASH, genesis)
    assert made["input"] == {"actor": "chat", "component_sha256": HASH.hex(), "format": 1}
    assert made["state_hash"] is None
    assert chain_json.transition_object(HASH, instance)["input"] == {
        "seed": STATE.hex(),
        "component_sha256": HASH.hex(),
    }


def test_a_verdict_says_from_where_and_to_which_head() -> None:
    """And what retention has dropped."""
    verdict = verify.Verdict("chat", 10, 90, Head(99, HASH), None)
    assert chain_text.verification(verdict).splitlines() == [
        "chat: 10 transitions verified, seq 90 to 99",
        f"head {HASH.hex()}",
        "seq 0 to 89 were dropped by retention; a sealed checkpoint stands for them",
    ]


def test_a_fault_is_named_first() -> None:
    """The seq and what is wrong; then how far it was right."""
    verdict = verify.Verdict("chat", 5, 0, Head(4, HASH), Fault(5, "changed"))
    assert chain_text.verification(verdict).splitlines() == [
        "chat: seq 5: changed",
        "5 transitions verified up to there",
    ]
    assert chain_json.verification_object(verdict)["fault"] == {"seq": 5, "what": "changed"}


def test_a_divergence_shows_both_sides_where_they_part() -> None:
    """Of long replies the part around the first difference, of equal ones nothing special."""
    recorded = TEXT._replace(replies=(Reply("text", "same"), Reply("text", "a" * 1000 + "b" + "c" * 1000)))
    replayed = Effect("ok", (Reply("text", "same"), Reply("text", "a" * 1000 + "B" + "c" * 1000)), None)
    lines = chain_text.difference("chat", Divergence(recorded, replayed, "")).splitlines()
    assert lines[0] == "chat: seq 7, text of connection 3: the replay came to other replies and another state"
    assert lines[1] == "  input     'hello'"
    assert (
        f"ok, state {STATE.hex()}, replies: number 2: text …'{'a' * 12}b{'c' * 27}'… (2001 char" in lines[2]
    )
    assert f"ok, state none, replies: number 2: text …'{'a' * 12}B{'c' * 27}'… (2001 characters)" in lines[3]


@pytest.mark.parametrize(
    ("recorded", "replayed", "sides"),
    [
        pytest.param(("a", "b"), ("a",), ["number 2: text 'b'", "only 1"], id="one missing"),
        pytest.param(("a",), ("a", "b"), ["only 1", "number 2: text 'b'"], id="one more"),
        pytest.param(("a",), (), ["number 1: text 'a'", "only 0"], id="none any more"),
        pytest.param(("a",), ("ab",), ["number 1: text 'a'", "number 1: text 'ab'"], id="longer"),
        pytest.param(("a",), (b"a",), ["number 1: text 'a'", "number 1: binary b'a'"], id="other kind"),
    ],
)
def test_replies_that_differ_are_numbered(
    recorded: tuple[str | bytes, ...], replayed: tuple[str | bytes, ...], sides: list[str]
) -> None:
    """The first that differs, on both sides."""

    def replies(payloads: tuple[str | bytes, ...]) -> tuple[Reply, ...]:
        return tuple(Reply("text" if isinstance(one, str) else "binary", one) for one in payloads)

    divergence = Divergence(
        TEXT._replace(replies=replies(recorded)), Effect("ok", replies(replayed), STATE), ""
    )
    lines = chain_text.difference("chat", divergence).splitlines()
    assert [line.split("replies: ")[1] for line in lines[2:]] == sides


def test_a_replay_that_came_to_nothing_says_why() -> None:
    """There is only one side then."""
    verdict = replay.Verdict(1, 6, 5, 1, divergence=Divergence(TEXT, None, "the worker ended (exited 70)"))
    text = chain_text.replaying("chat", verdict)
    assert "the replay came to nothing" in text
    assert "replayed  the worker ended (exited 70)" in text
    assert "5 events before it replayed bit-identically, seq 1 to 6, in 1 instance" in text
    assert chain_json.replay_object("chat", verdict)["divergence"] == {
        "seq": 7,
        "kind": "text",
        "connection": 3,
        "input": "hello",
        "differs": [],
        "recorded": {"outcome": "ok", "replies": [["close", None]], "state_hash": STATE.hex()},
        "replayed": None,
        "detail": "the worker ended (exited 70)",
    }


def test_a_replay_accounts_for_what_it_did_not_run() -> None:
    """Quarantined deliveries, and what came before the first state that is kept."""
    lines = chain_text.replaying("chat", replay.Verdict(20, 40, 18, 2, 1, 9)).splitlines()
    assert lines == [
        "chat: 18 events replayed bit-identically, seq 20 to 40, in 2 instances",
        "1 event with outcome poison not run: workers died on them",
        "9 events before that not run: the state they began with is not kept",
    ]
