"""Who gets in: hosts, origins, logins, proxies, addresses; and that who doesn't, never reaches the actor."""

import base64
import hashlib
import hmac
import ipaddress
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from structlog.testing import capture_logs

from tests.integration.gateway_rig import CLOSE, TEXT, RawClient, frame, gateway_rig, request, run
from theater_supervisor.gateway.door.access import AccessRules
from theater_supervisor.gateway.door.auth import JwtAuthentication, TokenAuthentication
from theater_supervisor.gateway.door.limits import HandshakeLimits
from theater_supervisor.gateway.door.secret_files import SecretUnusable

TOKEN: Final = "correct-horse-battery-staple"
AUDIENCE: Final = "chat"
ISSUER: Final = "https://id.example.org"


def pem(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
    """The key as a file has it."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
PUBLIC = pem(KEY.public_key())


def claims(**changed: object) -> dict[str, Any]:
    """Good claims; None leaves one out."""
    good = {"aud": AUDIENCE, "iss": ISSUER, "exp": int(time.time()) + 3600, "sub": "anna"}
    return {name: value for name, value in {**good, **changed}.items() if value is not None}


def signed(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = KEY,
    algorithm: str = "ES256",
    headers: dict[str, Any] | None = None,
    **changed: object,
) -> str:
    """A signed token."""
    return jwt.encode(claims(**changed), key, algorithm, headers)


def b64(data: bytes | str) -> str:
    """Base64 as JWT has it."""
    return base64.urlsafe_b64encode(data.encode() if isinstance(data, str) else data).rstrip(b"=").decode()


def handmade(header: object, body: object, secret: bytes | None = None) -> str:
    """A token that no library would make; signed with HMAC when there is a secret."""
    signing = f"{b64(json.dumps(header))}.{b64(json.dumps(body))}"
    signature = hmac.digest(secret, signing.encode(), hashlib.sha256) if secret is not None else b""
    return f"{signing}.{b64(signature)}"


def bearer(token: str) -> bytes:
    """The header for it."""
    return b"Authorization: Bearer " + token.encode() + b"\r\n"


def swapped_payload() -> str:
    """The signature of one token under the claims of another."""
    header, _, signature = signed().split(".")
    return f"{header}.{b64(json.dumps(claims(sub='root')))}.{signature}"


NOW: Final = int(time.time())
WRONG_JWT: dict[str, Callable[[], str]] = {
    "alg-none": lambda: handmade({"alg": "none", "typ": "JWT"}, claims()),
    "alg-None": lambda: handmade({"alg": "None"}, claims()),
    "alg-NONE": lambda: handmade({"alg": "NONE"}, claims()),
    "alg-empty": lambda: handmade({"alg": ""}, claims()),
    "alg-missing": lambda: handmade({"typ": "JWT"}, claims()),
    "alg-a-list": lambda: handmade({"alg": ["ES256"]}, claims()),
    "alg-null": lambda: handmade({"alg": None}, claims()),
    "key-confusion-hs256": lambda: handmade({"alg": "HS256"}, claims(), PUBLIC),
    "key-confusion-hs256-stripped": lambda: handmade({"alg": "HS256"}, claims(), PUBLIC.strip()),
    "key-confusion-empty-secret": lambda: handmade({"alg": "HS256"}, claims(), b""),
    "alg-not-listed": lambda: signed(RSA_KEY, "RS256"),
    "alg-not-listed-same-family": lambda: jwt.encode(
        claims(), ec.generate_private_key(ec.SECP384R1()), "ES384"
    ),
    "other-key": lambda: signed(OTHER_KEY),
    "embedded-jwk": lambda: signed(
        OTHER_KEY, headers={"jwk": {"kty": "EC", "crv": "P-256", "x": "", "y": ""}}
    ),
    "jku": lambda: signed(OTHER_KEY, headers={"jku": "http://127.0.0.1:1/keys"}),
    "x5u": lambda: signed(OTHER_KEY, headers={"x5u": "http://127.0.0.1:1/cert"}),
    "kid-traversal": lambda: signed(OTHER_KEY, headers={"kid": "../../../../dev/null"}),
    "kid-sql": lambda: signed(OTHER_KEY, headers={"kid": "' UNION SELECT 'x"}),
    "kid-dev-null-hs256": lambda: handmade({"alg": "HS256", "kid": "../../../dev/null"}, claims(), b""),
    "kid-a-number": lambda: handmade({"alg": "ES256", "kid": 1}, claims()),
    "crit": lambda: signed(OTHER_KEY, headers={"crit": ["x"], "x": 1}),
    "expired": lambda: signed(exp=NOW - 3600),
    "expired-now": lambda: signed(exp=NOW - 1),
    "exp-missing": lambda: signed(exp=None),
    "exp-text": lambda: handmade({"alg": "ES256"}, claims(exp="tomorrow")),
    "exp-negative": lambda: signed(exp=-1),
    "not-yet": lambda: signed(nbf=NOW + 3600),
    "issued-later": lambda: signed(iat=NOW + 3600),
    "aud-wrong": lambda: signed(aud="mail"),
    "aud-missing": lambda: signed(aud=None),
    "aud-a-list-of-many": lambda: signed(aud=["mail", AUDIENCE]),
    "aud-prefix": lambda: signed(aud=AUDIENCE + ".evil"),
    "aud-empty": lambda: signed(aud=""),
    "iss-wrong": lambda: signed(iss="https://evil.example.org"),
    "iss-missing": lambda: signed(iss=None),
    "iss-suffix": lambda: signed(iss=ISSUER + ".evil.org"),
    "iss-slash": lambda: signed(iss=ISSUER + "/"),
    "signature-empty": lambda: signed().rpartition(".")[0] + ".",
    "signature-missing": lambda: signed().rpartition(".")[0],
    "signature-zeros": lambda: signed().rpartition(".")[0] + "." + b64(bytes(64)),
    "signature-cut": lambda: signed()[:-8],
    "claims-swapped": swapped_payload,
    "claims-a-list": lambda: handmade({"alg": "ES256"}, [1, 2]),
    "no-dots": lambda: "abc",
    "one-dot": lambda: "a.b",
    "four-dots": lambda: signed() + ".x.y",
    "dots-only": lambda: "..",
    "empty": lambda: "",
    "not-base64": lambda: "!!!.???.***",
    "not-json": lambda: f"{b64('x')}.{b64('y')}.{b64('z')}",
    "deep-json": lambda: f"{b64('[' * 4000)}.{b64('{}')}.",
    "jwe": lambda: ".".join([b64(json.dumps({"alg": "dir", "enc": "A128GCM"})), "", "a", "b", "c"]),
}
# What stands in the head in place of a good login, and perhaps the query.
WRONG_HEADS: dict[str, tuple[bytes, bytes]] = {
    "nothing": (b"", b"/"),
    "basic": (b"Authorization: Basic " + base64.b64encode(b"a:" + TOKEN.encode()) + b"\r\n", b"/"),
    "no-scheme": (b"Authorization: " + TOKEN.encode() + b"\r\n", b"/"),
    "token-scheme": (b"Authorization: Token " + TOKEN.encode() + b"\r\n", b"/"),
    "empty-bearer": (b"Authorization: Bearer \r\n", b"/"),
    "bearer-alone": (b"Authorization: Bearer\r\n", b"/"),
    "unknown": (bearer("wrong"), b"/"),
    "prefix": (bearer(TOKEN[:-1]), b"/"),
    "suffix": (bearer(TOKEN + "x"), b"/"),
    "upper-case": (bearer(TOKEN.upper()), b"/"),
    "comment-of-the-file": (bearer("# of anna"), b"/"),
    "twice-wrong-first": (bearer("wrong") + bearer(TOKEN), b"/"),
    "twice-good-first": (bearer(TOKEN) + bearer("wrong"), b"/"),
    "twice-the-same": (bearer(TOKEN) * 2, b"/"),
    "joined": (bearer(f"{TOKEN}, {TOKEN}"), b"/"),
    "query-when-off": (b"", b"/?token=" + TOKEN.encode()),
    "query-access-token-when-off": (b"", b"/?access_token=" + TOKEN.encode()),
    "cookie": (b"Cookie: token=" + TOKEN.encode() + b"\r\n", b"/"),
    "subprotocol-wrong": (b"Sec-WebSocket-Protocol: bearer.wrong\r\n", b"/"),
    "subprotocol-without-prefix": (b"Sec-WebSocket-Protocol: " + TOKEN.encode() + b"\r\n", b"/"),
    "subprotocol-twice": (b"Sec-WebSocket-Protocol: bearer.x, bearer." + TOKEN.encode() + b"\r\n", b"/"),
    "subprotocol-and-header": (
        bearer(TOKEN) + b"Sec-WebSocket-Protocol: bearer." + TOKEN.encode() + b"\r\n",
        b"/",
    ),
    "proxy-authorization": (b"Proxy-Authorization: Bearer " + TOKEN.encode() + b"\r\n", b"/"),
    "not-ascii": (b"Authorization: Bearer \xff\xfe\r\n", b"/"),
}


@pytest.fixture
def token(tmp_path: Path) -> TokenAuthentication:
    """Two tokens in a file."""
    file = tmp_path / "tokens"
    file.write_text(f"# of anna\n{TOKEN}\n\nsecond-token\n")
    file.chmod(0o600)
    return TokenAuthentication(file=file)


@pytest.fixture
def web_token(tmp_path: Path) -> JwtAuthentication:
    """ES256 and one key."""
    file = tmp_path / "key.pem"
    file.write_bytes(PUBLIC)
    return JwtAuthentication(key=file, algorithms=["ES256"], audience=AUDIENCE, issuer=ISSUER)


async def is_refused(rules: AccessRules, sent: bytes, status: int) -> str:
    """Assert that a handshake gets its status, the log its error id, the actor no event."""
    with capture_logs() as logs:
        async with gateway_rig(access=rules) as rig, rig.raw() as client:
            await client.send(sent)
            answer = await client.rest()
            assert not rig.service.events
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    (line,) = [entry for entry in logs if entry["event"] == "handshake_refused"]
    body = answer.partition(b"\r\n\r\n")[2].decode()
    assert re.fullmatch(rf"[A-Za-z0-9 .,-]{{1,80}} \[{line['error']}\]\n", body)
    return str(line.get("note", ""))


@pytest.mark.parametrize("case", WRONG_JWT)
def test_a_wrong_web_token_is_401_and_no_event(case: str, web_token: JwtAuthentication) -> None:
    """Whatever the token claims about its own signature, the handler's key and algorithm decide."""
    sent = request(extra=bearer(WRONG_JWT[case]()))
    run(lambda: refused(AccessRules(auth=web_token), sent, 401))


@pytest.mark.parametrize("case", WRONG_HEADS)
def test_a_wrong_token_is_401_and_no_event(case: str, token: TokenAuthentication) -> None:
    """One login in one place, the whole token; anything else is none."""
    extra, target = WRONG_HEADS[case]
    sent = request(b"GET " + target + b" HTTP/1.1", extra)
    run(lambda: refused(AccessRules(auth=token), sent, 401))


async def refused(rules: AccessRules, sent: bytes, status: int) -> None:
    """`is_refused` for `run`."""
    await is_refused(rules, sent, status)


@pytest.mark.parametrize(
    ("extra", "answered"),
    [
        (bearer(TOKEN), None),
        (bearer("second-token"), None),
        (b"authorization: bearer " + TOKEN.encode() + b"\r\n", None),
        (b"Sec-WebSocket-Protocol: bearer." + TOKEN.encode() + b"\r\n", b"bearer." + TOKEN.encode()),
        (b"Sec-WebSocket-Protocol: bearer, bearer." + TOKEN.encode() + b"\r\n", b"bearer"),
        (b"Sec-WebSocket-Protocol: chat.v1, bearer." + TOKEN.encode() + b"\r\n", b"chat.v1"),
    ],
)
def test_a_good_token_opens(extra: bytes, answered: bytes | None, token: TokenAuthentication) -> None:
    """As a header, or as a subprotocol, which a browser wants answered with one that it offered."""

    async def main() -> None:
        rules = AccessRules(auth=token, subprotocols=("chat.v1",))
        async with gateway_rig(access=rules) as rig, rig.raw() as client:
            await client.send(request(extra=extra))
            head = await client.response()
            assert head.startswith(b"HTTP/1.1 101 ")
            named = re.search(rb"(?i)sec-websocket-protocol: (.*)", head)
            assert (named[1].strip() if named else None) == answered

    run(main)


def test_the_query_is_a_way_in_where_it_is_named(tmp_path: Path) -> None:
    """Only with the parameter's name in the manifest."""
    (tmp_path / "tokens").write_text(TOKEN)
    (tmp_path / "tokens").chmod(0o640)
    auth = TokenAuthentication(file=tmp_path / "tokens", query_parameter="t")

    async def main() -> None:
        async with gateway_rig(access=AccessRules(auth=auth)) as rig, rig.raw() as client:
            await client.send(request(f"GET /?a=b&t={TOKEN} HTTP/1.1".encode()))
            assert (await client.response()).startswith(b"HTTP/1.1 101 ")

    run(main)


def test_tokens_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One or several lines; a variable that isn't set is an error."""
    monkeypatch.setenv("CHAT_TOKEN", "one\ntwo")
    auth = TokenAuthentication(variable="CHAT_TOKEN")

    async def main() -> None:
        async with gateway_rig(access=AccessRules(auth=auth)) as rig:
            for sent, expected in (("one", b"101"), ("two", b"101"), ("three", b"401")):
                async with rig.raw() as client:
                    await client.send(request(extra=bearer(sent)))
                    assert (await client.response())[9:12] == expected

    run(main)
    monkeypatch.delenv("CHAT_TOKEN")
    with pytest.raises(SecretUnusable, match="the environment variable CHAT_TOKEN is not set"):
        TokenAuthentication(variable="CHAT_TOKEN")


def test_a_login_that_expires_closes_1008(web_token: JwtAuthentication) -> None:
    """The connection is open until then, and closed with an id that the log has."""

    async def main() -> None:
        async with gateway_rig(access=AccessRules(auth=web_token)) as rig, rig.raw() as client:
            await client.send(request(extra=bearer(signed(exp=int(time.time()) + 2))))
            assert (await client.response()).startswith(b"HTTP/1.1 101 ")
            await client.send(frame(TEXT, b"still there?"))
            assert (await client.event()).data == "still there?"  # type: ignore[attr-defined]
            closed = await client.close_frame()
            assert closed.code == 1008
            assert (closed.reason or "").startswith("the login has expired [")

    run(main)


@pytest.mark.parametrize("content", ["", "# only a comment\n", "\n\n"])
def test_a_file_without_a_token_is_refused(content: str, tmp_path: Path) -> None:
    """An empty file lets nobody in by having no token to compare with: it is an error."""
    (tmp_path / "tokens").write_text(content)
    (tmp_path / "tokens").chmod(0o600)
    with pytest.raises(SecretUnusable, match="has no token"):
        TokenAuthentication(file=tmp_path / "tokens")


@pytest.mark.parametrize(
    ("content", "algorithm", "why"),
    [
        (b"no key", "ES256", "is no PEM public key for ES256"),
        (PUBLIC, "RS256", "is no PEM public key for RS256"),
        (pem(RSA_KEY.public_key()), "ES256", "is no PEM public key for ES256"),
        (
            KEY.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            "ES256",
            "is a private key",
        ),
        (b"\xff\xfe", "ES256", "is not UTF-8 text"),
    ],
)
def test_a_key_that_does_not_fit_is_refused_at_start(
    content: bytes, algorithm: str, why: str, tmp_path: Path
) -> None:
    """Not with the first login."""
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(SecretUnusable, match=why):
        JwtAuthentication(key=tmp_path / "key.pem", algorithms=[algorithm], audience="a", issuer="i")


ORIGINS: dict[str, tuple[AccessRules, bytes, int]] = {
    "none": (AccessRules(), b"", 101),
    "localhost-page": (AccessRules(), b"Origin: http://localhost:3000\r\n", 101),
    "loopback-page": (AccessRules(), b"Origin: http://127.0.0.1\r\n", 101),
    "ipv6-loopback-page": (AccessRules(), b"Origin: http://[::1]:8000\r\n", 101),
    "same-host": (
        AccessRules(allowed_hosts=frozenset({"chat.test"})),
        b"Origin: http://chat.test:8081\r\n",
        101,
    ),
    "null": (AccessRules(), b"Origin: null\r\n", 403),
    "null-allowed": (AccessRules(allowed_origins=frozenset({"null"})), b"Origin: null\r\n", 101),
    "empty": (AccessRules(), b"Origin: \r\n", 403),
    "foreign": (AccessRules(), b"Origin: https://evil.example\r\n", 403),
    "allowed": (
        AccessRules(allowed_origins=frozenset({"https://a.test"})),
        b"Origin: https://a.test\r\n",
        101,
    ),
    "allowed-other-scheme": (
        AccessRules(allowed_origins=frozenset({"https://a.test"})),
        b"Origin: http://a.test\r\n",
        403,
    ),
    "allowed-other-port": (
        AccessRules(allowed_origins=frozenset({"https://a.test"})),
        b"Origin: https://a.test:444\r\n",
        403,
    ),
    "allowed-suffix": (
        AccessRules(allowed_origins=frozenset({"https://a.test"})),
        b"Origin: https://a.test.evil.example\r\n",
        403,
    ),
    "allowed-prefix": (
        AccessRules(allowed_origins=frozenset({"https://a.test"})),
        b"Origin: https://evila.test\r\n",
        403,
    ),
    "localhost-suffix": (AccessRules(), b"Origin: http://localhost.evil.example\r\n", 403),
    "localhost-userinfo": (AccessRules(), b"Origin: http://localhost@evil.example\r\n", 403),
    "localhost-with-userinfo": (AccessRules(), b"Origin: http://evil@localhost\r\n", 403),
    "localhost-path": (AccessRules(), b"Origin: http://localhost/\r\n", 403),
    "localhost-other-scheme": (AccessRules(), b"Origin: file://localhost\r\n", 403),
    "loopback-lookalike": (AccessRules(), b"Origin: http://127.0.0.1.evil.example\r\n", 403),
    "twice": (AccessRules(), b"Origin: http://localhost\r\nOrigin: http://localhost\r\n", 400),
    "beyond-loopback-same-host": (AccessRules(host="0.0.0.0"), b"Origin: http://127.0.0.1\r\n", 403),
    "broken": (AccessRules(), b"Origin: http://[::1\r\n", 403),
}


@pytest.mark.parametrize("case", ORIGINS)
def test_a_page_may_connect_only_if_it_is_allowed(case: str) -> None:
    """403 with a log line that says how to allow it; no event of it."""
    rules, extra, status = ORIGINS[case]
    host = b"chat.test:8081" if case == "same-host" else b"127.0.0.1"
    sent = request(extra=extra, host=host)

    async def main() -> None:
        if status != 101:
            note = await is_refused(rules, sent, status)
            assert ("allowed_origins" in note) == (status == 403)
            return
        async with gateway_rig(access=rules) as rig, rig.raw() as client:
            await client.send(sent)
            assert (await client.response()).startswith(b"HTTP/1.1 101 ")

    run(main)


@pytest.mark.parametrize(
    ("rules", "host", "status"),
    [
        (AccessRules(), b"localhost:8081", 101),
        (AccessRules(), b"LOCALHOST", 101),
        (AccessRules(), b"app.localhost", 101),
        (AccessRules(), b"127.8.9.10", 101),
        (AccessRules(), b"[::1]:8081", 101),
        (AccessRules(), b"evil.example", 403),
        (AccessRules(), b"localhost.evil.example", 403),
        (AccessRules(), b"127.0.0.1.evil.example", 403),
        (AccessRules(), b"192.168.0.1", 403),
        (AccessRules(allowed_hosts=frozenset({"chat.test"})), b"chat.test:80", 101),
        (AccessRules(allowed_hosts=frozenset({"chat.test"})), b"x.chat.test", 403),
        (AccessRules(host="0.0.0.0"), b"anything.example", 101),
        (AccessRules(host="0.0.0.0", allowed_hosts=frozenset({"chat.test"})), b"anything.example", 403),
    ],
)
def test_a_name_that_is_not_ours_is_refused(rules: AccessRules, host: bytes, status: int) -> None:
    """A page whose name was made to point to this machine gets nowhere."""

    async def main() -> None:
        if status != 101:
            assert "allowed_hosts = [" in await is_refused(rules, request(host=host), status)
            return
        async with gateway_rig(access=rules) as rig, rig.raw() as client:
            await client.send(request(host=host))
            assert (await client.response()).startswith(b"HTTP/1.1 101 ")

    run(main)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (b"chat.v2", b"chat.v2"),
        (b"x, chat.v1, chat.v2", b"chat.v1"),
        (b"x", None),
        (b"CHAT.V1", None),
        (b"bearer.x", None),
    ],
)
def test_the_clients_first_subprotocol_that_is_served_is_chosen(offered: bytes, chosen: bytes | None) -> None:
    """None in common: none is named, and the connection opens (RFC 6455 section 4.2.2)."""

    async def main() -> None:
        rules = AccessRules(subprotocols=("chat.v1", "chat.v2"))
        async with gateway_rig(access=rules) as rig, rig.raw() as client:
            await client.send(request(extra=b"Sec-WebSocket-Protocol: " + offered + b"\r\n"))
            head = await client.response()
            named = re.search(rb"(?i)sec-websocket-protocol: (.*)", head)
            assert (named[1].strip() if named else None) == chosen

    run(main)


