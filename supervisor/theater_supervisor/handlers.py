"""From the handlers of manifests to what the gateway is told: limits, rules, and the secrets in their files.

Secrets are read here, before anything is bound to them: at start and at each reload. Nothing is served.
"""

import datetime
import hashlib
import ipaddress
import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from theater_supervisor.errors import Problem
from theater_supervisor.gateway.connection.limits import ConnectionLimits, RateLimit
from theater_supervisor.gateway.door.access import AccessRules
from theater_supervisor.gateway.door.auth import (
    Authenticator,
    JwtAuthentication,
    NoAuthentication,
    TokenAuthentication,
)
from theater_supervisor.gateway.door.secret_files import SecretUnusable
from theater_supervisor.gateway.door.tls import expires_at, server_context
from theater_supervisor.manifest.model import Manifest
from theater_supervisor.manifest.websocket import JwtAuth, TokenAuth, WebSocketConfig

Place = tuple[str, int]  # a handler: the actor and the handler's number there

_RENEWAL: Final = datetime.timedelta(days=14)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the handlers' secrets were read into.

    `fingerprints` has what tells the contents of an actor's files from others, by its name.
    """

    authenticators: dict[Place, Authenticator] = field(default_factory=dict)
    tls: dict[Place, ssl.SSLContext] = field(default_factory=dict)
    fingerprints: dict[str, bytes] = field(default_factory=dict)


def read_secrets(manifests: Sequence[Manifest]) -> tuple[Secrets, list[Problem]]:
    """Read every handler's tokens, keys and certificates; return also what can't be used.

    Warns of certificates that end soon, or have ended.
    """
    secrets = Secrets()
    problems: list[Problem] = []
    certs: set[Path] = set()
    for manifest in manifests:
        for index, handler in enumerate(manifest.handlers):
            config, key = handler.config, f"handlers[{index}].config"
            try:
                secrets.authenticators[manifest.name, index] = _authenticator(config)
            except SecretUnusable as error:
                problems.append(Problem(str(manifest.file), f"{key}.auth", str(error), error.hint))
            try:
                if config.tls is not None:
                    secrets.tls[manifest.name, index] = server_context(config.tls.cert, config.tls.key)
                    certs.add(config.tls.cert)
            except SecretUnusable as error:
                problems.append(Problem(str(manifest.file), f"{key}.tls", str(error), error.hint))
    _warn_of_expiry(certs)
    if not problems:
        secrets.fingerprints.update((manifest.name, _fingerprint(manifest)) for manifest in manifests)
    return secrets, problems


def connection_limits(config: WebSocketConfig) -> ConnectionLimits:
    """Return what each client of the handler may use."""
    rate = config.rate_limit
    return ConnectionLimits(
        max_message_bytes=config.max_message_size,
        max_replies=config.reply_limit.count,
        max_reply_bytes=max(config.reply_limit.bytes, config.max_message_size),
        ping_interval_s=config.ping_interval_s,
        ping_timeout_s=config.ping_timeout_s,
        rate_limit=RateLimit(rate.messages_per_s, rate.burst, rate.patience_s) if rate else None,
    )


def access_rules(config: WebSocketConfig, auth: Authenticator) -> AccessRules:
    """Return who may come in by the handler."""
    return AccessRules(
        host=config.host,
        allowed_hosts=frozenset(config.allowed_hosts),
        allowed_origins=frozenset(config.allowed_origins),
        trusted_proxies=tuple(ipaddress.ip_network(network) for network in config.trusted_proxies),
        subprotocols=config.subprotocols,
        compression=config.compression,
        max_per_address=config.max_connections_per_address,
        auth=auth,
    )


def _fingerprint(manifest: Manifest) -> bytes:
    files = [file for handler in manifest.handlers for file in _files(handler.config)]
    return b"".join(hashlib.sha256(_read(file)).digest() for file in files)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # gone since it was read into a secret: the next reload says so
        return b""


def _files(config: WebSocketConfig) -> Iterator[Path]:
    match config.auth:
        case TokenAuth(file=Path() as file) | JwtAuth(key=file):
            yield file
    if config.tls is not None:
        yield from (config.tls.cert, config.tls.key)


def _warn_of_expiry(certs: Iterable[Path]) -> None:
    now = datetime.datetime.now(datetime.UTC)
    for cert in sorted(certs):
        ends_at = expires_at(cert)
        if ends_at is not None and ends_at < now + _RENEWAL:
            event = "certificate_expired" if ends_at < now else "certificate_expires_soon"
            _log.warning(event, file=str(cert), expires_at=ends_at.isoformat())


def _authenticator(config: WebSocketConfig) -> Authenticator:
    match config.auth:
        case TokenAuth() as auth:
            return TokenAuthentication(
                file=auth.file, variable=auth.env, query_parameter=auth.query_parameter
            )
        case JwtAuth() as auth:
            return JwtAuthentication(
                key=auth.key,
                algorithms=auth.algorithms,
                audience=auth.audience,
                issuer=auth.issuer,
                query_parameter=auth.query_parameter,
            )
        case _:
            return NoAuthentication()
