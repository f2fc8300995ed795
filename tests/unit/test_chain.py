"""The chain's bytes against golden vectors, and what the verifier finds wrong with a chain."""

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from theater_protocol import cbor
from theater_protocol.chain import Genesis, Instance, Seal, Transition, decode, encode, hash_body
from theater_protocol.errors import LocalProtocolError, RemoteProtocolError
from theater_protocol.ledger import (
    Checkpoint,
    Ledger,
    decode_checkpoint,
    encode_checkpoint,
    seal_checkpoint,
)
from theater_protocol.messages import Reply
from theater_protocol.verifier import ChainVerifier, Fault

GOLDEN = Path(__file__).parent.parent / "golden"
VECTORS: list[dict[str, Any]] = json.loads((GOLDEN / "chain.json").read_text("utf-8"))
CHECKPOINT: dict[str, Any] = json.loads((GOLDEN / "checkpoint.json").read_text("utf-8"))
each_vector = pytest.mark.parametrize("vector", VECTORS, ids=[f"{v['seq']}-{v['kind']}" for v in VECTORS])

TEXT = 4  # the seq of a text event with every kind of reply


def value(item: Any) -> Any:  # noqa: ANN401 - JSON
    """Read a vector's value: bytes are written as {"hex": …}."""
    if isinstance(item, dict):
        return bytes.fromhex(item["hex"])
    return [value(one) for one in item] if isinstance(item, list) else item


def transition(vector: dict[str, Any]) -> Transition:
    """Read a vector's fields."""
    given = value(vector["input"])
    match vector["kind"]:
        case "genesis":
            given = Genesis(given[0], given[1])
        case "instance":
            given = Instance(*given)
    return Transition(
        vector["seq"],
        bytes.fromhex(vector["prev"]),
        vector["at"],
        vector["kind"],
        vector["connection"],
        given,
        vector["outcome"],
        tuple(Reply(*pair) for pair in value(vector["replies"])),
        bytes.fromhex(vector["state_hash"]) if vector["state_hash"] else None,
    )


def golden_checkpoint() -> Checkpoint:
    """Read the checkpoint vector's fields."""
    return Checkpoint(
        CHECKPOINT["actor"],
        CHECKPOINT["seq"],
        bytes.fromhex(CHECKPOINT["hash"]),
        CHECKPOINT["at"],
        None,
        tuple(CHECKPOINT["open_connections"]),
        CHECKPOINT["last_connection"],
        CHECKPOINT["initialised"],
    )


def linked(transitions: list[Transition]) -> list[tuple[int, bytes, bytes]]:
    """Give transitions their seq and prev, and return their rows."""
    rows: list[tuple[int, bytes, bytes]] = []
    prev = bytes(32)
    for seq, one in enumerate(transitions):
        body = encode(one._replace(seq=seq, prev=prev))
        prev = hash_body(body)
        rows.append((seq, prev, body))
    return rows


def first_fault(rows: list[tuple[int, bytes, bytes]], verifier: ChainVerifier | None = None) -> Fault | None:
    """Feed rows until one is wrong."""
    verifier = verifier or ChainVerifier()
    return next((fault for row in rows if (fault := verifier.feed(*row))), None)


@each_vector
def test_a_transition_encodes_to_its_golden_bytes(vector: dict[str, Any]) -> None:
    """Fields to bytes and hash, as an independent encoder wrote them down."""
    body = encode(transition(vector))
    assert body.hex() == vector["body"]
    assert hash_body(body).hex() == vector["hash"]


@each_vector
def test_golden_bytes_decode_to_their_transition(vector: dict[str, Any]) -> None:
    """Bytes to fields."""
    assert decode(bytes.fromhex(vector["body"])) == transition(vector)


def test_the_golden_chain_verifies() -> None:
    """All vectors are one chain; the verifier ends at its head with nothing open."""
    verifier = ChainVerifier()
    rows = [(v["seq"], bytes.fromhex(v["hash"]), bytes.fromhex(v["body"])) for v in VECTORS]
    assert first_fault(rows, verifier) is None
    assert (verifier.actor, verifier.seq, verifier.hash) == ("chat", rows[-1][0], rows[-1][1])
    assert not verifier.ledger.open


