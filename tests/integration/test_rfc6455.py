"""The rules of RFC 6455 (and RFC 7692), case by case, through one real supervisor that serves an echo actor.

Autobahn|Testsuite's case groups are the map: its numbers are in the ids. Each case is what a client sends and
what it has to get; a close code ends it. All cases share the supervisor, so each one also shows that the ones
before it did no harm.
"""

import itertools
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
import trio
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from tests.integration.gateway_rig import BINARY, CLOSE, PING, PONG, TEXT, RawClient, frame, request
from tests.integration.running import supervisor_beside, write_manifest

CONTINUATION = 0
MIB = 1024 * 1024
PATIENCE_S = 60
Expected = str | bytes | Ping | Pong | int | None


@dataclass(frozen=True)
class Case:
    """What is sent, chopped into writes of `chop` bytes, and what comes: messages, pongs, a close code.

    `then` is sent when everything but the close code has come: who breaks a rule isn't owed what the actor
    has not answered yet.
    """

    sent: bytes
    expected: tuple[Expected, ...]
    chop: int = 0
    then: bytes = b""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an echo actor with compression on and 16 MiB messages."""
    directory = tmp_path_factory.mktemp("rfc6455")
    write_manifest(directory, "echo", "echo", compression=True, max_message_size=16 * MIB)
    with supervisor_beside(directory) as running:
        port = urlsplit(running.urls["echo"]).port
        assert port is not None
        yield port
        assert not [event for event in running.events() if event["level"] in ("error", "critical")]
    shutil.rmtree(running.var / "data")  # every message is in the chain, the large ones too


async def connect(port: int, extra: bytes = b"") -> tuple[RawClient, bytes]:
    """Do a good handshake; return the client and the response's head."""
    client = RawClient(await trio.open_tcp_stream("127.0.0.1", port))
    await client.send(request(extra=extra))
    return client, await client.response()


async def message(client: RawClient) -> object:
    """Return the next message, whole, pong or close code as a case expects it."""
    pieces: list[str | bytes] = []
    while True:
        match await client.event():
            case (
                TextMessage(data=data, message_finished=finished)
                | BytesMessage(data=data, message_finished=finished)
            ):
                pieces.append(data if isinstance(data, str) else bytes(data))
                if finished:
                    return ("" if isinstance(pieces[0], str) else b"").join(pieces)  # type: ignore[arg-type]
            case CloseConnection(code=code):
                return None if code is CloseReason.NO_STATUS_RCVD else int(code)
            case event:
                return event


async def play(port: int, case: Case) -> None:
    """Send and compare; at the end close, or see that the server has closed."""
    client, _ = await connect(port)
    closed = bool(case.expected) and isinstance(case.expected[-1], int | None)
    before = case.expected[:-1] if case.then else case.expected
    with trio.fail_after(PATIENCE_S):
        async with client.stream:
            await exchange(client, case.sent, case.chop, before)
            if case.then:
                await exchange(client, case.then, case.chop, case.expected[-1:])
            if closed:
                assert await client.rest() == b""
            else:
                await client.send(frame(CLOSE, b"\x03\xe8"))
                assert await message(client) == 1000


