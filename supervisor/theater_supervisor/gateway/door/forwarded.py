"""Whom a proxy speaks for: the nodes in X-Forwarded-For, in the forms that proxies write. Pure.

RFC 7239 section 6: an IPv4 address, or an IPv6 address in brackets, each with or without a port; `unknown`,
or a name that hides one (`_hidden`). Besides these, as found in the wild: IPv6 without brackets, quotes and a
zone (`fe80::1%eth0`), which means something on the proxy only and is left out.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_NODE: Final = 100
_PORT: Final = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?"
_NODES: Final = (
    re.compile(rf"([0-9.]+){_PORT}"),
    re.compile(rf"\[([0-9A-Fa-f:.]+)(?:%[^\]\s]+)?\]{_PORT}"),
    re.compile(r"([0-9A-Fa-f]*:[0-9A-Fa-f:.]+)(?:%\S+)?"),
)


def nodes(values: Iterable[bytes]) -> list[str]:
    """Return the elements of all headers, in order; empty ones are none (RFC 9110 section 5.6.1)."""
    elements = (element.strip(b" \t") for value in values for element in value.split(b","))
    return [element.decode("latin-1") for element in elements if element]


def address_of(node: str) -> IPAddress | None:
    """Return the address in a node; None for one that has none, or can't be read."""
    if len(node) > _MAX_NODE:
        return None
    if len(node) > 1 and node[0] == node[-1] == '"':
        node = node[1:-1]
    found = next((match for form in _NODES if (match := form.fullmatch(node))), None)
    return None if found is None else address(found[1])


def address(text: str) -> IPAddress | None:
    """Return an IP address, that of IPv4 where it is mapped into IPv6; None for anything else."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
