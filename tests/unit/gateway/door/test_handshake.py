"""What a handshake is judged to be, from its bytes alone."""

import pytest

from tests.integration.gateway_rig import KEY, request
from theater_supervisor.gateway.door.handshake import (
    Head,
    HeadReader,
    Rejection,
    hosts_of,
    origin_form,
    websocket_key,
)

MAX_BYTES = 2048


def judge(sent: bytes, step: int | None = None) -> str:
    """Return the origin form of an acceptable handshake."""
    head = read(sent, step)
    assert head is not None
    hosts_of(head)
    websocket_key(head)
    return origin_form(head)


def read(sent: bytes, step: int | None = None) -> Head | None:
    """Feed the bytes, `step` at a time, until the head is complete."""
    reader = HeadReader(MAX_BYTES)
    for start in range(0, len(sent), step or len(sent)):
        if head := reader.feed(sent[start : start + (step or len(sent))]):
            return head
    return None


def padded(size: int) -> bytes:
    """A good handshake of exactly so many bytes."""
    return request(extra=b"X: " + b"a" * (size - len(request()) - 5) + b"\r\n")


@pytest.mark.parametrize("step", [None, 1, 7])
@pytest.mark.parametrize(
    ("sent", "target"),
    [
        (request(), "/"),
        (request(b"GET /chat?a=b&c=%20 HTTP/1.1"), "/chat?a=b&c=%20"),
        (request(b"GET http://example.org/chat HTTP/1.1"), "/chat"),
        (request(b"GET HTTP://example.org HTTP/1.1"), "/"),
        (request(b"GET https://example.org?q HTTP/1.1"), "/?q"),
        (request(b"GET //evil/ HTTP/1.1"), "//evil/"),
        (request(connection=b"keep-alive, Upgrade"), "/"),
        (request(connection=b"UPGRADE", upgrade=b"WebSocket"), "/"),
        (request(upgrade=b"h2c, websocket"), "/"),
        (request(connection=b"keep-alive", extra=b"Connection: upgrade\r\n"), "/"),
        (request(host=b"[::1]:8080"), "/"),
        (request(host=b"example.org:8080"), "/"),
        (request(extra=b"Content-Length: 0\r\n"), "/"),
        (request(extra=b"User-Agent: \xff\xfe\r\n"), "/"),
        (padded(MAX_BYTES), "/"),
    ],
)
def test_a_good_handshake_is_accepted_however_it_is_cut(sent: bytes, target: str, step: int | None) -> None:
    """The target comes out in origin form."""
    assert judge(sent, step) == target


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(b"POST / HTTP/1.1"), 405),
        (request(b"HEAD / HTTP/1.1"), 405),
        (request(b"GET / HTTP/1.0"), 505),
        (request(b"GET chat HTTP/1.1"), 400),
        (request(b"GET ftp://example.org/ HTTP/1.1"), 400),
        (request(upgrade=None), 426),
        (request(upgrade=b"websockets"), 426),
        (request(connection=None), 426),
        (request(connection=b"close"), 426),
        (request(sec_websocket_version=b"13, 8"), 426),
        (request(sec_websocket_version=b"7"), 426),
        (request(sec_websocket_version=None), 400),
        (request(sec_websocket_key=None), 400),
        (request(sec_websocket_key=b""), 400),
        (request(sec_websocket_key=KEY + b"="), 400),
        (request(sec_websocket_key=b"\xff" * 24), 400),
        (request(extra=b"Sec-WebSocket-Key: " + KEY + b"\r\n"), 400),
        (request(host=b"a b"), 400),
        (request(host=b"a/b"), 400),
        (request(host=b"a:b"), 400),
        (request(host=b"\xc3\xa9"), 400),
        (request(extra=b"Content-Length: 1\r\n"), 400),
        (request(extra=b"Content-Length: 00\r\n"), 400),
        (request(extra=b"Transfer-Encoding: chunked\r\n"), 400),
        (request(extra=b"Transfer-Encoding: gzip\r\n"), 501),
        (padded(MAX_BYTES + 1), 431),
        (padded(10 * MAX_BYTES), 431),
        (b"\x16\x03\x01", 400),
    ],
)
def test_a_bad_handshake_is_rejected_with_its_status(sent: bytes, status: int, step: int | None) -> None:
    """However it is cut."""
    with pytest.raises(Rejection) as rejected:
        judge(sent, step)
    assert rejected.value.status == status


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (request(b"PUT / HTTP/1.1"), b"Allow: GET"),
        (request(upgrade=None), b"Upgrade: websocket"),
        (request(sec_websocket_version=b"8"), b"Sec-WebSocket-Version: 13"),
    ],
)
def test_a_rejection_says_how_it_would_have_worked(sent: bytes, expected: bytes) -> None:
    """By the headers that HTTP has for it, in a response that ends the connection."""
    with pytest.raises(Rejection) as rejected:
        judge(sent)
    head, _, body = rejected.value.to_bytes().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % rejected.value.status)
    assert expected in head.split(b"\r\n")
    assert b"Connection: close" in head.split(b"\r\n")
    assert b"Content-Length: %d" % len(body) in head.split(b"\r\n")
    assert body == f"{rejected.value.detail} [{rejected.value.error}]\n".encode()


