"""Logins: which credentials a handshake brings, and whether they are good. No sockets, no trio.

Credentials come in `Authorization: Bearer`, as a subprotocol `bearer.<credentials>` (a browser's only way),
or in a query parameter if the handler has one; never in two ways at once. Secrets are in files or the
environment and are read when one of these is made; a reload makes new ones. Why a login was refused is for
the log, the client only sees that it was.
"""

import hashlib
import hmac
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

import jwt

from theater_supervisor.gateway.door.handshake import Head, Rejection
from theater_supervisor.gateway.door.secret_files import (
    SecretUnusable,
    check_integrity,
    check_secrecy,
    read_text,
)

BEARER: Final = "bearer"
_BEARER_PREFIX: Final = "bearer."


@dataclass(frozen=True, slots=True)
class Login:
    """A login that was accepted. `expires_in_s` is how long it holds, None for ever."""

    expires_in_s: float | None = None


class Authenticator(Protocol):
    """Judges a handshake's login."""

    @property
    def is_needed(self) -> bool:
        """Say whether anybody is refused."""

    def check(self, head: Head, target: str, offered: Sequence[str]) -> Login:
        """Return the login, with `offered` as the subprotocols. Raises Rejection (401)."""


class NoAuthentication:
    """Lets everybody in."""

    is_needed = False

    def check(self, head: Head, target: str, offered: Sequence[str]) -> Login:  # noqa: ARG002
        """Accept."""
        return Login()


class TokenAuthentication:
    """Accepts whoever knows one of the tokens of a file (one a line) or an environment variable.

    Raises SecretUnusable.
    """

    is_needed = True

    def __init__(
        self, *, file: Path | None = None, variable: str | None = None, query_parameter: str | None = None
    ) -> None:
        self._query_parameter = query_parameter
        self._digests = _digests(file, variable)

    def check(self, head: Head, target: str, offered: Sequence[str]) -> Login:
        """Compare in constant time: digests of equal length, all of them."""
        presented = _digest(_credentials(head, target, offered, self._query_parameter))
        if not sum([hmac.compare_digest(presented, digest) for digest in self._digests]):
            raise _unauthorized("unknown token")
        return Login()


class JwtAuthentication:
    """Accepts a JSON Web Token (RFC 7519) signed with the key, for the audience, by the issuer, not expired.

    The algorithms and the one key are the handler's: what a token's header says about either chooses
    nothing. Raises SecretUnusable for a key that can't be used with all of the algorithms.
    """

    is_needed = True

    def __init__(
        self,
        *,
        key: Path,
        algorithms: Sequence[str],
        audience: str,
        issuer: str,
        query_parameter: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._key = _public_key(key, algorithms)
        self._algorithms = list(algorithms)
        self._audience = audience
        self._issuer = issuer
        self._query_parameter = query_parameter
        self._now = now

    def check(self, head: Head, target: str, offered: Sequence[str]) -> Login:
        """Verify the token."""
        token = _credentials(head, target, offered, self._query_parameter)
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["exp", "aud", "iss"], "strict_aud": True},
            )
            expires_in_s = float(claims["exp"]) - self._now()
        # A stranger's bytes go through several parsers: whatever they make of them, it is no login.
        except Exception as error:
            raise _unauthorized(f"JWT refused: {type(error).__name__}") from None
        return Login(max(0.0, expires_in_s))


def answer_to_bearer(offered: Iterable[str]) -> str | None:
    """Return the subprotocol that a browser which logged in by one must be answered with, None for others.

    That is `bearer` where it is offered too, so that the credentials needn't be sent back.
    """
    names = list(offered)
    used = next((name for name in names if name.startswith(_BEARER_PREFIX)), None)
    return BEARER if used and BEARER in names else used


def _credentials(head: Head, target: str, offered: Sequence[str], query_parameter: str | None) -> str:
    found = [_bearer(value) for value in head.values(b"authorization")]
    found += [name.removeprefix(_BEARER_PREFIX) for name in offered if name.startswith(_BEARER_PREFIX)]
    if query_parameter is not None:
        query = parse_qsl(target.partition("?")[2], keep_blank_values=True)
        found += [value for name, value in query if name == query_parameter]
    if len(found) != 1:
        raise _unauthorized("no login" if not found else "more than one login")
    return found[0]


def _bearer(value: bytes) -> str:
    scheme, _, credentials = value.partition(b" ")
    if scheme.lower() != BEARER.encode():
        raise _unauthorized("Authorization is not Bearer")
    return credentials.strip().decode("latin-1")


def _unauthorized(note: str) -> Rejection:
    return Rejection(401, "login required", ("WWW-Authenticate", "Bearer"), note=note)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _digests(file: Path | None, variable: str | None) -> tuple[bytes, ...]:
    lines = [line.strip() for line in _tokens(file, variable).splitlines()]
    digests = tuple(_digest(line) for line in lines if line and not line.startswith("#"))
    if not digests:
        raise SecretUnusable(f"{_source(file, variable)} has no token", "one a line, without a # before it")
    return digests


def _tokens(file: Path | None, variable: str | None) -> str:
    if file is not None:
        check_secrecy(file)
        return read_text(file)
    assert variable is not None
    if (value := os.environ.get(variable)) is None:
        raise SecretUnusable(f"{_source(file, variable)} is not set", "set it for the supervisor")
    return value


def _source(file: Path | None, variable: str | None) -> str:
    return f"the environment variable {variable}" if file is None else str(file)


def _public_key(file: Path, algorithms: Sequence[str]) -> Any:  # noqa: ANN401
    check_integrity(file)
    pem = read_text(file)
    if "PRIVATE KEY" in pem:
        raise SecretUnusable(
            f"{file} is a private key; the public one is needed here", f"openssl pkey -pubout -in {file}"
        )
    key = None
    for name in algorithms:
        try:
            key = jwt.get_algorithm_by_name(name).prepare_key(pem)
        except (ValueError, TypeError, jwt.PyJWTError):
            hint = "algorithms are those that the issuer signs with"
            raise SecretUnusable(f"{file} is no PEM public key for {name}", hint) from None
    return key