def test_the_golden_checkpoint_in_both_directions() -> None:
    """The checkpoint after seq 10 has its golden bytes and seal; the rest verifies from it."""
    rows = [(v["seq"], bytes.fromhex(v["hash"]), bytes.fromhex(v["body"])) for v in VECTORS]
    verifier = ChainVerifier()
    assert first_fault(rows[:11], verifier) is None
    body = encode_checkpoint(verifier.checkpoint())
    assert body.hex() == CHECKPOINT["body"]
    assert seal_checkpoint(body).hex() == CHECKPOINT["seal"]
    checkpoint = decode_checkpoint(body)
    assert checkpoint == golden_checkpoint()
    assert first_fault(rows[11:], ChainVerifier(checkpoint)) is None


# The bytes of the kinds that no event has, by hand: array of 10, format, seq, prev, time, kind, …
LATER_KINDS = {
    "seal": (
        Transition(24, bytes(32), 7, "seal", 0, Seal(23, b"s" * 32), "ok", (), None),
        "8a01 1818 5820" + "00" * 32 + "07 647365616c 00 82 17 5820" + "73" * 32 + "626f6b 80 f6",
    ),
    "state": (
        Transition(1, bytes(32), 7, "state", 0, b"{}", "ok", (), sha256(b"{}").digest()),
        "8a01 01 5820" + "00" * 32 + "07 657374617465 00 427b7d 626f6b 80 5820" + sha256(b"{}").hexdigest(),
    ),
    "state none": (
        Transition(1, bytes(32), 7, "state", 0, None, "ok", (), None),
        "8a01 01 5820" + "00" * 32 + "07 657374617465 00 f6 626f6b 80 f6",
    ),
}


@pytest.mark.parametrize(("made", "body"), LATER_KINDS.values(), ids=LATER_KINDS)
def test_seals_and_set_states_have_their_bytes(made: Transition, body: str) -> None:
    """In both directions; neither can have another outcome than ok."""
    assert encode(made) == bytes.fromhex(body)
    assert decode(bytes.fromhex(body)) == made
    with pytest.raises(LocalProtocolError):
        encode(made._replace(outcome="err"))


SEALS = {
    "of an earlier seq that does not begin the chain": (Seal(3, bytes(32)), "does not begin this chain"),
    "of another checkpoint": (Seal(10, bytes(32)), "one of the two was replaced"),
    "of a later seq": (Seal(11, bytes(32)), "does not begin this chain"),
}


@pytest.mark.parametrize(("seal", "what"), SEALS.values(), ids=SEALS)
def test_a_seal_is_that_of_the_checkpoint_it_names(seal: Seal, what: str) -> None:
    """Else one of the two was replaced."""
    rows = [(v["seq"], bytes.fromhex(v["hash"]), bytes.fromhex(v["body"])) for v in VECTORS]
    verifier = ChainVerifier()
    assert first_fault(rows[:11], verifier) is None
    checkpoint = verifier.checkpoint()
    right = Seal(10, seal_checkpoint(encode_checkpoint(checkpoint)))

    def fed(given: Seal, verifier: ChainVerifier) -> Fault | None:
        state_hash = checkpoint.state_hash
        body = encode(Transition(11, checkpoint.hash, 7, "seal", 0, given, "ok", (), state_hash))
        return verifier.feed(11, hash_body(body), body)

    beginning = ChainVerifier(checkpoint)
    assert fed(right, beginning) is None
    assert beginning.sealed_at == 11
    fault = fed(seal, verifier)
    assert fault is not None
    assert what in fault.what


MALFORMED: dict[str, Callable[[list[Any]], object]] = {
    "not an array": lambda item: "text",
    "a field short": lambda item: item[:-1],
    "a field more": lambda item: [*item, None],
    "another format": lambda item: [2, *item[1:]],
    "a boolean format": lambda item: [True, *item[1:]],
    "a negative seq": lambda item: [1, -1, *item[2:]],
    "a short prev": lambda item: [*item[:2], bytes(31), *item[3:]],
    "a text time": lambda item: [*item[:3], "now", *item[4:]],
    "an unknown kind": lambda item: [*item[:4], "message", *item[5:]],
    "no connection": lambda item: [*item[:5], 0, *item[6:]],
    "an input of another kind": lambda item: [*item[:6], b"bytes", *item[7:]],
    "an unknown outcome": lambda item: [*item[:7], "fine", *item[8:]],
    "replies without ok": lambda item: [*item[:7], "err", *item[8:]],
    "a reply of three": lambda item: [*item[:8], [["text", "a", None]], item[9]],
    "an unknown reply": lambda item: [*item[:8], [["shout", "a"]], item[9]],
    "a reply of another kind": lambda item: [*item[:8], [["text", b"a"]], item[9]],
    "a short state hash": lambda item: [*item[:9], bytes(16)],
}