async def exchange(client: RawClient, sent: bytes, chop: int, replies: tuple[Expected, ...]) -> None:
    """Send and, meanwhile, get what is expected."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_chopped, client, sent, chop)
        for expected in replies:
            assert await message(client) == expected


async def send_chopped(client: RawClient, sent: bytes, chop: int) -> None:
    """Send it in writes of `chop` bytes, or in one."""
    step = chop or max(1, len(sent))
    try:
        for at in range(0, len(sent), step):
            await client.send(sent[at : at + step])
            if chop:
                await trio.lowlevel.checkpoint()
    except trio.BrokenResourceError:
        pass  # the server has closed: what it said is compared


def fragments(kind: int, *payloads: bytes, between: bytes = b"") -> bytes:
    """One message in fragments, with other frames between them."""
    last = len(payloads) - 1
    return between.join(
        frame(kind if number == 0 else CONTINUATION, payload, fin=number == last)
        for number, payload in enumerate(payloads)
    )


def echoed(kind: int, payload: bytes) -> str | bytes:
    """What the echo of a message is."""
    return payload.decode() if kind == TEXT else payload


NAMES = {TEXT: "text", BINARY: "binary"}
SIZES = (0, 1, 125, 126, 127, 128, 255, 65535, 65536, 65537, 131072)
CASES: dict[str, Case] = {}

# 1: framing.
for kind, size in itertools.product(NAMES, SIZES):
    payload = b"*" * size
    CASES[f"1-{NAMES[kind]}-{size}"] = Case(frame(kind, payload), (echoed(kind, payload),))
for kind, size, chop in itertools.product(NAMES, (126, 1000, 65536), (1, 997)):
    if size > 1000 and chop == 1:
        continue
    payload = b"*" * size
    CASES[f"1-{NAMES[kind]}-{size}-chopped-{chop}"] = Case(
        frame(kind, payload), (echoed(kind, payload),), chop
    )

# 2: pings and pongs.
for size in (0, 1, 5, 124, 125):
    CASES[f"2-ping-{size}"] = Case(frame(PING, bytes(size)), (Pong(bytes(size)),))
    CASES[f"2-ping-{size}-chopped"] = Case(frame(PING, bytes(size)), (Pong(bytes(size)),), 1)
    CASES[f"2-pong-unsolicited-{size}"] = Case(frame(PONG, bytes(size)) + frame(PING, b"p"), (Pong(b"p"),))
CASES["2-ping-binary"] = Case(
    frame(PING, b"\0\xff\xfe\xfd\xfc\xfb\0\xff"), (Pong(b"\0\xff\xfe\xfd\xfc\xfb\0\xff"),)
)
CASES["2-ping-too-long"] = Case(frame(PING, bytes(126)), (1002,))
CASES["2-pong-too-long"] = Case(frame(PONG, bytes(126)), (1002,))
for chop in (0, 1):
    CASES[f"2-ten-pings-chopped-{chop}"] = Case(
        b"".join(frame(PING, b"%d" % number) for number in range(10)),
        tuple(Pong(b"%d" % number) for number in range(10)),
        chop,
    )

# 3: reserved bits; 4: reserved opcodes.
for rsv, opcode in itertools.product(range(1, 8), (TEXT, BINARY, PING, PONG, CLOSE)):
    if rsv == 4 and opcode in (TEXT, BINARY):
        continue  # that is a compressed message, once compression is agreed on; without, see below
    CASES[f"3-rsv-{rsv}-opcode-{opcode}"] = Case(
        frame(TEXT, b"good"), ("good", 1002), then=frame(opcode, b"\x03\xe8", rsv=rsv)
    )
CASES["3-rsv-4-without-compression-text"] = Case(frame(TEXT, b"x", rsv=4), (1002,))
CASES["3-rsv-4-without-compression-binary"] = Case(frame(BINARY, b"x", rsv=4), (1002,))
for opcode, payload, chop in itertools.product((*range(3, 8), *range(11, 16)), (b"", b"reserved"), (0, 1)):
    CASES[f"4-opcode-{opcode}-{len(payload)}-chopped-{chop}"] = Case(
        frame(TEXT, b"good"), ("good", 1002), chop, frame(opcode, payload)
    )

# 5: fragmentation.
for opcode in (PING, PONG, CLOSE):
    CASES[f"5-control-{opcode}-fragmented"] = Case(fragments(opcode, b"a", b"b"), (1002,))
for kind, count, chop in itertools.product(NAMES, (2, 3, 10, 100), (0, 1, 7)):
    pieces = [b"piece%d" % number for number in range(count)]
    CASES[f"5-{NAMES[kind]}-in-{count}-chopped-{chop}"] = Case(
        fragments(kind, *pieces), (echoed(kind, b"".join(pieces)),), chop
    )
    CASES[f"5-{NAMES[kind]}-in-{count}-ping-between-chopped-{chop}"] = Case(
        fragments(kind, *pieces, between=frame(PING, b"between")),
        (*[Pong(b"between")] * (count - 1), echoed(kind, b"".join(pieces))),
        chop,
    )
for fin, then, chop in itertools.product((True, False), (b"", frame(TEXT, b"after")), (0, 1)):
    CASES[f"5-continuation-of-nothing-fin-{fin}-{len(then)}-chopped-{chop}"] = Case(
        frame(CONTINUATION, b"x", fin=fin) + then, (1002,), chop
    )
    CASES[f"5-continuation-after-the-end-fin-{fin}-{len(then)}-chopped-{chop}"] = Case(
        fragments(TEXT, b"a", b"b"), ("ab", 1002), chop, frame(CONTINUATION, b"x", fin=fin) + then
    )
for first, second in itertools.product(NAMES, NAMES):
    CASES[f"5-{NAMES[second]}-within-{NAMES[first]}"] = Case(
        frame(first, b"a", fin=False) + frame(second, b"b"), (1002,)
    )

# 6: UTF-8.
GOOD_TEXT = {
    "ascii": "Hello-µ@ßöäüàá-UTF-8!!",
    "greek": "κόσμε",
    "first-of-2": "\u0080",
    "first-of-3": "\u0800",
    "first-of-4": "\U00010000",
    "last-of-1": "\u007f",
    "last-of-2": "\u07ff",
    "last-of-3": "\uffff",
    "last-of-4": "\U0010ffff",
    "before-surrogates": "\ud7ff",
    "after-surrogates": "\ue000",
    "replacement": "\ufffd",
    "nul": "a\0b",
    "bom": "\ufeffx",
    **{f"noncharacter-{plane:x}fffe": chr(plane << 16 | 0xFFFE) for plane in range(17)},
}
BAD_TEXT = {
    "lone-continuation": b"\x80",
    "two-continuations": b"\x80\xbf",
    "lone-start-of-2": b"\xc2 ",
    "lone-start-of-3": b"\xe0 ",
    "lone-start-of-4": b"\xf0 ",
    "cut-2": b"\xc3",
    "cut-3": b"\xe2\x98",
    "cut-4": b"\xf0\x9f\x98",
    "start-of-5": b"\xf8\x88\x80\x80\x80",
    "start-of-6": b"\xfc\x84\x80\x80\x80\x80",
    "fe": b"\xfe",
    "ff": b"\xff",
    "over-2": b"\xc0\xaf",
    "over-3": b"\xe0\x80\xaf",
    "over-4": b"\xf0\x80\x80\xaf",
    "over-nul": b"\xc0\x80",
    "over-max-2": b"\xc1\xbf",
    "over-max-3": b"\xe0\x9f\xbf",
    "over-max-4": b"\xf0\x8f\xbf\xbf",
    "beyond-unicode": b"\xf4\x90\x80\x80",
    "surrogate-high": b"\xed\xa0\x80",
    "surrogate-low": b"\xed\xbf\xbf",
    "surrogate-pair": b"\xed\xa0\x80\xed\xb0\x80",
    "good-then-bad": "κόσμε".encode() + b"\xed\xa0\x80edited",
}
for name, text in GOOD_TEXT.items():
    data = text.encode()
    CASES[f"6-good-{name}"] = Case(frame(TEXT, data), (text,))
    each = [data[at : at + 1] for at in range(len(data))]
    CASES[f"6-good-{name}-each-byte-a-fragment"] = Case(fragments(TEXT, *each, b""), (text,))
    CASES[f"6-good-{name}-chopped"] = Case(frame(TEXT, data), (text,), 1)
for name, data in BAD_TEXT.items():
    CASES[f"6-bad-{name}"] = Case(frame(TEXT, data), (1007,))
    each = [data[at : at + 1] for at in range(len(data))]
    CASES[f"6-bad-{name}-each-byte-a-fragment"] = Case(fragments(TEXT, *each, b""), (1007,))
    CASES[f"6-bad-{name}-chopped"] = Case(frame(TEXT, data), (1007,), 1)
    CASES[f"6-binary-{name}"] = Case(frame(BINARY, data), (data,))
CASES["6-bad-at-once-before-the-end"] = Case(frame(TEXT, b"\xed\xa0\x80", fin=False), (1007,))
CASES["6-bad-at-once-within-a-frame"] = Case(b"\x81\xfe\x10\x00" + bytes(4) + b"\xff", (1007,))

# 7: closing.
CASES["7-close-empty"] = Case(frame(CLOSE), (None,))
CASES["7-close-one-byte"] = Case(frame(CLOSE, b"\x03"), (1002,))
CASES["7-close-reason-longest"] = Case(frame(CLOSE, b"\x03\xe8" + b"*" * 123), (1000,))
CASES["7-close-reason-too-long"] = Case(frame(CLOSE, b"\x03\xe8" + b"*" * 124), (1002,))
CASES["7-close-reason-not-utf8"] = Case(frame(CLOSE, b"\x03\xe8\xce\xba\xe1\xbd"), (1007,))
CASES["7-close-twice"] = Case(frame(CLOSE, b"\x03\xe8") * 2, (1000,))
CASES["7-message-after-close"] = Case(frame(CLOSE, b"\x03\xe8") + frame(TEXT, b"x"), (1000,))
CASES["7-ping-after-close"] = Case(frame(CLOSE, b"\x03\xe8") + frame(PING), (1000,))
CASES["7-close-within-a-message"] = Case(
    frame(TEXT, b"a", fin=False) + frame(CLOSE, b"\x03\xe8") + frame(CONTINUATION, b"b"), (1000,)
)
for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
    CASES[f"7-code-{code}"] = Case(frame(CLOSE, code.to_bytes(2) + b"why"), (code,))
for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
    CASES[f"7-code-{code}-refused"] = Case(frame(CLOSE, code.to_bytes(2)), (1002,))

# 9: large messages, whole, in fragments and chopped.
for kind, size in itertools.product(NAMES, (64 * 1024, MIB, 4 * MIB, 16 * MIB)):
    payload = b"0123456789abcdef" * (size // 16)
    CASES[f"9-{NAMES[kind]}-{size}"] = Case(frame(kind, payload), (echoed(kind, payload),))
for kind, piece in itertools.product(NAMES, (64, 256, 1024, 65536)):
    payload = b"0123456789abcdef" * (256 * 1024 // 16)
    pieces = [payload[at : at + piece] for at in range(0, len(payload), piece)]
    CASES[f"9-{NAMES[kind]}-in-fragments-of-{piece}"] = Case(
        fragments(kind, *pieces), (echoed(kind, payload),)
    )
for kind, chop in itertools.product(NAMES, (64, 512, 4096)):
    payload = b"0123456789abcdef" * (128 * 1024 // 16)
    CASES[f"9-{NAMES[kind]}-chopped-{chop}"] = Case(frame(kind, payload), (echoed(kind, payload),), chop)
for kind, cut in itertools.product(NAMES, (64 * 1024, 4 * MIB)):
    payload = b"0123456789abcdef" * MIB
    pieces = [payload[at : at + cut] for at in range(0, len(payload), cut)]
    CASES[f"9-{NAMES[kind]}-{len(payload)}-in-fragments-of-{cut}"] = Case(
        fragments(kind, *pieces), (echoed(kind, payload),)
    )
    CASES[f"9-{NAMES[kind]}-{len(payload)}-chopped-{cut}"] = Case(
        frame(kind, payload), (echoed(kind, payload),), cut
    )
for kind in NAMES:
    CASES[f"9-{NAMES[kind]}-too-big"] = Case(frame(kind, b"x" * (16 * MIB + 1)), (1009,))

# 10: many fragments of one byte after another.
CASES["10-auto-fragments"] = Case(fragments(TEXT, *[b"*" * 1300] * 50, b"*" * 536), ("*" * 65536,))


@pytest.mark.parametrize("case", CASES)
def test_a_client_gets_what_the_rfc_says(case: str, port: int) -> None:
    """The exact echo, the pong, or the close code, and nothing after a close."""
    trio.run(play, port, CASES[case])


# 12 and 13: permessage-deflate.
PAYLOADS = {
    "empty": b"",
    "short": b"Hello",
    "json": b'{"user": "anna", "text": "hello", "room": 7}' * 40,
    "zeros": bytes(200_000),
    "noise": bytes((number * number * 31 + number // 7) % 251 for number in range(50_000)),
    "bound-125": b"ab" * 62 + b"c",
    "bound-65536": b"0123456789abcdef" * 4096,
}
OFFERS = {
    "plain": "",
    "client-bits": "client_max_window_bits",
    "client-bits-9": "client_max_window_bits=9",
    "server-bits-9": "server_max_window_bits=9",
    "server-bits-15": "server_max_window_bits=15",
    "no-takeover": "server_no_context_takeover; client_no_context_takeover",
    "all": "server_no_context_takeover; client_no_context_takeover; "
    "server_max_window_bits=10; client_max_window_bits=10",
}


def deflate(stream: "zlib._Compress", data: bytes) -> bytes:
    """Compress a message as a client does."""
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4] or b"\0"


async def compressed_frame(client: RawClient, inflate: "zlib._Decompress") -> bytes:
    """Read one frame by hand and inflate it; it must be marked as compressed."""
    data = client._received

    async def upto(count: int) -> None:
        nonlocal data
        while len(data) < count:
            more = await client.stream.receive_some()
            assert more
            data += more

    await upto(2)
    assert data[0] & 0x70 == 0x40
    length, head = data[1], 2
    if length >= 126:
        head = 4 if length == 126 else 10
        await upto(head)
        length = int.from_bytes(data[2:head], "big")
    await upto(head + length)
    client._received = data[head + length :]
    return inflate.decompress(data[head : head + length] + b"\0\0\xff\xff")


@pytest.mark.parametrize("cut", ["whole", "in-fragments", "ping-between"])
@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("offer", OFFERS)
def test_compressed_messages_are_echoed(offer: str, payload: str, cut: str, port: int) -> None:
    """12/13: whatever was agreed on, three times the same message, whole and in fragments."""
    data, parameters = PAYLOADS[payload], OFFERS[offer]
    extra = "; ".join(["Sec-WebSocket-Extensions: permessage-deflate", *filter(None, [parameters])])
    bits = 9 if offer == "client-bits-9" else 10 if offer == "all" else 15

    async def main() -> None:
        client, head = await connect(port, extra.encode() + b"\r\n")
        assert b"permessage-deflate" in head
        inflate = zlib.decompressobj(-15)
        stream = zlib.compressobj(6, zlib.DEFLATED, -bits)
        with trio.fail_after(PATIENCE_S):
            async with client.stream:
                for _ in range(3):
                    if "no_context" in parameters:
                        stream = zlib.compressobj(6, zlib.DEFLATED, -bits)
                        inflate = zlib.decompressobj(-15)
                    await client.send(*cut_compressed(deflate(stream, data), cut))
                    for _ in range(2 if cut == "ping-between" else 0):
                        await skip_pong(client)
                    assert await compressed_frame(client, inflate) == data

    trio.run(main)


def cut_compressed(deflated: bytes, cut: str) -> list[bytes]:
    """A compressed message's frames: only the first one has the bit."""
    if cut == "whole":
        return [frame(BINARY, deflated, rsv=4)]
    third = len(deflated) // 3
    pieces = [deflated[:third], deflated[third : 2 * third], deflated[2 * third :]]
    frames = [
        frame(BINARY, pieces[0], fin=False, rsv=4),
        frame(CONTINUATION, pieces[1], fin=False),
        frame(CONTINUATION, pieces[2]),
    ]
    if cut == "in-fragments":
        return frames
    return [frames[0], frame(PING, b"p"), frames[1], frame(PING, b"p"), frames[2]]