def test_an_address_has_so_many_connections_and_a_leaver_makes_room() -> None:
    """429 with Retry-After; the client's address is the one that a trusted proxy tells."""
    rules = AccessRules(max_per_address=1, trusted_proxies=(ipaddress.ip_network("127.0.0.1/32"),))

    async def status(client: RawClient, forwarded: bytes) -> bytes:
        await client.send(request(extra=b"X-Forwarded-For: " + forwarded + b"\r\n"))
        return (await client.response())[9:12]

    async def main() -> None:
        async with gateway_rig(access=rules) as rig:
            async with rig.raw() as one, rig.raw() as two, rig.raw() as three:
                assert await status(one, b"192.0.2.1") == b"101"
                assert await status(two, b"10.9.9.9, 192.0.2.1") == b"429"
                assert await status(three, b"192.0.2.1, 192.0.2.2, 127.0.0.1") == b"101"
                await one.send(frame(CLOSE))
                await one.close_frame()
            async with rig.raw() as four:
                assert await status(four, b"192.0.2.1") == b"101"

    with capture_logs() as logs:
        run(main)
    opened = [entry["remote"] for entry in logs if entry["event"] == "connection_opened"]
    assert [remote.partition(" via 127.0.0.1:")[0] for remote in opened] == [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.1",
    ]


