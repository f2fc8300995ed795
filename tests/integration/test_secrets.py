"""Certificates, keys and tokens on a real supervisor: what --check says of them, and how HUP changes them."""

import datetime
import re
import signal
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from trio_websocket import WebSocketConnection, connect_websocket_url

from tests.integration.gateway_rig import RawClient, request
from tests.integration.running import PATIENCE_S, Running, ask, client, supervisor, write_manifest
from tests.integration.test_check import problems
from tests.integration.test_check import run as run_command
from tests.integration.theaterctl import output

FAR = 4102444800  # 2100, in seconds of Unix time


def make_certificate(directory: Path, name: str) -> None:
    """A self-signed one, `name`.pem, and its `name`.key."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "60", "-subj", f"/CN={name}"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-keyout", f"{name}.key", "-out", f"{name}.pem"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        cwd=directory,
        check=True,
        capture_output=True,
    )


def make_expiring_certificate(directory: Path, name: str, days: float) -> None:
    """A self-signed one that ends in so many days, or has ended, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=90))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    install(directory / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM))
    install(directory / f"{name}.key", private(key))


def install(file: Path, content: bytes, mode: int = 0o600) -> None:
    """Put a file in the place of another."""
    file.write_bytes(content)
    file.chmod(mode)


def public(key: ed25519.Ed25519PrivateKey) -> bytes:
    """Its public half, as a file has it."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def private(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """The key, as a file has it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def token_config(file: str) -> dict[str, object]:
    """The config of a handler with logins by token."""
    return {"auth": {"type": "token", "file": file}}


def jwt_config(file: str, algorithm: str = "EdDSA") -> dict[str, object]:
    """The config of a handler with logins by JSON Web Token."""
    rules = {"algorithms": [algorithm], "audience": "a", "issuer": "i"}
    return {"auth": {"type": "jwt", "key": file, **rules}}


def tls_config(cert: str, key: str) -> dict[str, object]:
    """The config of a handler with TLS."""
    return {"tls": {"cert": cert, "key": key}}


# What is in the files, what the handler says, and what --check has to say about it.
BROKEN: dict[str, tuple[dict[str, object], str]] = {
    "token-file-missing": (
        token_config("gone"),
        "auth: manifests/gone can't be read: No such file or directory",
    ),
    "token-file-open": (
        token_config("open"),
        "auth: manifests/open can be read by others or changed by its group (chmod 0640 manifests/open)",
    ),
    "token-file-empty": (
        token_config("empty"),
        "auth: manifests/empty has no token (one a line, without a # before it)",
    ),
    "token-variable": (
        {"auth": {"type": "token", "env": "THEATER_NO_SUCH"}},
        "auth: the environment variable THEATER_NO_SUCH is not set (set it for the supervisor)",
    ),
    "jwt-key-private": (
        jwt_config("private.pem"),
        "auth: manifests/private.pem is a private key; the public one is needed here "
        "(openssl pkey -pubout -in manifests/private.pem)",
    ),
    "jwt-key-of-another-kind": (
        jwt_config("public.pem", "ES256"),
        "auth: manifests/public.pem is no PEM public key for ES256 "
        "(algorithms are those that the issuer signs with)",
    ),
    "jwt-key-writable": (
        jwt_config("writable.pem"),
        "auth: manifests/writable.pem can be changed by others (chmod 0644 manifests/writable.pem)",
    ),
    "tls-key-missing": (
        tls_config("a.pem", "gone"),
        "tls: manifests/gone can't be read: No such file or directory",
    ),
    "tls-key-open": (
        tls_config("a.pem", "open"),
        "tls: manifests/open can be read by others or changed by its group (chmod 0640 manifests/open)",
    ),
    "tls-key-of-another": (
        tls_config("a.pem", "b.key"),
        "tls: manifests/b.key is not the key of the certificate in manifests/a.pem "
        "(the server's own certificate comes first in the file)",
    ),
    "tls-key-no-key": (
        tls_config("a.pem", "empty"),
        "tls: manifests/empty is no private key in PEM, or has a password "
        "(openssl pkey writes it without one)",
    ),
    "tls-no-certificate": (
        tls_config("b.key", "b.key"),
        "tls: manifests/b.key is no certificate in PEM (the server's own comes first, then its issuers')",
    ),
}


@pytest.mark.parametrize("options", [["--check"], []], ids=["check", "start"])
def test_every_unusable_secret_is_named_with_its_cure(tmp_path: Path, options: list[str]) -> None:
    """All of them at once: which manifest and key, which file, what is wrong with it, how to mend it."""
    directory = tmp_path / "manifests"
    directory.mkdir()
    make_certificate(directory, "a")
    make_certificate(directory, "b")
    key = ed25519.Ed25519PrivateKey.generate()
    install(directory / "open", b"token\n", 0o644)
    install(directory / "empty", b"# nobody yet\n")
    install(directory / "private.pem", private(key))
    install(directory / "public.pem", public(key))
    install(directory / "writable.pem", public(key), 0o666)
    for name, (config, _) in BROKEN.items():
        write_manifest(tmp_path, name, "echo", **config)
    done = run_command(tmp_path, *options, "manifests")
    assert (done.returncode, done.stdout) == (78, "")
    assert problems(done) == [
        f"manifests/{name}.toml: handlers[0].config.{complaint}"
        for name, (_, complaint) in sorted(BROKEN.items())
    ]


