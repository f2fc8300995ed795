"""From the handlers of manifests to what the gateway is told: limits, rules, and the secrets in their files.

Secrets are read here, before anything is bound to them: at start and at each reload. Nothing is served.
"""

import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field

from theater_supervisor.errors import Problem
from theater_supervisor.gateway.access import AccessRules
from theater_supervisor.gateway.auth import (
    Authenticator,
    JwtAuthentication,
    NoAuthentication,
    TokenAuthentication,
)
from theater_supervisor.gateway.limits import ConnectionLimits, RateLimit
from theater_supervisor.gateway.secret_files import SecretUnusable
from theater_supervisor.gateway.tls import server_context
from theater_supervisor.manifest import Manifest
from theater_supervisor.manifest_websocket import JwtAuth, TokenAuth, WebSocketConfig

Place = tuple[str, int]  # a handler: the actor and the handler's number there


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the handlers' secrets were read into."""

    authenticators: dict[Place, Authenticator] = field(default_factory=dict)
    tls: dict[Place, ssl.SSLContext] = field(default_factory=dict)


def read_secrets(manifests: Iterable[Manifest]) -> tuple[Secrets, list[Problem]]:
    """Read every handler's tokens, keys and certificates; return also what can't be used."""
    secrets = Secrets()
    problems: list[Problem] = []
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
            except SecretUnusable as error:
                problems.append(Problem(str(manifest.file), f"{key}.tls", str(error), error.hint))
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
