"""What a refusal advises: the manifest takes it, and it lets the page or the host in."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway_rig import request
from theater_supervisor.gateway.door.access import AccessRules
from theater_supervisor.gateway.door.handshake import Head, HeadReader, Rejection, hosts_of
from theater_supervisor.manifest.websocket import WebSocketConfig

ORIGINS = {
    "https://chat.example.org": True,
    "HTTPS://Chat.Example.org": True,
    "http://chat.example.org:8080": True,
    "http://192.0.2.1": True,
    "http://[2001:db8::1]:80": True,
    "http://a_b.example": True,
    "http://xn--mnchen-3ya.example": True,
    "file://": True,
    "null": True,
    "chrome-extension://abcdefghijklmnop": True,
    "moz-extension://3f1c": True,
    "vscode-webview://0ABC": True,
    "capacitor://localhost": True,
    "app://": True,
    "": False,
    "*": False,
    "https://": False,
    "https://.": False,
    "https://chat.example.org/": False,
    "https://chat.example.org/path": False,
    "https://user@chat.example.org": False,
    "https://a.example https://b.example": False,
    "https://chat.example.org:": False,
    "about:blank": False,
    '"], port = ["': False,
    "https://m\xfcnchen.example": False,
    "https://" + "a" * 5000: False,
}
HOSTS = {
    "chat.example.org": True,
    "Chat.Example.ORG:8081": True,
    "chat.example.org.": True,
    "a_b": True,
    "[2001:db8::1]:80": True,
    "chat~1.example": False,
    "%41.example": False,
    "..": False,
    "a" * 5000: False,
}


def head_with(**headers: bytes) -> Head | None:
    """A handshake's head."""
    return HeadReader(16 * 1024).feed(request(**headers))


def refused(head: Head, **rules: Iterable[str]) -> str:
    """Return the note of a handshake that is refused; "" for one that is not."""
    access = AccessRules(
        allowed_hosts=frozenset(rules.get("allowed_hosts", ())),
        allowed_origins=frozenset(rules.get("allowed_origins", ())),
    )
    (host,) = hosts_of(head)
    try:
        access.check_host(host)
        access.check_origin(head, host)
    except Rejection as rejection:
        return rejection.note
    return ""


def follow(note: str) -> dict[str, Any]:
    """Put an advice into a handler's table; return what the manifest makes of it."""
    table = tomllib.loads(note.removeprefix("to allow it: "))
    config = WebSocketConfig.model_validate({"port": 0, **table}, context=Path("a.toml"))
    return {name: getattr(config, name) for name in table}


@pytest.mark.parametrize("origin", ORIGINS)
def test_an_advised_origin_is_taken_and_lets_the_page_in(origin: str) -> None:
    """Where no entry could stand for the page, that is said instead."""
    head = head_with(extra=b"Origin: " + origin.encode("latin-1") + b"\r\n")
    assert head is not None
    note = refused(head)
    if ORIGINS[origin]:
        assert refused(head, **follow(note)) == ""
    else:
        assert note == "it can't be allowed: no entry of allowed_origins stands for it"


@pytest.mark.parametrize("host", HOSTS)
def test_an_advised_host_is_taken_and_lets_the_client_in(host: str) -> None:
    """Where no entry could stand for the host, that is said instead."""
    head = head_with(host=host.encode())
    assert head is not None
    note = refused(head)
    if HOSTS[host]:
        assert refused(head, **follow(note)) == ""
    else:
        assert note == "it can't be allowed: no entry of allowed_hosts stands for it"