def test_a_certificate_is_warned_about_before_it_ends(tmp_path: Path) -> None:
    """Two weeks before, and when it has ended; it is served all the same. One with more time is not."""
    directory = tmp_path / "manifests"
    directory.mkdir()
    for name, days in (("ended", -0.5), ("ending", 13.5), ("fresh", 14.5)):
        make_expiring_certificate(directory, name, days)
        write_manifest(tmp_path, name, "echo", **tls_config(f"{name}.pem", f"{name}.key"))
    done = run_command(tmp_path, "--check", "manifests")
    assert done.returncode == 0
    warned = re.findall(r"(certificate_\w+) .*file=manifests/(\w+)\.pem", done.stderr)
    assert warned == [("certificate_expired", "ended"), ("certificate_expires_soon", "ending")]


def run(directory: Path, scenario: Callable[[Running], Awaitable[None]]) -> None:
    """Run a scenario against a supervisor of what is in the directory."""

    async def main() -> None:
        with trio.fail_after(3 * PATIENCE_S):
            async with supervisor(directory) as running:
                await scenario(running)

    trio.run(main)


async def hang_up(running: Running, outcome: str) -> dict[str, object]:
    """Send HUP; wait for one more event of that name and return it."""
    before = sum(event["event"] == outcome for event in running.events())
    running.process.send_signal(signal.SIGHUP)
    with trio.fail_after(PATIENCE_S):
        while len(found := [event for event in running.events() if event["event"] == outcome]) <= before:
            await trio.sleep(0.01)
    return found[-1]


def test_a_new_certificate_is_served_after_hup(tmp_path: Path) -> None:
    """To newcomers; who is connected stays. One that can't be used changes nothing, and is named."""
    make_certificate(tmp_path, "a")
    make_certificate(tmp_path, "b")
    directory = tmp_path / "manifests"
    directory.mkdir()

    def put(cert: str, key: str) -> None:
        install(directory / "cert.pem", (tmp_path / f"{cert}.pem").read_bytes())
        install(directory / "key.pem", (tmp_path / f"{key}.key").read_bytes())

    async def echoes(url: str, certificate: str) -> None:
        async with trio.open_nursery() as nursery:
            context = ssl.create_default_context(cafile=str(tmp_path / f"{certificate}.pem"))
            connection = await connect_websocket_url(nursery, url, ssl_context=context)
            assert await ask(connection, certificate) == certificate
            await connection.aclose()

    async def scenario(running: Running) -> None:
        url = running.urls["echo"]
        async with trio.open_nursery() as nursery:
            context = ssl.create_default_context(cafile=str(tmp_path / "a.pem"))
            old: WebSocketConnection = await connect_websocket_url(nursery, url, ssl_context=context)
            put("b", "b")
            assert (await hang_up(running, "reloaded"))["changed"] == {"echo": ["secrets"]}
            await echoes(url, "b")
            assert await output(running.var, "reload") == "= echo\nnothing changed\n"
            put("a", "b")
            refusal = await hang_up(running, "reload_refused")
            assert "manifests/key.pem is not the key of the certificate in " in str(refusal)
            await echoes(url, "b")
            assert await ask(old, "still here") == "still here"
            await old.aclose()
        assert len(running.worker_pids("echo")) == 1

    put("a", "a")
    write_manifest(tmp_path, "echo", "echo", **tls_config("cert.pem", "key.pem"))
    run(tmp_path, scenario)


async def statuses(url: str, *logins: str) -> list[bytes]:
    """Return how the handshakes with these logins are answered."""
    return [await status(url, login) for login in logins]


async def status(url: str, login: str) -> bytes:
    """Return how a handshake with this login is answered."""
    port = urlsplit(url).port
    assert port is not None
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        raw = RawClient(stream)
        await raw.send(request(extra=f"Authorization: Bearer {login}\r\n".encode()))
        return (await raw.response())[9:12]


def test_new_tokens_and_keys_count_after_hup(tmp_path: Path) -> None:
    """For newcomers; who is connected stays. A file that others can read changes nothing."""
    old_key, new_key = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    old_jwt, new_jwt = (
        jwt.encode({"aud": "a", "iss": "i", "exp": FAR}, private(key), "EdDSA") for key in (old_key, new_key)
    )
    directory = tmp_path / "manifests"
    directory.mkdir()
    tokens, key = directory / "tokens", directory / "key.pem"

    async def scenario(running: Running) -> None:
        by_token, by_jwt = running.urls["token"], running.urls["jwt"]
        async with client(by_token, {"Authorization": "Bearer old"}) as connection:
            assert await statuses(by_jwt, old_jwt, new_jwt) == [b"101", b"401"]
            install(tokens, b"new\n")
            install(key, public(new_key))
            assert await output(running.var, "reload") == "~ jwt (secrets)\n~ token (secrets)\n"
            install(tokens, b"newest\n", 0o644)
            assert "tokens can be read by others" in str(await hang_up(running, "reload_refused"))
            assert await statuses(by_token, "old", "new", "newest") == [b"401", b"101", b"401"]
            assert await statuses(by_jwt, old_jwt, new_jwt) == [b"401", b"101"]
            assert await ask(connection, "still here") == "still here"

    install(tokens, b"old\n")
    install(key, public(old_key), 0o644)
    write_manifest(tmp_path, "token", "echo", **token_config("tokens"))
    write_manifest(tmp_path, "jwt", "echo", **jwt_config("key.pem"))
    run(tmp_path, scenario)
