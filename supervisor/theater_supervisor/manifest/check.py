"""The rules that need more than one key of a manifest: names, ports and paths, and the files named.

They work on claims, so that they hold for a file whose other keys are wrong too. Nothing is bound, built or
loaded here: whether a port is free, a component fits and a key can be used is found out later.
"""

import ipaddress
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from theater_supervisor.errors import Problem
from theater_supervisor.files import NotRegular, open_regular

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A handler's place on the network. `key` is where its config stands in the file.

    `says_who_may` is False where logins are to be decided on and aren't.
    """

    file: str
    key: str
    host: str
    port: int
    path: str
    says_who_may: bool = True
    tls: tuple[Path, Path] | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What one manifest claims, as far as it could be read; None where it could not or is absent.

    `source` is the Python file and the world that `component` is built from.
    """

    file: str
    name: str | None
    endpoints: tuple[Endpoint, ...]
    component: Path | None
    init_state: Path | None
    has_build: bool
    source: tuple[Path, str] | None


def check_claims(claims: Sequence[Claims]) -> list[Problem]:
    """Check every manifest's files and all manifests against each other."""
    endpoints = [endpoint for claim in claims for endpoint in claim.endpoints]
    return [
        *(problem for claim in claims for problem in _missing_files(claim)),
        *(problem for endpoint in endpoints for problem in _endpoint_alone(endpoint)),
        *_against_earlier(claims, _same_name),
        *_against_earlier(claims, _same_component),
        *_against_earlier(endpoints, _same_place),
    ]


def why_unreadable(path: Path) -> str | None:
    """Say why a file can't be read, or None when it can."""
    try:
        os.close(open_regular(path))
        return None
    except NotRegular as error:
        return error.strerror
    except FileNotFoundError:
        return "doesn't exist"
    except OSError as error:
        return f"can't be read: {error.strerror}"


def _missing_files(claim: Claims) -> Iterator[Problem]:
    if claim.component and not claim.has_build and (why := why_unreadable(claim.component)):
        hint = "build it, or say how in [build]" if why == "doesn't exist" else ""
        yield Problem(claim.file, "component_path", f"{claim.component} {why}", hint)
    if claim.init_state and (why := why_unreadable(claim.init_state)):
        yield Problem(claim.file, "init_state", f"{claim.init_state} {why}")
    if claim.source and (why := why_unreadable(claim.source[0])):
        yield Problem(claim.file, "build.python", f"{claim.source[0]} {why}")


def _endpoint_alone(endpoint: Endpoint) -> Iterator[Problem]:
    if not endpoint.says_who_may:
        what = f"is required on {endpoint.host}, which other machines can reach"
        hint = 'auth = "none" lets everybody in, {type = "token", file = …} who has a token'
        yield Problem(endpoint.file, f"{endpoint.key}.auth", what, hint)


def _against_earlier(
    items: Sequence[_Item], rule: Callable[[_Item, _Item], Problem | None]
) -> Iterator[Problem]:
    """Hold each item against those before it: at most one problem an item."""
    for index, item in enumerate(items):
        problems = (rule(earlier, item) for earlier in items[:index])
        if problem := next(filter(None, problems), None):
            yield problem


def _same_name(first: Claims, second: Claims) -> Problem | None:
    if first.name is None or first.name != second.name:
        return None
    return Problem(second.file, "name", f'"{second.name}" is already used by {first.file}')


def _same_component(first: Claims, second: Claims) -> Problem | None:
    sources = first.source, second.source
    if first.component != second.component or None in sources or first.source == second.source:
        return None
    what = f"{second.component} is already built from another source by {first.file}"
    return Problem(second.file, "component_path", what)


def _same_place(first: Endpoint, second: Endpoint) -> Problem | None:
    if first.port != second.port or first.port == 0:
        return None
    if (first.host, first.path) == (second.host, second.path):
        what = f'port {second.port} with path "{second.path}" is already used by {first.file}'
        return Problem(second.file, f"{second.key}.path", what, "give one of them another port or path")
    if first.host == second.host and first.tls != second.tls:
        what = f"is not as for the same port in {first.file}"
        return Problem(second.file, f"{second.key}.tls", what, "handlers on one port share cert and key")
    if _hosts_overlap(first.host, second.host):
        what = f"{second.host} and {first.host} ({first.file}) can't both be bound on port {second.port}"
        return Problem(second.file, f"{second.key}.host", what, "use the same host, or another port")
    return None


def _hosts_overlap(first: str, second: str) -> bool:
    one, other = ipaddress.ip_address(first), ipaddress.ip_address(second)
    return one != other and one.version == other.version and (one.is_unspecified or other.is_unspecified)
