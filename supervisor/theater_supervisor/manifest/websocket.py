"""The `config` table of a websocket-server handler: its keys, types, ranges and defaults.

What they mean is the gateway's business; the rules between handlers are in manifest_check.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import quote, unquote

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)

from theater_supervisor.manifest.origins import host_name, origin
from theater_supervisor.manifest.tables import Table

_URL_PATH: Final = re.compile(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*/?")  # RFC 3986, 3.3
_UNESCAPED: Final = "!$&'()*+,;=:@"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
_DAY_S: Final = 86400

# pydantic names the way it took through a union in an error's place; these are no keys of a manifest.
AUTH_TAGS: Final = frozenset({"auth:none", "auth:token", "auth:jwt"})


def _beside_manifest(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    if not value or "\0" in value:
        raise ValueError("is not a path", "relative to this manifest, or absolute")
    assert isinstance(info.context, Path)
    return info.context.parent / value


def _ip_address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("is not an IP address", "such as 127.0.0.1, ::1 or 0.0.0.0") from None


def _ip_network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError("is not an IP address or network", "such as 127.0.0.1 or 10.0.0.0/8") from None


def _base_path(value: str) -> str:
    if not value or not _URL_PATH.fullmatch(value):
        raise ValueError("is not a URL path", 'such as "/" or "/rooms/chat"')
    # One spelling for all paths that routing takes as the same.
    segments = value.rstrip("/").split("/")
    return "/".join(quote(unquote(segment), safe=_UNESCAPED) for segment in segments) or "/"


def _host_name(value: str) -> str:
    name = host_name(value)
    if name is None or name != value.removesuffix("."):
        raise ValueError("is not a host name", 'such as "chat.example.org", in lower case, without a port')
    return name


def _origin(value: str) -> str:
    if origin(value) != value:
        raise ValueError("is not an origin", 'such as "https://chat.example.org", in lower case, no path')
    return value


def _subprotocol(value: str) -> str:
    if not _TOKEN.fullmatch(value) or value == "bearer" or value.startswith("bearer."):
        raise ValueError("is not a subprotocol's name", 'such as "chat.v1"; "bearer" is for logins')
    return value


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("without an entry", "name at least one")
    return value


def _auth_tag(value: object) -> str:
    if isinstance(value, dict):
        return "auth:jwt" if value.get("type") == "jwt" else "auth:token"
    return "auth:none"


File = Annotated[Path, BeforeValidator(_beside_manifest)]
_Seconds = Annotated[float, Field(ge=0, le=_DAY_S, allow_inf_nan=False)]
_AuthType = Literal["token", "jwt"]
_Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class TokenAuth(Table):
    """Logins by a token: any line of `file`, or of the environment variable `env`.

    `query_parameter` is where a token may be in the URL too; without it, it may not.
    """

    type: _AuthType
    file: File | None = None
    env: Annotated[str, Field(min_length=1)] | None = None
    query_parameter: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> "TokenAuth":
        if (self.file is None) == (self.env is None):
            raise ValueError("must have one of file and env", "the tokens themselves don't belong here")
        return self


class JwtAuth(Table):
    """Logins by a JSON Web Token that is signed with the public `key` and has exp, aud and iss."""

    type: _AuthType
    key: File
    algorithms: Annotated[tuple[_Algorithm, ...], Field(strict=False), AfterValidator(_some)]
    audience: Annotated[str, Field(min_length=1)]
    issuer: Annotated[str, Field(min_length=1)]
    query_parameter: Annotated[str, Field(min_length=1)] | None = None


Auth = Annotated[
    Annotated[Literal["none"], Tag("auth:none")]
    | Annotated[TokenAuth, Tag("auth:token")]
    | Annotated[JwtAuth, Tag("auth:jwt")],
    Discriminator(_auth_tag),
]


class TlsConfig(Table):
    """The certificate chain and its key, PEM files both."""

    cert: File
    key: File


class RateLimitConfig(Table):
    """How many frames a second a client may send, after a burst; 1008 for who presses on for patience_s."""

    messages_per_s: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
    burst: Annotated[int, Field(ge=1, le=1_000_000)]
    patience_s: _Seconds = 10.0


class ReplyLimitConfig(Table):
    """What one event may be answered with; `bytes` is at least max_message_size, so that an echo works."""

    count: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    bytes: Annotated[int, Field(ge=1, le=_MAX_MESSAGE_BYTES)] = _MAX_MESSAGE_BYTES


class WebSocketConfig(Table):
    """Where clients connect, who of them may, and what they may use. `path` covers all below it.

    Port 0 means any free port, one for each handler that says so, shown at start. `auth` None is "none",
    which has to be said beyond loopback. `max_connections_per_address` None is 64, and no bound for this
    machine's clients.
    """

    port: Annotated[int, Field(ge=0, le=65535)]
    host: Annotated[str, AfterValidator(_ip_address)] = "127.0.0.1"
    path: Annotated[str, AfterValidator(_base_path)] = "/"
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    max_connections_per_address: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_message_size: Annotated[int, Field(ge=1, le=_MAX_MESSAGE_BYTES)] = 1024 * 1024
    reply_limit: ReplyLimitConfig = ReplyLimitConfig()
    rate_limit: RateLimitConfig | None = None
    ping_interval_s: _Seconds = 20.0
    ping_timeout_s: _Seconds = 20.0
    auth: Auth | None = None
    tls: TlsConfig | None = None
    allowed_hosts: Annotated[tuple[Annotated[str, AfterValidator(_host_name)], ...], Field(strict=False)] = ()
    allowed_origins: Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], Field(strict=False)] = ()
    trusted_proxies: Annotated[
        tuple[Annotated[str, AfterValidator(_ip_network)], ...], Field(strict=False)
    ] = ()
    subprotocols: Annotated[
        tuple[Annotated[str, AfterValidator(_subprotocol)], ...], Field(strict=False)
    ] = ()
    compression: bool = False

    @property
    def is_loopback(self) -> bool:
        """Say whether only this machine can connect."""
        return ipaddress.ip_address(self.host).is_loopback
