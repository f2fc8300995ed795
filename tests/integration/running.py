"""A real supervisor for tests: manifests in a directory of their own, free ports, kill and look inside."""

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from tests.components import build

PATIENCE_S = 30.0
_SHARED_CACHE = Path(__file__).parents[2] / "build" / "cache"


@dataclass
class Running:
    """A supervisor under test and where its actors are."""

    process: trio.Process
    directory: Path
    urls: dict[str, str] = field(default_factory=dict)

    @property
    def var(self) -> Path:
        """The var directory."""
        return self.directory / "var"

    def log(self, actor: str) -> str:
        """The actor's log file so far."""
        path = self.var / "log" / f"{actor}.log"
        return path.read_text() if path.exists() else ""

    async def logged(self, actor: str, text: str) -> str:
        """Wait until `text` is in the actor's log, which has a pipe of its own; return the log."""
        with trio.fail_after(PATIENCE_S):
            while text not in self.log(actor):
                await trio.sleep(0.01)
        return self.log(actor)

    def events(self) -> list[dict[str, object]]:
        """The supervisor's own log so far."""
        lines = (self.var / "log" / "supervisor.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def worker_pids(self, actor: str) -> list[int]:
        """Every worker's pid that the actor has had, oldest first."""
        return [int(pid) for pid in re.findall(r" S spawned pid (\d+)$", self.log(actor), re.MULTILINE)]

    async def next_worker(self, actor: str, after: int = 0) -> int:
        """Wait until the actor has had more than `after` workers; return the newest one's pid."""
        with trio.fail_after(PATIENCE_S):
            while len(self.worker_pids(actor)) <= after:
                await trio.sleep(0.01)
        return self.worker_pids(actor)[-1]

    async def kill_worker(self, actor: str) -> None:
        """kill -9 the actor's worker and wait for the next one to be spawned."""
        pids = self.worker_pids(actor)
        os.kill(pids[-1], signal.SIGKILL)
        await self.next_worker(actor, after=len(pids))

    async def stop(self, signum: int = signal.SIGTERM) -> int:
        """Signal the supervisor and return its exit status."""
        self.process.send_signal(signum)
        with trio.fail_after(PATIENCE_S):
            return await self.process.wait()


def write_manifest(
    directory: Path, name: str, component: str | Path, extra: str = "", **config: object
) -> None:
    """Write a manifest that serves a test component on a free port."""
    path = component if isinstance(component, Path) else build(component)
    text = f"""name = "{name}"
component_path = "{path}"
[[handlers]]
type = "websocket-server"
config = {_inline({"port": 0, **config})}
{extra}
"""
    (directory / "manifests").mkdir(exist_ok=True)
    (directory / "manifests" / f"{name}.toml").write_text(text)


def _inline(value: object) -> str:
    """Write a value as TOML."""
    if not isinstance(value, dict):
        return json.dumps(value)
    return "{ " + ", ".join(f"{key} = {_inline(item)}" for key, item in value.items()) + " }"


@contextlib.asynccontextmanager
async def supervisor(directory: Path, *options: str) -> AsyncIterator[Running]:
    """Run `theater-supervise` on `directory`/manifests until the block ends; then it is killed if it runs.

    Every test has a var directory of its own, all share one cache of compiled components.
    """
    share_cache(directory / "var")
    command = str(Path(sys.executable).with_name("theater-supervise"))
    arguments = [*options, "--var", str(directory / "var"), str(directory / "manifests")]
    process = await trio.lowlevel.open_process(
        [command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=directory
    )
    running = Running(process, directory)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(_watch_output, running)
            yield running
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + PATIENCE_S):
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def client(url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[WebSocketConnection]:
    """Connect a real WebSocket client; its socket is closed however far its handshake came."""
    place = urlsplit(url)
    assert place.scheme == "ws"
    target = f"{place.path or '/'}{f'?{place.query}' if place.query else ''}"
    extra = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    with trio.fail_after(PATIENCE_S):
        stream = await trio.open_tcp_stream(place.hostname or "", place.port or 80)
    try:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(PATIENCE_S):
                connection = await wrap_client_stream(
                    nursery, stream, place.netloc, target, extra_headers=extra
                )
            try:
                yield connection
            finally:
                with trio.move_on_after(1, shield=True):
                    await connection.aclose()
                nursery.cancel_scope.cancel()
    finally:
        # Left open by a handshake that was cut off, and where the server has begun to close.
        await trio.aclose_forcefully(stream)


async def ask(connection: WebSocketConnection, message: str | bytes) -> str | bytes:
    """Send a message and return the next one that comes."""
    with trio.fail_after(PATIENCE_S):
        await connection.send_message(message)
        return await connection.get_message()


async def close_code(connection: WebSocketConnection) -> int:
    """Wait until the server closes the connection; return the code."""
    with trio.fail_after(PATIENCE_S):
        try:
            while True:
                await connection.get_message()
        except ConnectionClosed as closed:
            return closed.reason.code if closed.reason else 1006


@contextlib.contextmanager
def supervisor_beside(directory: Path) -> Iterator[Running]:
    """Run a supervisor as `supervisor` does, in a thread of its own: for tests that share one."""
    ready, tokens, stop = queue.SimpleQueue[Running | None](), list[trio.lowlevel.TrioToken](), trio.Event()

    async def serve() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        async with supervisor(directory) as running:
            ready.put(running)
            await stop.wait()

    def run() -> None:
        try:
            trio.run(serve)
        finally:
            ready.put(None)

    thread = threading.Thread(target=run)
    thread.start()
    running = ready.get(timeout=PATIENCE_S)
    assert running is not None, "the supervisor did not start"
    try:
        yield running
    finally:
        tokens[0].run_sync_soon(stop.set)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def share_cache(var: Path) -> None:
    """Let a var directory use the compiled components of all tests."""
    _SHARED_CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    var.mkdir(exist_ok=True)
    if not (var / "cache").exists():
        (var / "cache").symlink_to(_SHARED_CACHE)


async def _watch_output(running: Running, task_status: trio.TaskStatus[None]) -> None:
    expected = len(list((running.directory / "manifests").glob("*.toml")))
    assert running.process.stdout is not None
    output = b""
    started = False
    async for chunk in running.process.stdout:
        output += chunk
        running.urls |= dict(re.findall(r"^([a-z0-9-]+) on (wss?://\S+)$", output.decode(), re.MULTILINE))
        if not started and len(running.urls) == expected:
            started = True
            task_status.started()
    if not started:
        raise RuntimeError(f"the supervisor ended:\n{output.decode()}")
