"""The page's snippets for nginx and HAProxy, run for real where these are installed."""

import contextlib
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio
from wsproto.events import Ping, TextMessage

from tests.integration.gateway_rig import TEXT, RawClient, frame, request
from tests.integration.running import PATIENCE_S, Running, supervisor, write_manifest
from tests.integration.test_secrets import make_certificate

GATEWAY_PAGE = Path(__file__).parents[2] / "docs" / "gateway.md"
# What a snippet stands in.
SURROUNDINGS = {
    "nginx": """
        daemon off; pid nginx.pid; error_log stderr; events {}
        http {
            access_log off; client_body_temp_path t1; proxy_temp_path t2;
            fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
            %s
        }
    """,
    "haproxy": "%s",
}


def configuration(proxy: str, directory: Path, actor_port: int, port: int) -> str:
    """The page's snippet, for other ports and another certificate."""
    found = re.search(rf"```{proxy}\n(.*?)```", GATEWAY_PAGE.read_text(), re.DOTALL)
    assert found is not None
    text = found[1]
    for documented, here in {
        "127.0.0.1:8081": f"127.0.0.1:{actor_port}",
        "listen 443": f"listen 127.0.0.1:{port}",
        "bind :443": f"bind 127.0.0.1:{port}",
        "/etc/ssl/chat.example.org": f"{directory}/proxy",
    }.items():
        text = text.replace(documented, here)
    return SURROUNDINGS[proxy] % text


@contextlib.asynccontextmanager
async def proxy_before(running: Running, proxy: str) -> AsyncIterator[int]:
    """Run a proxy before the actor; give the port that it listens on."""
    actor_port = urlsplit(running.urls["chat"]).port
    assert actor_port is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    directory = running.directory
    make_certificate(directory, "proxy")
    both = (directory / "proxy.pem").read_bytes() + (directory / "proxy.key").read_bytes()
    (directory / "proxy.both.pem").write_bytes(both)
    (directory / "proxy.conf").write_text(configuration(proxy, directory, actor_port, port))
    place = ["-p", str(directory), "-e", "stderr", "-c"] if proxy == "nginx" else ["-db", "-f"]
    command = [proxy, *place, str(directory / "proxy.conf")]
    process = await trio.lowlevel.open_process(command, stderr=subprocess.DEVNULL)
    try:
        with trio.fail_after(PATIENCE_S):
            while not await is_listening(port):
                assert process.poll() is None, "the proxy ended"
                await trio.sleep(0.02)
        yield port
    finally:
        process.terminate()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + PATIENCE_S):
            await process.wait()


async def is_listening(port: int) -> bool:
    """Say whether a connection is accepted there."""
    try:
        await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("proxy", SURROUNDINGS)
def test_the_snippet_of_the_readme_serves(proxy: str, tmp_path: Path) -> None:
    """TLS ends there, messages and pings pass, and a client counts, and is logged, by its own address."""
    if shutil.which(proxy) is None:
        pytest.skip(f"{proxy} is not installed")

    async def knock(port: int, address: str) -> tuple[RawClient, bytes]:
        """Do a handshake as a page does through an outer proxy, which has added the client's address."""
        context = ssl.create_default_context(cafile=tmp_path / "proxy.pem")
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        client = RawClient(trio.SSLStream(tcp, context, server_hostname="127.0.0.1", https_compatible=True))
        extra = f"Origin: https://chat.example.org\r\nX-Forwarded-For: {address}\r\n"
        await client.send(request(extra=extra.encode(), host=b"chat.example.org"))
        return client, (await client.response())[9:12]

    async def main() -> None:
        with trio.fail_after(2 * PATIENCE_S):
            async with supervisor(tmp_path) as running, proxy_before(running, proxy) as port:
                client, status = await knock(port, "198.51.100.7")
                second, refused = await knock(port, "198.51.100.7")
                third, another = await knock(port, "198.51.100.8")
                assert (status, refused, another) == (b"101", b"429", b"101")
                for _ in range(2):
                    assert isinstance(await client.event(), Ping)
                await client.send(frame(TEXT, b"hello"))
                while isinstance(event := await client.event(), Ping):
                    pass
                assert event == TextMessage("hello")
                for one in (client, second, third):
                    await trio.aclose_forcefully(one.stream)
                opened = [event for event in running.events() if event["event"] == "connection_opened"]
                assert [str(event["remote"]).partition(" via ")[0] for event in opened] == [
                    "198.51.100.7",
                    "198.51.100.8",
                ]

    write_manifest(
        tmp_path,
        "chat",
        "echo",
        allowed_hosts=["chat.example.org"],
        allowed_origins=["https://chat.example.org"],
        trusted_proxies=["127.0.0.1"],
        max_connections_per_address=1,
        ping_interval_s=0.2,
        ping_timeout_s=0,
    )
    trio.run(main)