async def skip_pong(client: RawClient) -> None:
    """Read the three bytes of an uncompressed pong."""
    while len(client._received) < 3:
        client._received += await client.stream.receive_some()
    assert client._received[:3] == b"\x8a\x01p"
    client._received = client._received[3:]


DEFLATE_BROKEN = {
    "no-deflate-data": (frame(TEXT, b"\xff\xff\xff", rsv=4), 1007),
    "bit-on-a-continuation": (frame(TEXT, b"", fin=False, rsv=4) + frame(CONTINUATION, b"x", rsv=4), 1002),
    "bit-on-a-ping": (frame(PING, b"x", rsv=4), 1002),
    "bit-on-a-close": (frame(CLOSE, b"\x03\xe8", rsv=4), 1002),
    "other-bits": (frame(TEXT, b"x", rsv=6), 1002),
    "not-utf8-inside": (frame(TEXT, deflate(zlib.compressobj(6, zlib.DEFLATED, -15), b"\xff"), rsv=4), 1007),
    "bomb": (
        frame(BINARY, deflate(zlib.compressobj(9, zlib.DEFLATED, -15), bytes(17 * MIB)), rsv=4),
        1009,
    ),
}


@pytest.mark.parametrize("case", DEFLATE_BROKEN)
def test_broken_compression_is_answered_with_its_code(case: str, port: int) -> None:
    """13: what is no deflate data, marked wrongly, or inflates beyond the bound."""
    sent, code = DEFLATE_BROKEN[case]

    async def main() -> None:
        client, _ = await connect(port, b"Sec-WebSocket-Extensions: permessage-deflate\r\n")
        with trio.fail_after(PATIENCE_S):
            async with client.stream:
                await client.send(sent)
                assert (await client.close_frame()).code == code

    trio.run(main)
