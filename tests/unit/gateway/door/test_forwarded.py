"""What proxies write into X-Forwarded-For, and whom it names."""

import ipaddress

import pytest

from tests.integration.gateway_rig import request
from theater_supervisor.gateway.door.access import AccessRules
from theater_supervisor.gateway.door.forwarded import address_of, nodes
from theater_supervisor.gateway.door.handshake import Head, HeadReader

PROXY = "10.0.0.1"
RULES = AccessRules(trusted_proxies=(ipaddress.ip_network("10.0.0.0/8"),))

NAMED = {
    "192.0.2.1": "192.0.2.1",
    "192.0.2.1:50001": "192.0.2.1",
    "192.0.2.1:_port": "192.0.2.1",
    '"192.0.2.1:50001"': "192.0.2.1",
    "2001:db8::1": "2001:db8::1",
    "2001:DB8::1": "2001:db8::1",
    "[2001:db8::1]": "2001:db8::1",
    "[2001:db8::1]:443": "2001:db8::1",
    '"[2001:db8::1]:443"': "2001:db8::1",
    "fe80::1%eth0": "fe80::1",
    "[fe80::1%25eth0]:80": "fe80::1",
    "::ffff:192.0.2.1": "192.0.2.1",
    "[::ffff:192.0.2.1]:80": "192.0.2.1",
}
UNREADABLE = (
    "unknown",
    "_hidden",
    '"',
    "192.0.2.1:",
    "192.0.2.1:123456",
    "192.0.2.256",
    "192.0.2.1 192.0.2.2",
    "[192.0.2.1]:80:80",
    "[2001:db8::1",
    "[[::1]]",
    "for=192.0.2.1",
    "chat.example.org",
    "\u202e\x1b[31m",
    "1" * 5000,
)


def head_with(*forwarded: str) -> Head:
    """A handshake's head with these headers."""
    extra = b"".join(b"X-Forwarded-For: %s\r\n" % value.encode("latin-1") for value in forwarded)
    head = HeadReader(16 * 1024).feed(request(extra=extra))
    assert head is not None
    return head


@pytest.mark.parametrize("node", NAMED)
def test_a_node_names_an_address(node: str) -> None:
    """With a port, in brackets, quotes, with a zone, or bare."""
    assert str(address_of(node)) == NAMED[node]


@pytest.mark.parametrize("node", UNREADABLE)
def test_whatever_else_names_none(node: str) -> None:
    """Also what RFC 7239 has for who is not to be named."""
    assert address_of(node) is None


def test_empty_elements_are_none() -> None:
    """Of a list, in one header or several."""
    assert nodes([b"192.0.2.1,, 192.0.2.2 ,", b"", b"\t192.0.2.3"]) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


@pytest.mark.parametrize(
    ("forwarded", "client", "named_by"),
    [
        (("192.0.2.1:50001",), "192.0.2.1", None),
        (("198.51.100.9, 192.0.2.1:1, 10.0.0.2:2",), "192.0.2.1", None),
        (("198.51.100.9", "[2001:db8::1]:443"), "2001:db8::1", None),
        (("192.0.2.1, unknown",), PROXY, "unknown"),
        (("192.0.2.1, _hidden, 10.0.0.2",), "10.0.0.2", "_hidden"),
        ((), PROXY, None),
        ((",",), PROXY, None),
    ],
)
def test_the_client_is_the_last_that_is_no_proxy(
    forwarded: tuple[str, ...], client: str, named_by: str | None
) -> None:
    """Whom a proxy names by nothing that is an address counts as the proxy, and that is told."""
    head = head_with(*forwarded)
    assert RULES.client_address(PROXY, head) == (client, named_by)


def test_who_is_no_proxy_names_nobody() -> None:
    """Anybody can send the header."""
    head = head_with("192.0.2.1")
    assert RULES.client_address("203.0.113.5", head) == ("203.0.113.5", None)
