"""Reading and judging the opening handshake (RFC 6455 section 4.2). Sans-IO: bytes in, a decision out.

h11 parses the head, within a size bound; what is wrong with it becomes a Rejection, which knows its HTTP
response. Of what passes the WebSocket layer only ever sees the key that was checked here. Which path is
served, and whether there is room, is decided elsewhere.
"""

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import h11

from theater_supervisor.exchange import new_error_id

_WEBSOCKET_VERSION: Final = b"13"
_NONCE_BYTES: Final = 16
Headers = tuple[tuple[bytes, bytes], ...]

_UPGRADE_TO: Final = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
_ABSOLUTE_FORM: Final = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
_MAX_EMPTY_BYTES: Final = 16
_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)*")
# RFC 3986 section 3.2: an IP literal or a registered name, and a port.
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(:[0-9]*)?")


class Rejection(Exception):
    """A handshake that is refused with an HTTP response.

    `detail` goes to the client in the response's body: short, and never anything the client sent. `note` is
    for the log alone: why, and how to allow it. Both have the `error` id.
    """

    def __init__(self, status: int, detail: str, *headers: tuple[str, str], note: str = "") -> None:
        super().__init__(status, detail)
        self.status = HTTPStatus(status)
        self.detail = detail
        self.note = note
        self.error = new_error_id()
        self._headers = headers

    def log_fields(self) -> dict[str, str | int]:
        """Return what the log line of the refusal says."""
        fields: dict[str, str | int] = {
            "status": self.status.value,
            "detail": self.detail,
            "error": self.error,
        }
        return fields | ({"note": self.note} if self.note else {})

    def to_bytes(self) -> bytes:
        """Return the whole response; the connection ends with it."""
        body = f"{self.detail} [{self.error}]\n".encode()
        headers = [
            *self._headers,
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        response = h11.Response(status_code=self.status, headers=headers, reason=self.status.phrase)
        connection = h11.Connection(h11.SERVER)
        parts = [connection.send(event) for event in (response, h11.Data(data=body), h11.EndOfMessage())]
        return b"".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Head:
    """A request head as it came; header names are in lower case. `early` is what came right after it."""

    method: bytes
    target: bytes
    http_version: bytes
    headers: Headers
    early: bytes

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of every header of that name."""
        return [value for key, value in self.headers if key == name]

    def tokens(self, name: bytes) -> set[bytes]:
        """Return the elements of a comma-separated header, in lower case."""
        return {token.strip().lower() for value in self.values(name) for token in value.split(b",")}


class HeadReader:
    """Collects a request head of at most `max_bytes` and `max_headers`."""

    def __init__(self, max_bytes: int, max_headers: int = 100) -> None:
        self._max_bytes = max_bytes
        self._max_headers = max_headers
        self._received = 0
        self._before: bytes | None = b""  # empty lines, before a request has begun
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=max_bytes)

    def feed(self, data: bytes) -> Head | None:
        """Take bytes off the wire; return the head once it is complete. Not to be called after that.

        Raises Rejection for what is no HTTP request (400, 501) or too large (431).
        """
        self._received += len(data)
        if self._before is not None:
            data = self._skip_empty_lines(self._before + data)
            if not data:
                return None
        self._connection.receive_data(data)
        try:
            event = self._connection.next_event()
        except h11.RemoteProtocolError as error:
            raise _unreadable(error.error_status_hint) from None
        if not isinstance(event, h11.Request):
            return None
        early, _ = self._connection.trailing_data
        if self._received - len(early) > self._max_bytes:
            raise _unreadable(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if len(event.headers) > self._max_headers:
            raise Rejection(431, "the request has too many headers")
        return Head(event.method, event.target, event.http_version, tuple(event.headers), early)

    def _skip_empty_lines(self, data: bytes) -> bytes:
        """Return what of the data is of a request: empty lines may come first (RFC 9112 section 2.2)."""
        lines = _EMPTY_LINES.match(data)
        assert lines is not None
        rest = data[lines.end() :]
        if rest not in (b"", b"\r"):
            self._before = None
            return rest
        if self._received > _MAX_EMPTY_BYTES:
            raise _unreadable(HTTPStatus.BAD_REQUEST)
        self._before = rest
        return b""


def origin_form(head: Head) -> str:
    """Return the path and query that a GET asks for.

    Raises Rejection for another method (405), HTTP version (505) or form of target (400).
    """
    if head.http_version != b"1.1":
        raise Rejection(505, "a WebSocket handshake is HTTP/1.1")
    if head.method != b"GET":
        raise Rejection(405, "a WebSocket handshake is a GET", ("Allow", "GET"))
    return path_of(head)


def path_of(head: Head) -> str:
    """Return the path and query of a target in origin form or absolute form. Raises Rejection (400)."""
    target = head.target
    if absolute := _ABSOLUTE_FORM.match(target):
        rest = target[absolute.end() :]
        target = rest if rest.startswith(b"/") else b"/" + rest
    if not target.startswith(b"/"):
        raise Rejection(400, "the request target must be a path")
    return target.decode("ascii")


def hosts_of(head: Head) -> list[str]:
    """Return whom a request is for: the host of a target in absolute form, which goes before any Host.

    RFC 9112 section 3.2.2. Empty where there is neither, which is possible before HTTP/1.1. Raises Rejection
    (400) for what is no host; a user's name before it is none (RFC 9110 section 4.2.4).
    """
    absolute = _ABSOLUTE_FORM.match(head.target)
    hosts = head.values(b"host")
    if not all(_HOST.fullmatch(host) for host in ([absolute[1]] if absolute else []) + hosts):
        raise Rejection(400, "Host is not a host")
    return [host.decode("ascii") for host in ([absolute[1]] if absolute else hosts)]


def websocket_key(head: Head) -> bytes:
    """Check what makes a GET a WebSocket handshake (RFC 6455 section 4.2.1); return its Sec-WebSocket-Key.

    Raises Rejection for a request that is none (426), of another version (426), or broken (400).
    """
    _check_is_upgrade(head)
    _check_no_body(head)
    return _checked_key(head)


def _unreadable(status: int) -> Rejection:
    if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        return Rejection(status, "the request head is too large")
    return Rejection(status, "this is not an HTTP request")


def _check_is_upgrade(head: Head) -> None:
    if b"websocket" not in head.tokens(b"upgrade") or b"upgrade" not in head.tokens(b"connection"):
        raise Rejection(426, "only WebSocket connections are served here", *_UPGRADE_TO)
    versions = head.values(b"sec-websocket-version")
    if versions != [_WEBSOCKET_VERSION]:
        raise Rejection(
            426 if len(versions) == 1 else 400,
            "Sec-WebSocket-Version must be 13, once",
            *_UPGRADE_TO,
            ("Sec-WebSocket-Version", "13"),
        )


def _check_no_body(head: Head) -> None:
    if head.values(b"transfer-encoding") or any(length != b"0" for length in head.values(b"content-length")):
        raise Rejection(400, "a WebSocket handshake has no body")


def _checked_key(head: Head) -> bytes:
    keys = head.values(b"sec-websocket-key")
    try:
        if len(keys) == 1 and len(b64decode(keys[0], validate=True)) == _NONCE_BYTES:
            return keys[0]
    except (binascii.Error, ValueError):
        pass
    raise Rejection(400, "Sec-WebSocket-Key must be 16 bytes in base64, once")