def test_a_stranger_can_not_name_another_address() -> None:
    """X-Forwarded-For of one who is no trusted proxy is ignored."""

    async def main() -> None:
        rules = AccessRules(max_per_address=1)
        async with gateway_rig(access=rules) as rig, rig.raw() as one, rig.raw() as two:
            for client, expected, forwarded in ((one, b"101", b"192.0.2.1"), (two, b"429", b"192.0.2.2")):
                await client.send(request(extra=b"X-Forwarded-For: " + forwarded + b"\r\n"))
                assert (await client.response())[9:12] == expected

    run(main)


def test_beyond_the_bound_the_oldest_handshake_makes_room() -> None:
    """However many dawdle, the newest handshake gets its turn."""

    async def main() -> None:
        limits = HandshakeLimits(max_pending=3, linger_s=0.1)
        async with gateway_rig(handshakes=limits) as rig, trio.open_nursery() as nursery:
            answers: list[bytes] = []

            async def dawdle(task_status: trio.TaskStatus[None]) -> None:
                async with rig.raw() as client:
                    await client.send(b"GET / HTTP/1.1\r\n")
                    task_status.started()
                    answers.append(await client.rest())

            for _ in range(10):
                await nursery.start(dawdle)
            await rig.good_client_is_served()
            while len(answers) < 8:
                await trio.sleep(0.005)
            assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)
            nursery.cancel_scope.cancel()

    run(main)


def test_too_many_headers_are_refused() -> None:
    """The hundred and first header is one too many, however short."""
    sent = request(extra=b"".join(b"X%d: y\r\n" % number for number in range(96)))
    run(lambda: refused(AccessRules(), sent, 431))