@pytest.mark.parametrize("spoil", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_body_is_refused(spoil: Callable[[list[Any]], object]) -> None:
    """Each field has one form; anything else raises RemoteProtocolError."""
    item = cbor.decode(bytes.fromhex(VECTORS[TEXT]["body"]))
    assert isinstance(item, list)
    with pytest.raises(RemoteProtocolError):
        decode(cbor.encode(spoil(item)))


@pytest.mark.parametrize("seq", [0, 1], ids=["genesis", "instance"])
@pytest.mark.parametrize("given", [[], ["chat"], [b"", b""], ["chat", bytes(32), 2]], ids=repr)
def test_a_malformed_boundary_is_refused(seq: int, given: list[object]) -> None:
    """The inputs of genesis and instance have one form each."""
    item = cbor.decode(bytes.fromhex(VECTORS[seq]["body"]))
    assert isinstance(item, list)
    with pytest.raises(RemoteProtocolError, match="malformed"):
        decode(cbor.encode([*item[:6], given, *item[7:]]))


def longer_forms(body: bytes) -> Iterator[bytes]:
    """Yield the body with one of its heads a step longer, for each head that can be (RFC 8949, section 3)."""
    at = 0
    while at < len(body):
        major, info = body[at] & 0xE0, body[at] & 0x1F
        width = 0 if info < 24 else 1 << (info - 24)
        argument = int.from_bytes(body[at + 1 : at + 1 + width], "big") if width else info
        after = at + 1 + width
        if major != 0xE0 and width < 8:
            longer = width * 2 or 1
            head = bytes([major | (24 + longer.bit_length() - 1)]) + argument.to_bytes(longer, "big")
            yield body[:at] + head + body[after:]
        at = after + (argument if major in (0x40, 0x60) else 0)


@each_vector
def test_a_body_with_a_longer_head_is_refused(vector: dict[str, Any]) -> None:
    """Every integer, every length and every array of a body is in its shortest form, or it is no body."""
    forms = list(longer_forms(bytes.fromhex(vector["body"])))
    assert len(forms) >= 8
    for form in forms:
        cbor.decode(form)
        with pytest.raises(RemoteProtocolError, match="shortest"):
            decode(form)


def test_bytes_after_the_body_are_refused() -> None:
    """A body is one item, whole."""
    with pytest.raises(RemoteProtocolError):
        decode(bytes.fromhex(VECTORS[0]["body"]) + b"\0")


def test_what_cannot_be_read_is_not_written() -> None:
    """Encoding refuses what decoding would: a bug on this side is caught before it is in the chain."""
    with pytest.raises(LocalProtocolError, match="input of text"):
        encode(transition(VECTORS[TEXT])._replace(input=b"bytes"))


FAULTY: dict[str, tuple[Callable[[list[Transition]], list[Transition]], int, str]] = {
    "no genesis": (lambda chain: chain[1:], 0, "genesis is missing"),
    "a second genesis": (lambda chain: [chain[0], *chain], 1, "a second genesis"),
    "connect twice": (lambda chain: [*chain[:4], *chain[3:]], 4, "open already"),
    "connect of a used id": (
        lambda chain: [*chain, chain[3]._replace(state_hash=None)],
        14,
        "after connection",
    ),
    "close twice": (lambda chain: [*chain, chain[13]], 14, "close of connection 70000, which is not open"),
    "an event before its connect": (lambda chain: [*chain[:3], *chain[4:]], 3, "text of connection 1"),
    "err with a new state": (
        lambda chain: [*chain[:5], chain[5]._replace(state_hash=bytes(32)), *chain[6:]],
        5,
        "state changes in text with outcome err",
    ),
    "an instance with a new state": (
        lambda chain: [*chain[:11], chain[11]._replace(state_hash=bytes(32)), *chain[12:]],
        11,
        "state changes in instance",
    ),
}


@pytest.mark.parametrize(("spoil", "seq", "what"), FAULTY.values(), ids=FAULTY.keys())
def test_a_chain_whose_events_do_not_follow_is_faulty(
    spoil: Callable[[list[Transition]], list[Transition]], seq: int, what: str
) -> None:
    """Links that are right do not hide a ledger that is wrong."""
    fault = first_fault(linked(spoil([transition(vector) for vector in VECTORS])))
    assert fault is not None
    assert fault.seq == seq
    assert what in fault.what


Rows = list[tuple[int, bytes, bytes]]
TAMPERED: dict[str, tuple[Callable[[Rows], Rows], int, str]] = {
    "deleted": (lambda rows: [*rows[:5], *rows[6:]], 5, "missing"),
    "first deleted": (lambda rows: rows[1:], 0, "genesis is missing"),
    "repeated": (lambda rows: [*rows[:5], rows[4], *rows[5:]], 4, "out of order"),
    "swapped": (lambda rows: [*rows[:5], (5, *rows[6][1:]), (6, *rows[5][1:])], 5, "seq 6: moved"),
    "moved with another hash": (
        lambda rows: [*rows[:5], (5, rows[5][1], rows[6][2])],
        5,
        "moved or repeated",
    ),
    "hash changed": (lambda rows: [*rows[:5], (5, bytes(32), rows[5][2])], 5, "changed or replaced"),
    "body cut": (lambda rows: [*rows[:5], (5, rows[5][1], rows[5][2][:-1])], 5, "changed"),
    "body not bytes": (lambda rows: [*rows[:5], (5, rows[5][1], "text")], 5, "malformed"),  # type: ignore[list-item]
    "nonsense with its hash": (lambda rows: [*rows[:5], (5, hash_body(b"\0"), b"\0")], 5, "malformed"),
    "replaced": (
        lambda rows: [*rows[:5], (5, hash_body(other := _other(rows[5][2])), other), *rows[6:]],
        6,
        "one of the two was replaced",
    ),
}


def _other(body: bytes) -> bytes:
    return encode(decode(body)._replace(at_us=1))


@pytest.mark.parametrize(("spoil", "seq", "what"), TAMPERED.values(), ids=TAMPERED.keys())
def test_a_broken_link_is_named_by_its_seq(spoil: Callable[[Rows], Rows], seq: int, what: str) -> None:
    """The verifier says which row is the first bad one, and how it is bad."""
    fault = first_fault(spoil(linked([transition(vector) for vector in VECTORS])))
    assert fault is not None
    assert fault.seq == seq
    assert what in str(fault)


SPOILED_CHECKPOINTS: dict[str, Callable[[list[Any]], object]] = {
    "not an array": lambda item: None,
    "another format": lambda item: [2, *item[1:]],
    "an actor of bytes": lambda item: [1, b"chat", *item[2:]],
    "a negative seq": lambda item: [*item[:2], -1, *item[3:]],
    "a short hash": lambda item: [*item[:3], b"", *item[4:]],
    "connections out of order": lambda item: [*item[:6], [2, 1], *item[7:]],
    "a connection beyond the last": lambda item: [*item[:6], [70001], *item[7:]],
    "a number for initialised": lambda item: [*item[:8], 1],
}


@pytest.mark.parametrize("spoil", SPOILED_CHECKPOINTS.values(), ids=SPOILED_CHECKPOINTS.keys())
def test_a_malformed_checkpoint_is_refused(spoil: Callable[[list[Any]], object]) -> None:
    """Each field of a checkpoint has one form, too."""
    item = cbor.decode(bytes.fromhex(CHECKPOINT["body"]))
    assert isinstance(item, list)
    with pytest.raises(RemoteProtocolError):
        decode_checkpoint(cbor.encode(spoil(item)))


def test_a_copied_ledger_goes_its_own_way() -> None:
    """What is applied to a copy does not show in the original."""
    ledger = Ledger()
    copy = ledger.copy()
    assert copy.apply("connect", 1, "ok", None) is None
    assert (ledger.open, ledger.last_connection, ledger.initialised) == (set(), 0, False)
    assert (copy.open, copy.last_connection, copy.initialised) == ({1}, 1, True)
