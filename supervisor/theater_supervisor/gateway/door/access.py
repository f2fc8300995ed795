"""Who may come in by a handler: Host, Origin, proxies, subprotocols. Pure: a head in, a verdict out.

Browsers let any page open a WebSocket to any host, so a handler decides by Origin which pages it serves; and
on loopback by Host, so that a name that was made to point there (DNS rebinding) is of no use. Logins are
`auth`'s.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from theater_supervisor.gateway.door.auth import Authenticator, NoAuthentication
from theater_supervisor.gateway.door.forwarded import address as parse_address
from theater_supervisor.gateway.door.forwarded import address_of, nodes
from theater_supervisor.gateway.door.handshake import Head, Rejection
from theater_supervisor.manifest.origins import host_name, origin

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST: Final = re.compile(r"(\[[^\]]*\]|[^:]*)(?::\d*)?")
_IPV6_CLIENT_BITS: Final = 64
MAX_PER_ADDRESS: Final = 64


@dataclass(frozen=True, slots=True)
class AccessRules:
    """A handler's rules. `host` is the address that it is bound to.

    `max_per_address` None means 64, and no bound for clients on this machine.
    """

    host: str = "127.0.0.1"
    allowed_hosts: frozenset[str] = frozenset()
    allowed_origins: frozenset[str] = frozenset()
    trusted_proxies: tuple[IPNetwork, ...] = ()
    subprotocols: tuple[str, ...] = ()
    compression: bool = False
    max_per_address: int | None = None
    auth: Authenticator = field(default_factory=NoAuthentication)

    @property
    def is_loopback(self) -> bool:
        """Say whether only this machine can connect."""
        return ipaddress.ip_address(self.host).is_loopback

    def check_host(self, host: str) -> None:
        """Raise Rejection (403) for a Host that the handler isn't known by."""
        name = bare_host(host)
        if name in self.allowed_hosts or not (self.is_loopback or self.allowed_hosts):
            return
        if self.is_loopback and is_loopback_name(name):
            return
        raise Rejection(403, "unknown host", note=_advice("allowed_hosts", host_name(name)))

    def check_origin(self, head: Head, host: str) -> None:
        """Raise Rejection (403) for a page that isn't allowed to connect; no Origin means no browser."""
        origins = head.values(b"origin")
        if not origins:
            return
        if len(origins) > 1:
            raise Rejection(400, "Origin must be there once")
        sent = _text(origins[0])
        name = origin(sent)
        if name in self.allowed_origins:
            return
        if self.is_loopback and _is_local_page(sent, host):
            return
        raise Rejection(403, "origin not allowed", note=_advice("allowed_origins", name))

    def client_address(self, peer: str, head: Head) -> tuple[str, str | None]:
        """Return the client's address: the last one in X-Forwarded-For that is no trusted proxy's.

        A client that its proxy names by nothing that is an address counts as that proxy; what it was named by
        is returned too then, else None.
        """
        address, forwarded = peer, nodes(head.values(b"x-forwarded-for"))
        while is_trusted(address, self.trusted_proxies) and forwarded:
            node = forwarded.pop()
            earlier = address_of(node)
            if earlier is None:
                return address, node
            address = str(earlier)
        return address, None

    def bound_for(self, address: str) -> int | None:
        """Return how many connections a client's address may have, None for any number."""
        parsed = parse_address(address)
        if self.max_per_address is not None or parsed is None:
            return self.max_per_address
        return None if parsed.is_loopback else MAX_PER_ADDRESS


def choose_subprotocol(offered: Iterable[str], served: Sequence[str]) -> str | None:
    """Return the first one offered that is served, None when there is none."""
    return next((name for name in offered if name in served), None)


def subprotocols_of(head: Head) -> list[str]:
    """Return the subprotocols that the client offers, in its order."""
    values = (value for header in head.values(b"sec-websocket-protocol") for value in header.split(b","))
    return [_text(value.strip()) for value in values]


def is_trusted(address: str, proxies: Iterable[IPNetwork]) -> bool:
    """Say whether an address is one of the proxies'."""
    parsed = parse_address(address)
    return parsed is not None and any(parsed in network for network in proxies)


def client_key(address: str) -> str:
    """Return what connections are counted by: an IPv4 address, or an IPv6 network, which one client has."""
    parsed = parse_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _IPV6_CLIENT_BITS), strict=False))
    return address


def is_loopback_name(host: str) -> bool:
    """Say whether a host of a URL is this machine, whatever DNS says."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    parsed = parse_address(host.removeprefix("[").removesuffix("]"))
    return parsed is not None and parsed.is_loopback


def bare_host(host: str) -> str:
    """Return a host without its port, in lower case, without the dot that may end it."""
    match = _HOST.fullmatch(host)
    return (match[1] if match else host).lower().removesuffix(".")


def _advice(key: str, name: str | None) -> str:
    if name is None:
        return f"it can't be allowed: no entry of {key} stands for it"
    every = "  # every page in a sandbox, whoever made it" if name == "null" else ""
    return f'to allow it: {key} = ["{name}"]{every}'


def _is_local_page(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
        page = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}":
        return False
    if "@" in parts.netloc:
        return False
    return is_loopback_name(page) or parts.netloc.lower() == host.lower()


def _text(value: bytes) -> str:
    return value.decode("latin-1")