@pytest.mark.parametrize("early", [b"", b"\x81\x80", bytes(5000), request()])
def test_what_follows_the_head_is_kept(early: bytes) -> None:
    """And doesn't count as part of it."""
    head = read(request() + early)
    assert head is not None
    assert head.early == early


@pytest.mark.parametrize("size", range(1, len(request()), 10))
def test_an_unfinished_head_is_waited_for(size: int) -> None:
    """Nothing is decided before the head is complete."""
    assert read(request()[:size]) is None


def test_only_the_checked_key_goes_on_to_the_websocket_layer() -> None:
    """Whatever else was in the head stays behind."""
    head = read(request(host=b"xn--99999999999", extra=b"Sec-WebSocket-Extensions: \xff\r\nX: y\r\n"))
    assert head is not None
    assert websocket_key(head) == KEY


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize("lines", [b"\r\n", b"\r\n" * 3])
def test_empty_lines_before_a_request_are_skipped(lines: bytes, step: int | None) -> None:
    """However they are cut (RFC 9112 section 2.2)."""
    assert judge(lines + request(), step) == "/"


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize(("sent", "status"), [(b"\r\n" * 20, 400), (b"\r" + request(), 400)])
def test_what_else_comes_before_a_request_is_refused(sent: bytes, status: int, step: int | None) -> None:
    """Empty lines without end, and what is no line."""
    with pytest.raises(Rejection) as rejected:
        read(sent, step)
    assert rejected.value.status == status


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        (b"/a?b", "/a?b", "127.0.0.1"),
        (b"http://chat.example:80/a?b", "/a?b", "chat.example:80"),
        (b"HTTPS://chat.example", "/", "chat.example"),
        (b"http://chat.example?b", "/?b", "chat.example"),
    ],
)
def test_a_target_in_absolute_form_says_the_host(target: bytes, path: str, host: str) -> None:
    """It goes before the Host header (RFC 9112 section 3.2.2)."""
    head = read(request(b"GET %s HTTP/1.1" % target))
    assert head is not None
    assert origin_form(head) == path
    assert hosts_of(head) == [host]


@pytest.mark.parametrize("target", [b"http://user@chat.example/", b"http:///a", b"http://a b/"[:8] + b"\\/"])
def test_a_target_whose_host_is_none_is_refused(target: bytes) -> None:
    """A user's name before it, too (RFC 9110 section 4.2.4)."""
    head = read(request(b"GET %s HTTP/1.1" % target))
    assert head is not None
    with pytest.raises(Rejection) as rejected:
        hosts_of(head)
    assert rejected.value.status == 400
