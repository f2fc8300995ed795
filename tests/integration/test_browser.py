"""A page in headless Chromium with the documented client code, against real actors."""

import http.server
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar, Final

import pytest
import trio

from tests.integration.running import supervisor, write_manifest

CHROMIUM = shutil.which("chromium")
PATIENCE_S: Final = 60
ROOT = Path(__file__).parents[2]
PAGE = """<!doctype html><meta charset="utf-8"><script>
console.log = (text) => fetch("/seen", { method: "POST", body: text });
%s
</script>
"""

pytestmark = pytest.mark.timeout(300)  # the first time, the examples are built and compiled


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, and takes what the page has seen."""

    seen: ClassVar[queue.Queue[str]] = queue.Queue()

    def do_POST(self) -> None:
        """Keep the body."""
        self.seen.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory that is served over HTTP on loopback, and its URL."""
    directory = tmp_path / "page"
    directory.mkdir()
    handler = partial(Handler, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield directory, f"http://127.0.0.1:{server.server_address[1]}/index.html"
        server.shutdown()
        thread.join()


def visit(url: str, profile: Path, count: int) -> list[str]:
    """Open a page in a browser until it has seen `count` messages; return them."""
    assert CHROMIUM is not None
    browser = subprocess.Popen(
        [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--remote-debugging-port=0", f"--user-data-dir={profile}", url),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return [Handler.seen.get(timeout=PATIENCE_S) for _ in range(count)]
    finally:
        browser.kill()
        browser.wait(PATIENCE_S)


def documented_clients() -> str:
    """The JavaScript of docs/gateway.md: a client of echo, and one of chat that logs in."""
    page = (ROOT / "docs" / "gateway.md").read_text()
    return "\n".join(re.findall(r"```js\n(.*?)```", page, re.DOTALL))


def serve_example(directory: Path, name: str, config: str = "") -> None:
    """Write a manifest for an example actor."""
    source = ROOT / "manifests" / f"{name}.py"
    write_manifest(directory, name, source.with_suffix(".wasm"), f'[build]\npython = "{source}"\n')
    manifest = directory / "manifests" / f"{name}.toml"
    manifest.write_text(manifest.read_text().replace("config = { ", f"config = {{ {config}"))


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine (.ci/run installs it)")
def test_a_page_talks_to_echo_and_chat(tmp_path: Path, page: tuple[Path, str]) -> None:
    """The documented code, as it stands, gets echo's answer and, with its login, chat's history."""
    directory, url = page
    tokens = tmp_path / "tokens"
    tokens.write_text("secret-of-the-page\n")
    tokens.chmod(0o600)
    serve_example(tmp_path, "echo")
    serve_example(tmp_path, "chat", f'auth = {{ type = "token", file = "{tokens}" }}, ')

    async def main() -> list[str]:
        async with supervisor(tmp_path) as running:
            code = documented_clients().replace("TOKEN", "secret-of-the-page")
            code = code.replace("ws://127.0.0.1:8080/", running.urls["echo"])
            code = code.replace("ws://127.0.0.1:8081/", running.urls["chat"])
            (directory / "index.html").write_text(PAGE % code)
            # Echo: a welcome and the answer. Chat: a welcome and the history, and the history again.
            return await trio.to_thread.run_sync(visit, url, tmp_path / "profile", 5)

    seen = trio.run(main)
    assert "Echo: hello" in seen
    assert any(text.startswith("Welcome! There are 1 users online.") for text in seen)
    assert any('"ann"' in text and '"hello"' in text for text in seen)
